//! Who is a member: what SWIM has found, and what the node hears itself.
//!
//! Direct evidence beats rumours. A node that is called down is dead when
//! nothing has come from it for a while either; and one that is heard is told
//! that it is called down, so that it comes back. Who is spoken of and has not
//! been met is called, so that to know one member is to meet all of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::orphan::ORPHAN_TELLS;
use super::peer::{Peer, REMEMBERED, State, longest_silence, reachable};
use super::{Event, Node};
use crate::cluster::identity::Identity;
use crate::cluster::swim::{self, MAX_MEMBERS, Standing, Swim};
use crate::load::Load;
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::control::Message;
use crate::wire::header::Incarnation;

/// A node that is called down is dead when nothing was heard of it for so
/// long: one heartbeat of an idle one, and a twentieth of a second for it to be
/// late. A node that stood still for 300 ms is heard well before.
const QUIET: Duration = Duration::from_millis(550);
/// The pauses between two calls of a node that has not been met: from as long
/// as one that was challenged is left alone, doubling to that of configured
/// peers.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How many nodes are called, or told that they are called down, each time that
/// the house is kept: all of a large farm in some seconds, if half of it comes
/// back at once, and no burst of a thousand packets.
const AT_ONCE: usize = 32;

/// Who is a member, as others say.
#[derive(Debug)]
pub(super) struct Members {
    swim: Swim,
    /// Who is up as others say, and was not met, or is dead here.
    unmet: BTreeMap<Incarnation, Unmet>,
}

/// A node that is to be met.
#[derive(Debug)]
struct Unmet {
    address: SocketAddr,
    due: Instant,
    pause: Duration,
}

impl Members {
    pub(super) fn new(own: Identity, seed: &[u8; 32]) -> Self {
        // A generator of its own, from the other half of the seed's space.
        let rng = Rng::new(seed.map(|byte| !byte));
        Self { swim: Swim::new(own, rng), unmet: BTreeMap::new() }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.swim.poll_timeout()
    }

    pub(super) fn excuse(&mut self, absence: Duration) {
        self.swim.excuse(absence);
    }

    pub(super) fn loads(&self) -> impl Iterator<Item = Load> + use<> {
        let unmet = Load::new("nodes to be met", self.unmet.len(), MAX_MEMBERS);
        self.swim.loads().into_iter().chain([unmet])
    }

    /// What has become of a node that was alive and has been silent for so
    /// long; `None` when it is alive still.
    fn end(&self, incarnation: Incarnation, silence: Duration, longest: Duration) -> Option<State> {
        match self.swim.standing(incarnation) {
            Some(Standing::Left) if silence >= QUIET => Some(State::Left),
            Some(Standing::Down) if silence >= QUIET => Some(State::Dead),
            _ => (silence >= longest).then_some(State::Dead),
        }
    }

    /// Those whose turn it is to be called.
    fn due(&mut self, now: Instant) -> Vec<SocketAddr> {
        let mut due = Vec::new();
        for unmet in self.unmet.values_mut().filter(|unmet| unmet.due <= now).take(AT_ONCE) {
            due.push(unmet.address);
            unmet.due = now + unmet.pause;
            unmet.pause = (unmet.pause * 2).min(LONGEST_PAUSE);
        }
        due
    }
}

impl Node {
    /// A member says what it knows of others.
    pub(super) fn handle_gossip(&mut self, now: Instant, sender: Incarnation, gossip: &[u8]) {
        let Some(peer) = self.peers.get(&sender) else { return };
        let from = (sender, peer.address);
        if !self.members.swim.handle_gossip(now, from, gossip) {
            self.counters.gossip_refused += 1;
        }
        self.pass_on(now, Some(from.1));
    }

    pub(super) fn handle_members_timeout(&mut self, now: Instant) {
        self.members.swim.handle_timeout(now);
        self.pass_on(now, None);
    }

    /// A node has proven that it lives.
    pub(super) fn met(&mut self, now: Instant, incarnation: Incarnation, address: SocketAddr) {
        self.members.unmet.remove(&incarnation);
        self.members.swim.handle_alive(now, incarnation, address);
        self.pass_on(now, None);
    }

    /// A node takes leave.
    pub(super) fn handle_leave(&mut self, now: Instant, sender: Incarnation) {
        self.members.swim.handle_leave(now, sender);
        self.pass_on(now, None);
        self.bury(now, sender, State::Left);
    }

    /// Takes leave: the others need not wait to find that it is gone.
    pub fn leave(&mut self) {
        self.outbox.push_to_farm(&Message::Leave);
        self.members.swim.leave();
        // What is left to be sent waits for no time.
        self.pass_on(Instant::default(), None);
    }

    /// Sends what is to be said, and remembers whom to meet.
    fn pass_on(&mut self, now: Instant, from: Option<SocketAddr>) {
        while let Some(event) = self.members.swim.poll_event() {
            match event {
                swim::Event::Up(Identity { incarnation, address, .. }) => {
                    let known = self.peers.get(&incarnation).map(|peer| peer.state);
                    let room = self.members.unmet.len() < MAX_MEMBERS;
                    if room && matches!(known, None | Some(State::Dead)) {
                        let address = from.map_or(address, |from| reachable(address, from));
                        let unmet = Unmet { address, due: now, pause: FIRST_PAUSE };
                        self.members.unmet.insert(incarnation, unmet);
                    }
                }
                swim::Event::Down(incarnation) => {
                    self.members.unmet.remove(&incarnation);
                }
            }
        }
        while let Some(transmit) = self.members.swim.poll_transmit() {
            let known = self.peers.get(&transmit.to).map(|peer| peer.address);
            let address = known.unwrap_or(transmit.address);
            let gossip = Message::Gossip(transmit.gossip);
            self.counters.gossip_bytes += self.outbox.push_to_node(address, &gossip) as u64;
        }
    }

    /// Looks who is silent, and who is spoken of.
    pub(super) fn look_at_members(&mut self, now: Instant) {
        let longest = longest_silence(self.sender.progress.count());
        let (mut ended, mut told, mut forgotten) = (Vec::new(), Vec::new(), Vec::new());
        let mut called_down = Vec::new();
        for (&incarnation, peer) in &mut self.peers {
            peer.answers = 0;
            let silence = now - peer.heard;
            if peer.is_alive() {
                let end = self.members.end(incarnation, silence, longest);
                ended.extend(end.map(|state| (incarnation, state)));
                if self.members.swim.standing(incarnation) != Some(Standing::Up) {
                    called_down.push((incarnation, peer.address));
                }
            } else if silence >= REMEMBERED {
                forgotten.push(incarnation);
            } else if peer.orphan_told < ORPHAN_TELLS {
                // Told again on the next rounds, as any packet may be lost.
                told.push(incarnation);
            }
        }
        self.look_for_deafness(now);
        for (incarnation, state) in ended {
            self.bury(now, incarnation, state);
        }
        told.into_iter().for_each(|incarnation| self.tell_orphan(incarnation));
        for incarnation in forgotten {
            self.peers.remove(&incarnation);
            self.join.renew_nonce(&mut self.rng);
        }
        let mut contradicted = 0;
        for (incarnation, address) in called_down {
            if contradicted < AT_ONCE && self.peers[&incarnation].is_alive() {
                let told = self.members.swim.handle_alive(now, incarnation, address);
                contradicted += usize::from(told);
            }
        }
        self.call_unmet(now);
        self.pass_on(now, None);
    }

    fn call_unmet(&mut self, now: Instant) {
        let peers = &self.peers;
        let alive = |incarnation: &Incarnation| peers.get(incarnation).is_some_and(Peer::is_alive);
        self.members.unmet.retain(|incarnation, _| !alive(incarnation));
        for address in self.members.due(now) {
            self.call_unknown(address);
        }
    }

    /// A node is not waited for any more.
    fn bury(&mut self, now: Instant, incarnation: Incarnation, state: State) {
        let Some(peer) = self.peers.get_mut(&incarnation) else { return };
        let was_alive = peer.is_alive();
        if peer.state == state || peer.state == State::Left {
            return;
        }
        peer.state = state;
        let name = peer.name.clone();
        if was_alive || state == State::Left {
            self.lost(now, incarnation);
        }
        self.event(match state {
            State::Left => Event::MemberLeft(name),
            State::Dead | State::Alive => Event::MemberDead(name),
        });
    }
}
