//! SWIM: every node asks one other at a time whether it is up, and what is
//! found is passed on with the questions.
//!
//! The protocol is foca's (Das, Gupta and Motivala, "SWIM", 2002, with its
//! suspicion). This machine gives it time, a seed and room, and adds three
//! things. Who suspects a node tells it so itself, again and again: rumours
//! take longer to a node and back, in a large farm, than a suspect has. A node
//! that is heard though it is called down is told, so that it comes back. And
//! what a member may claim is bounded.
//!
//! It does not know what is heard of nodes otherwise: whether one that it calls
//! down is dead is for others to judge.

use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use foca::{Foca, Header, Member, Message, NoCustomBroadcast, PeriodicParams, State};

use super::codec::{self, Codec, Context};
use super::identity::Identity;
use super::timers::Due;
pub use super::wishes::{Event, Standing, Transmit};
use super::wishes::{MAX_WAITING, Seeded, Wishes};
use crate::load::Load;
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::control::MAX_GOSSIP_BYTES;
use crate::wire::header::Incarnation;

/// How often a node asks another whether it is up. In a farm of two, three or
/// four a node that died is so asked by one of the others within two periods,
/// almost always, and in a large one within one.
pub const PERIOD: Duration = Duration::from_millis(100);
/// How long an answer takes before others are asked to ask: many round trips
/// of a LAN, and more than a busy machine lets a process wait for its turn.
const PATIENCE: Duration = Duration::from_millis(40);
/// How many others: with one packet in 20 lost, an answer that has four ways to
/// go is lost once in five times, and three of them once in 150 times.
const INTERMEDIARIES: usize = 3;
/// How long a suspect has to say that it is up. With the period before it half
/// a second, so that a node that stood still for 300 ms has 200 ms to say so;
/// and with the two periods before that 0.7 s, so that within a second there
/// is time for everybody to hear of it.
pub const SUSPICION: Duration = Duration::from_millis(400);
/// How often what is new is passed on, while something is, and to how many.
/// Who knows becomes five times as many each time: after a quarter of a second
/// a thousand do.
const PASS_ON: Duration = Duration::from_millis(50);
const LISTENERS: usize = 4;
/// How often a node passes one thing on. If all do so, to nodes drawn at random,
/// none of a thousand has not heard of it but once in 150 times (e^-12).
const REPEATS: u8 = 12;
/// How often some member is asked for members: for what no rumour has brought.
const ASK: Duration = Duration::from_secs(10);
/// How long is remembered that a node is down: by then nobody speaks of it as
/// anything else any more.
const REMEMBER_DOWN: Duration = Duration::from_secs(120);
/// The most members, those counted that are down: as many as nodes are known
/// of. When there are more, no rumours are believed until some are forgotten;
/// one message has room for 48.
pub const MAX_MEMBERS: usize = 4_096;
/// A node that is called down comes back no more often than this, whoever calls
/// it so: it tells three others each time, and they answer.
const RENEW_PAUSE: Duration = Duration::from_millis(100);
/// A node that is heard though it is called down is told no more often.
const CONTRADICT_PAUSE: Duration = Duration::from_millis(200);
/// The number of a member that is down since it took leave. Foca's own numbers
/// stay below: a node whose number has come so far begins another generation.
const LEFT: foca::Incarnation = foca::Incarnation::MAX;

/// The members, as one node knows them.
pub struct Swim {
    foca: Foca<Identity, Codec, Seeded, NoCustomBroadcast>,
    wishes: Wishes,
    refused: u64,
    left: bool,
}

impl Swim {
    /// A node that knows nobody. It wants a generator of its own, so that what
    /// it draws changes nothing else.
    #[must_use]
    pub fn new(own: Identity, rng: Rng) -> Self {
        Self {
            foca: Foca::new(own, config(), Seeded(rng), Codec::default()),
            wishes: Wishes::default(),
            refused: 0,
            left: false,
        }
    }

    /// A node lives, by what itself has said. If it is called down it is told,
    /// at intervals. Gives whether it was.
    pub fn handle_alive(
        &mut self,
        now: Instant,
        incarnation: Incarnation,
        address: SocketAddr,
    ) -> bool {
        let identity = Identity::new(incarnation, address);
        let known = self.wishes.standings.get(&incarnation).copied();
        match known {
            Some((Standing::Up | Standing::Left, _)) => return false,
            Some((Standing::Down, told)) if now - told < CONTRADICT_PAUSE => return false,
            Some((Standing::Down, _)) => {}
            None if self.is_full() => return false,
            None => self.apply(now, Member::alive(identity)),
        }
        // One that was not known as a member may be known to be down.
        let called_down = self.standing(incarnation) != Some(Standing::Up);
        if called_down {
            self.wishes.standings.insert(incarnation, (Standing::Down, now));
            self.with_foca(now, |foca, wishes| foca.announce(identity, wishes));
        }
        called_down
    }

    /// A node has taken leave.
    pub fn handle_leave(&mut self, now: Instant, incarnation: Incarnation) {
        let known = self.foca.iter_members().find(|member| member.id().incarnation == incarnation);
        if let Some(identity) = known.map(|member| *member.id()) {
            self.apply(now, Member::new(identity, LEFT, State::Down));
        }
    }

    /// A member says something. False when it makes no sense.
    pub fn handle_gossip(
        &mut self,
        now: Instant,
        (sender, address): (Incarnation, SocketAddr),
        gossip: &[u8],
    ) -> bool {
        if self.left {
            return true;
        }
        let own = self.foca.identity().incarnation;
        let renewed = self.wishes.renewed;
        let context = Context {
            sender,
            address,
            own,
            believes: !self.is_full(),
            yields: renewed.is_none_or(|renewed| now - renewed >= RENEW_PAUSE),
        };
        let mut bytes = Vec::with_capacity(Context::BYTES + gossip.len());
        context.encode(&mut bytes);
        bytes.extend_from_slice(gossip);
        let refused = self.refused;
        self.with_foca(now, |foca, wishes| foca.handle_data(&bytes, wishes));
        self.refused == refused
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.wishes.timers.pop(now) {
            match due {
                Due::Foca(timer) => {
                    let mut forgotten = None;
                    if let foca::Timer::RemoveDown(down) = &timer {
                        forgotten = Some(down.incarnation);
                    }
                    self.with_foca(now, |foca, wishes| foca.handle_timer(timer, wishes));
                    forgotten.into_iter().for_each(|incarnation| self.forget(incarnation));
                }
                Due::Accuse(suspect, number) => self.accuse(suspect, number),
            }
        }
    }

    /// The node itself did not run for so long: that others did not answer
    /// meanwhile says nothing of them.
    pub fn excuse(&mut self, absence: Duration) {
        self.wishes.timers.put_off(absence);
    }

    /// Takes leave: some members are told, and tell the others. Nothing is
    /// done after that.
    pub fn leave(&mut self) {
        let own = *self.foca.identity();
        let members: Vec<Identity> =
            self.foca.iter_members().take(LISTENERS).map(|member| *member.id()).collect();
        for member in members {
            self.tell(member, Message::Gossip, Member::new(own, LEFT, State::Down));
        }
        self.wishes.timers.clear();
        self.left = true;
    }

    /// When [`Swim::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wishes.timers.first()
    }

    /// What is to be sent next.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.wishes.transmits.pop_front()
    }

    /// What is new.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.wishes.events.pop_front()
    }

    /// What is thought of a node; `None` when it is not known.
    #[must_use]
    pub fn standing(&self, incarnation: Incarnation) -> Option<Standing> {
        self.wishes.standings.get(&incarnation).map(|(standing, _)| *standing)
    }

    /// The node itself, in its generation.
    #[must_use]
    pub const fn own(&self) -> Identity {
        *self.foca.identity()
    }

    /// How full everything is that is bounded.
    #[must_use]
    pub fn loads(&self) -> [Load; 4] {
        // One message may bring as many as it has room for, when nearly all
        // are known.
        const MOST_MEMBERS: usize = MAX_MEMBERS + MAX_GOSSIP_BYTES / 28;
        [
            Load::new("members", self.foca.iter_membership_state().len(), MOST_MEMBERS),
            Load::new("gossip", self.wishes.transmits.len(), MAX_WAITING),
            Load::new("news of members", self.wishes.events.len(), MAX_WAITING),
            self.wishes.timers.load(),
        ]
    }

    fn is_full(&self) -> bool {
        self.foca.iter_membership_state().len() >= MAX_MEMBERS
    }

    fn apply(&mut self, now: Instant, member: Member<Identity>) {
        self.with_foca(now, |foca, wishes| foca.apply_many(std::iter::once(member), true, wishes));
    }

    fn with_foca(
        &mut self,
        now: Instant,
        act: impl FnOnce(
            &mut Foca<Identity, Codec, Seeded, NoCustomBroadcast>,
            &mut Wishes,
        ) -> Result<(), foca::Error>,
    ) {
        self.wishes.now = now;
        if act(&mut self.foca, &mut self.wishes).is_err() {
            self.refused += 1;
        }
        // Foca does not say why a node is down.
        let down = self.wishes.events.iter().filter_map(|event| match event {
            Event::Down(incarnation) => Some(*incarnation),
            Event::Up(_) => None,
        });
        let left = |incarnation: &Incarnation| {
            let mut members = self.foca.iter_membership_state();
            members.any(|known| {
                known.id().incarnation == *incarnation
                    && known.state() == State::Down
                    && known.incarnation() == LEFT
            })
        };
        let left: Vec<Incarnation> = down.filter(left).collect();
        for incarnation in left {
            self.wishes.standings.insert(incarnation, (Standing::Left, now));
        }
    }

    /// A node that was down long enough is not known any more.
    fn forget(&mut self, incarnation: Incarnation) {
        let mut members = self.foca.iter_membership_state();
        if !members.any(|known| known.id().incarnation == incarnation) {
            self.wishes.standings.remove(&incarnation);
        }
    }

    /// Tells a suspect that it is one, if it is one still. It answers at once,
    /// with a number that no suspicion is about.
    fn accuse(&mut self, suspect: Identity, number: foca::Incarnation) {
        let suspected = Member::new(suspect, number, State::Suspect);
        if self.foca.iter_members().any(|member| *member == suspected) {
            // No probe waits for the answer, whatever its number is.
            self.tell(suspect, Message::Ping(0), suspected);
        }
    }

    fn tell(&mut self, dst: Identity, message: Message<Identity>, what: Member<Identity>) {
        let header = Header { src: *self.foca.identity(), src_incarnation: 0, dst, message };
        self.wishes.send(dst, codec::encode(&header, &[what]));
    }
}

impl std::fmt::Debug for Swim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Swim")
            .field("own", self.foca.identity())
            .field("members", &self.foca.num_members())
            .finish_non_exhaustive()
    }
}

const fn config() -> foca::Config {
    const fn some(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).expect("more than none")
    }
    foca::Config {
        probe_period: PERIOD,
        probe_rtt: PATIENCE,
        num_indirect_probes: some(INTERMEDIARIES),
        max_transmissions: NonZeroU8::new(REPEATS).expect("more than none"),
        suspect_to_down_after: SUSPICION,
        remove_down_after: Some(REMEMBER_DOWN),
        // Its messages have the context in front.
        max_packet_size: some(MAX_GOSSIP_BYTES + Context::BYTES),
        notify_down_members: true,
        periodic_announce: Some(PeriodicParams { frequency: ASK, num_members: some(1) }),
        // Who is heard is told, and who is not heard is not asked.
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(PeriodicParams { frequency: PASS_ON, num_members: some(LISTENERS) }),
    }
}

#[cfg(test)]
mod tests;
