//! Finding the others, and fetching the portion.
//!
//! How others are found is [`meet`]'s to say. A node's packets are not listened to before it has proven that it lives, by
//! sending back a nonce: else whoever recorded an old stream could replay it
//! to a node that has just started. The answer names the position from which
//! its stream is followed. A joining node follows every stream first and then
//! pulls the table of a node that is ready, which names the positions where
//! its own copies of the streams stood; what lies between is asked for.

pub(super) mod meet;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::peer::Peer;
use super::{Event, MAX_PEERS, Node};
use crate::cluster::portion::Keep;
use crate::load::Load;
use crate::nak::receiver::Remains;
use crate::nak::window::Window;
use crate::rng::Rng;
use crate::seal::Opener;
use crate::time::{Instant, Now};
use crate::transfer::page::Position;
use crate::transfer::puller::{Pull, Purpose};
use crate::wire::control::{Range, Source};
use crate::wire::header::Incarnation;

/// A node that nobody has answered for so long is alone.
const ALONE: Duration = Duration::from_millis(600);
/// After the first answer, others have so long to answer too.
const SETTLE: Duration = Duration::from_millis(100);
/// When others answered, but none that is ready: so long they are waited for.
const NONE_READY: Duration = Duration::from_millis(1_500);
/// The first pause between two calls; it doubles.
const CALL_PAUSE: Duration = Duration::from_millis(40);
/// Configured peers that are not members are called this often for good.
const CALL_SLOWLY: Duration = Duration::from_secs(5);
/// The most nodes that are being challenged at a time.
const MAX_CHALLENGED: usize = 256;
/// A node that was challenged is not challenged again within this time.
const CHALLENGE_PAUSE: Duration = Duration::from_millis(50);

/// The most addresses that are remembered as named, as many as an answer has
/// and more: what is forgotten is called once more.
const MAX_NAMED: usize = 256;

/// How far the node has come with joining.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody has answered.
    Calling,
    /// Somebody has, since then.
    Met(Instant),
    /// The table is being pulled.
    Fetching,
    /// The portion is here.
    Ready,
}

/// A node that has not answered yet.
#[derive(Debug)]
struct Challenged {
    opener: Opener,
    at: Instant,
}

/// What joining needs to remember.
#[derive(Debug)]
pub(super) struct Join {
    stage: Stage,
    pub(super) started: Instant,
    /// When the node is ready by itself, if nobody has a portion to give.
    pub(super) alone_from: Instant,
    /// What answers must bring back. Drawn anew whenever a node is forgotten,
    /// so that its old answers do not bring it back.
    nonce: u64,
    call_due: Instant,
    call_pause: Duration,
    challenged: BTreeMap<Incarnation, Challenged>,
    /// The addresses that answers named lately, and when they were looked at.
    named: BTreeMap<SocketAddr, Instant>,
    /// What is here of streams that were never followed, with the tables that
    /// were pulled from others; for those that are met later.
    known: BTreeMap<Incarnation, Window>,
    /// What of such streams needs to be asked for no more, of whom: in a farm
    /// that shares, each survivor has only its own of a stream.
    pulled: BTreeMap<(Incarnation, Incarnation), Remains>,
    /// Where its copies of the streams stood when a node began to send its
    /// table: known when the table is here.
    offered: Option<(Incarnation, Vec<Position>)>,
}

impl Join {
    pub(super) fn new(now: Instant, rng: &mut Rng) -> Self {
        Self {
            stage: Stage::Calling,
            started: now,
            alone_from: now + ALONE,
            nonce: rng.next_u64(),
            call_due: now,
            call_pause: CALL_PAUSE,
            challenged: BTreeMap::new(),
            named: BTreeMap::new(),
            known: BTreeMap::new(),
            pulled: BTreeMap::new(),
            offered: None,
        }
    }

    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    pub(super) fn timeout(&self) -> Instant {
        match self.stage {
            Stage::Calling => self.call_due.min(self.alone_from),
            Stage::Met(since) => {
                let settled = since + SETTLE;
                self.call_due.min(settled.max(self.started + SETTLE))
            }
            Stage::Fetching | Stage::Ready => self.call_due,
        }
    }

    /// The opener of a node that is being challenged.
    pub(super) fn challenged(&mut self, sender: Incarnation) -> Option<&mut Opener> {
        self.challenged.get_mut(&sender).map(|challenged| &mut challenged.opener)
    }

    /// A farm key opens no more.
    pub(super) fn forget_key(&mut self, key_id: u8) {
        self.challenged.values_mut().for_each(|challenged| challenged.opener.forget(key_id));
    }

    /// No answer from before counts any more.
    pub(super) fn renew_nonce(&mut self, rng: &mut Rng) {
        self.nonce = rng.next_u64();
    }

    /// What of a stream has come with somebody's table.
    pub(super) fn learn(&mut self, stream: Incarnation, remains: &Remains) {
        if self.known.len() >= MAX_PEERS && !self.known.contains_key(&stream) {
            // What is forgotten is pulled once more when it is told of.
            self.known.pop_first();
        }
        let window = self.known.entry(stream).or_insert_with(|| Window::new(remains.through));
        window.fill(Range { first: 1, last: remains.through });
        for &range in &remains.beyond {
            window.fill(range);
        }
    }

    /// A survivor has no more than this to give of a stream that was never
    /// followed.
    pub(super) fn pulled(&mut self, from: (Incarnation, Incarnation), pulled: Remains) {
        if self.pulled.len() >= MAX_PEERS && !self.pulled.contains_key(&from) {
            // What is forgotten is pulled once more when it is told of.
            self.pulled.pop_first();
        }
        self.pulled.insert(from, pulled);
    }

    /// What a survivor has given of a stream that was never followed.
    pub(super) fn pulled_from(&self, from: (Incarnation, Incarnation)) -> Option<&Remains> {
        self.pulled.get(&from)
    }

    /// What is here of a stream that was never followed.
    pub(super) fn remains(&self, stream: Incarnation) -> Remains {
        self.known.get(&stream).map_or_else(Remains::default, |window| Remains {
            through: window.watermark(),
            beyond: window.beyond().collect(),
        })
    }

    /// Where the streams stand that are known but were never followed.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        self.known.iter().map(|(&stream, window)| (stream, window.watermark()))
    }

    /// Whether an address that an answer names is to be looked at. In a large
    /// farm every answer names the same ones.
    fn names(&mut self, now: Instant, address: SocketAddr) -> bool {
        if self.named.get(&address).is_some_and(|&named| now - named < CHALLENGE_PAUSE) {
            return false;
        }
        if self.named.len() >= MAX_NAMED {
            self.named.retain(|_, named| now - *named < CHALLENGE_PAUSE);
        }
        if self.named.len() < MAX_NAMED {
            self.named.insert(address, now);
        }
        true
    }

    pub(super) fn loads(&self) -> [Load; 4] {
        [
            Load::new("named addresses", self.named.len(), MAX_NAMED),
            Load::new("challenged nodes", self.challenged.len(), MAX_CHALLENGED),
            Load::new("known streams", self.known.len(), MAX_PEERS),
            Load::new("pulled streams", self.pulled.len(), MAX_PEERS),
        ]
    }

    /// Where a stream stood that was never followed here.
    fn position(&self, stream: Incarnation) -> Option<u64> {
        self.known.get(&stream).map(Window::watermark)
    }
}

impl Node {
    /// Calls for others, and goes on with joining.
    pub(super) fn handle_join_timeout(&mut self, now: Now) {
        let instant = now.instant;
        if self.join.call_due <= instant {
            self.call();
            self.join.call_due = instant + self.join.call_pause;
            self.join.call_pause = if self.is_ready() {
                CALL_SLOWLY
            } else {
                (self.join.call_pause * 2).min(CALL_SLOWLY)
            };
        }
        let waited = instant - self.join.started;
        match self.join.stage {
            Stage::Calling if instant >= self.join.alone_from || self.cannot_be_heard() => {
                if !self.config.peers.is_empty() {
                    self.event(Event::NobodyAnswers(self.config.peers.len()));
                }
                self.become_ready();
            }
            Stage::Met(since) if instant - since >= SETTLE => self.fetch_portion(waited, instant),
            Stage::Calling | Stage::Met(_) | Stage::Fetching | Stage::Ready => {}
        }
    }

    /// Fetches what the nodes that were met late had before.
    pub(super) fn merge_histories(&mut self, now: Instant) {
        if !self.is_ready() {
            return;
        }
        let unmerged = self.peers.iter().filter(|(_, peer)| peer.unmerged && peer.is_alive());
        let unmerged: Vec<Incarnation> = unmerged.map(|(&incarnation, _)| incarnation).collect();
        for from in unmerged {
            let purpose = Purpose::Merge;
            self.pull(now, Pull { from, source: Source::Table, purpose });
        }
    }

    /// A node that begins to send its table says where its copies of the
    /// streams stand.
    pub(super) fn offered(&mut self, now: Instant, from: Incarnation, positions: Vec<Position>) {
        if self.join.stage == Stage::Fetching {
            // Asked for early, while their senders still have it.
            for &(stream, position) in &positions {
                self.follow_from(now, stream, position);
            }
        }
        if self.portions.moves.is_joining() {
            self.portions.moves.offered(from, &positions);
            return;
        }
        self.join.offered = Some((from, positions));
    }

    /// What a node had before it was met is here.
    pub(super) fn merged(&mut self, from: Incarnation) {
        if let Some(peer) = self.peers.get_mut(&from) {
            (peer.unmerged, peer.follows_after) = (false, 0);
        }
        let offered = self.join.offered.take_if(|(provider, _)| *provider == from);
        let offered = offered.filter(|_| self.has_whole_streams(from));
        for (stream, through) in offered.into_iter().flat_map(|(_, positions)| positions) {
            self.join.learn(stream, &Remains { through, beyond: Vec::new() });
        }
    }

    /// The table of `provider` is here, and with it what the streams that it
    /// followed had before.
    pub(super) fn fetched_portion(&mut self, now: Instant, provider: Incarnation) {
        let offered = self.join.offered.as_ref().filter(|(from, _)| *from == provider);
        let offered = offered.map(|(_, positions)| positions.clone()).unwrap_or_default();
        for (stream, position) in offered {
            // Also those that were met since the table began to come.
            if self.follow_from(now, stream, position)
                && let Some(peer) = self.peers.get_mut(&stream)
            {
                (peer.unmerged, peer.follows_after) = (false, 0);
            }
        }
        self.merged(provider);
        self.become_ready();
        self.tell_orphans_again();
    }

    /// Follows a stream from an earlier position. False when that is too far
    /// back: what its sender holds is then pulled.
    pub(super) fn follow_from(&mut self, now: Instant, stream: Incarnation, position: u64) -> bool {
        let reopened = self
            .peers
            .get_mut(&stream)
            .is_none_or(|peer| peer.receiver.reopen(now, position, &peer.rtt));
        self.look_at(stream);
        reopened
    }

    /// The portion has arrived.
    pub(super) fn become_ready(&mut self) {
        self.join.stage = Stage::Ready;
        self.join.call_pause = CALL_SLOWLY;
        self.event(Event::Ready);
    }

    /// A table did not come as a whole.
    pub(super) fn table_missed(&mut self, from: Incarnation) {
        self.join.offered.take_if(|(provider, _)| *provider == from);
    }

    /// The node that the portion was being fetched from fell silent.
    pub(super) fn fetch_again(&mut self, now: Instant) {
        if self.join.stage == Stage::Fetching {
            self.join.stage = Stage::Met(now);
        }
    }

    fn fetch_portion(&mut self, waited: Duration, now: Instant) {
        self.review_members(now);
        let ready = self.peers.iter().filter(|(_, peer)| peer.is_alive() && peer.ready);
        // One table has all of it, if both are to keep everything.
        let whole = |peer: &Peer| peer.portion.keep == Keep::All;
        let wanted = self.config.portion.keep == Keep::All;
        let provider = ready
            .clone()
            .filter(|(_, peer)| wanted && whole(peer))
            .map(|(&incarnation, peer)| (peer.rtt.mean(), incarnation))
            .min();
        match provider {
            // Among more than these its share is smaller.
            None if self.portions.behind => self.join.stage = Stage::Met(now),
            None if ready.count() > 0 => {
                self.join.stage = Stage::Fetching;
                self.join_shares(now);
            }
            Some((_, from)) => {
                self.join.stage = Stage::Fetching;
                self.pull(now, Pull { from, source: Source::Table, purpose: Purpose::Join });
            }
            // All of them are as new as this node.
            None if waited >= NONE_READY && now >= self.join.alone_from => self.become_ready(),
            None => self.join.stage = Stage::Met(now),
        }
    }

    /// Whether nobody can hear a call: no multicast, and no peer to call.
    fn cannot_be_heard(&self) -> bool {
        !self.config.multicast && self.config.peers.is_empty()
    }
}
