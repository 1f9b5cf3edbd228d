//! What foca wants done: messages, timers and news, until they are fetched.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use super::codec::Context;
use super::identity::Identity;
use super::swim::MAX_MEMBERS;
use super::timers::{Due, Timers};
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// The most messages and events that wait to be fetched, which happens after
/// each call: what comes in one message makes far fewer, and what is due at a
/// time no more than there are members.
pub(super) const MAX_WAITING: usize = 2 * MAX_MEMBERS;
/// How often a suspect is told that it is one. Of eight times one comes through
/// and back, at 5 % loss, but for once in 10^8.
const ACCUSE: Duration = Duration::from_millis(50);

/// What is thought of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is up, or suspect.
    Up,
    /// It did not answer, nor say that it is up when it was suspected.
    Down,
    /// It took leave.
    Left,
}

/// Something that is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A node is up, by what is said of it or by itself.
    Up(Identity),
    /// A node is down, or has left.
    Down(Incarnation),
}

/// What is to be sent to one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// To whom.
    pub to: Incarnation,
    /// Where that node is said to be.
    pub address: SocketAddr,
    /// What.
    pub gossip: Vec<u8>,
}

/// What foca wants done, until it is.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) now: Instant,
    pub(super) timers: Timers,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) events: VecDeque<Event>,
    pub(super) standings: BTreeMap<Incarnation, (Standing, Instant)>,
    pub(super) renewed: Option<Instant>,
}

impl Wishes {
    pub(super) fn send(&mut self, to: Identity, gossip: Vec<u8>) {
        if self.transmits.len() < MAX_WAITING {
            let Identity { incarnation, address, .. } = to;
            self.transmits.push_back(Transmit { to: incarnation, address, gossip });
        }
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() < MAX_WAITING {
            self.events.push_back(event);
        }
    }

    fn stands(&mut self, incarnation: Incarnation, standing: Standing) {
        // Told of a contradiction at once.
        self.standings.insert(incarnation, (standing, Instant::default()));
    }
}

impl foca::Runtime<Identity> for Wishes {
    fn notify(&mut self, notification: foca::Notification<'_, Identity>) {
        match notification {
            foca::Notification::MemberUp(&identity) => {
                self.stands(identity.incarnation, Standing::Up);
                self.tell(Event::Up(identity));
            }
            foca::Notification::MemberDown(identity) => {
                self.stands(identity.incarnation, Standing::Down);
                self.tell(Event::Down(identity.incarnation));
            }
            foca::Notification::Rejoin(_) => self.renewed = Some(self.now),
            foca::Notification::Rename(..)
            | foca::Notification::Active
            | foca::Notification::Idle
            | foca::Notification::Defunct => {}
        }
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.send(to, data[Context::BYTES..].to_vec());
    }

    fn submit_after(&mut self, timer: foca::Timer<Identity>, after: Duration) {
        if let foca::Timer::ChangeSuspectToDown { member_id, incarnation, .. } = &timer {
            let mut at = Duration::ZERO;
            while at < after {
                self.timers.set(self.now + at, Due::Accuse(*member_id, *incarnation));
                at += ACCUSE;
            }
        }
        self.timers.set(self.now + after, Due::Foca(timer));
    }
}

/// The core's generator, as foca draws from it.
pub(super) struct Seeded(pub(super) Rng);

impl rand_core::TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let [.., a, b, c, d] = self.0.next_u64().to_be_bytes();
        Ok(u32::from_be_bytes([a, b, c, d]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}
