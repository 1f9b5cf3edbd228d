//! What a node that died, or is out of reach, left with its survivors.
//!
//! Each of them may have packets of its stream that others lack, and nobody is
//! left to repair them. So each tells the others exactly what it has, several
//! times as packets may be lost, and whoever lacks any of it pulls what was
//! written since it last had everything. Then it has what it was told of, so
//! that the survivors end with the same, whatever is lost for good. A node
//! that has started since takes part too: what it fetched when it joined named
//! the position of each stream, the dead ones among them.

use std::time::Duration;

use super::Node;
use super::peer::Peer;
use crate::cluster::portion::{Keep, Portion};
use crate::nak::receiver::Remains;
use crate::record::Hlc;
use crate::time::Instant;
use crate::transfer::puller::{Pull, Purpose};
use crate::wire::control::{MAX_NAK_RANGES, Message, Range, Source};
use crate::wire::header::Incarnation;

/// How often a node's survivors are told how much of its stream is here.
pub(super) const ORPHAN_TELLS: u32 = 10;

impl Node {
    /// A survivor tells what it has of a stream.
    pub(super) fn handle_orphan(
        &mut self,
        now: Instant,
        survivor: Incarnation,
        stream: Incarnation,
        theirs: Remains,
    ) {
        let Some((ours, since)) = self.remains(stream) else { return };
        let pulled = match self.peers.get(&stream) {
            Some(peer) => peer.orphan_pulled.get(&survivor),
            None => self.join.pulled_from((stream, survivor)),
        };
        if pulled.is_some_and(|pulled| pulled.cover(&theirs)) {
            return;
        }
        if !ours.cover(&theirs) {
            self.miss(now);
            if self.shares_nothing_with(survivor) {
                // There is nothing to be had, and so nothing of it is here.
                match self.peers.get_mut(&stream) {
                    Some(peer) => drop(peer.orphan_pulled.insert(survivor, theirs)),
                    None => self.join.pulled((stream, survivor), theirs),
                }
                return;
            }
            // When it is here, the survivor is told what it may lack itself.
            let purpose = Purpose::Orphan(stream, theirs);
            self.pull(now, Pull { from: survivor, source: Source::Since(since), purpose });
        } else if !theirs.cover(&ours)
            && let Some(peer) = self.peers.get(&survivor)
        {
            self.outbox.push_to_node(peer.address, &told(stream, ours));
        }
    }

    /// What a survivor had is here.
    pub(super) fn orphan_pulled(
        &mut self,
        now: Instant,
        (survivor, stream): (Incarnation, Incarnation),
        pulled: Remains,
    ) {
        let whole = self.has_whole_streams(survivor);
        let Some(peer) = self.peers.get_mut(&stream) else {
            if whole {
                self.join.learn(stream, &pulled);
            } else {
                self.join.pulled((stream, survivor), pulled);
            }
            return;
        };
        if self.portions.sharing {
            // What of it is of this node's portion came from others as well.
            peer.orphan_pulled.insert(survivor, pulled);
            // What began to linger while it came may have been left out of it.
            self.portions.moves.doubt(&self.portions.lingering.slots());
            self.review_arrived();
            return;
        }
        // Others may lack it as well.
        peer.orphan_told = 0;
        if peer.unmerged && pulled.through >= peer.follows_after {
            (peer.unmerged, peer.follows_after) = (false, 0);
        }
        let last = pulled.beyond.last().map_or(pulled.through, |range| range.last);
        peer.receiver.handle_high(now, last, &peer.rtt, Duration::ZERO);
        let through = Range { first: peer.receiver.watermark() + 1, last: pulled.through };
        peer.receiver.fill(now, through);
        for &range in &pulled.beyond {
            peer.receiver.fill(now, range);
        }
        self.look_at(stream);
    }

    /// What a survivor had could not be pulled: it is asked to tell again.
    pub(super) fn orphan_missed(&mut self, stream: Incarnation) {
        if let Some(peer) = self.peers.get_mut(&stream) {
            peer.orphan_told = 0;
        }
    }

    /// A node is new, back, ready or gone: it may not have heard what the
    /// survivors of others told each other, or may have something to tell.
    pub(super) const fn tell_orphans_again(&mut self) {
        self.orphans_untold = true;
    }

    /// Begins to tell them again, if there was reason to. Not with the reason:
    /// when a thousand nodes meet there are a million.
    pub(super) fn begin_to_tell_orphans(&mut self) {
        if std::mem::take(&mut self.orphans_untold) {
            for peer in self.peers.values_mut().filter(|peer| !peer.is_alive()) {
                peer.orphan_told = 0;
            }
        }
    }

    /// Tells what is here of a stream.
    pub(super) fn tell_orphan(&mut self, stream: Incarnation) {
        let Some((remains, _)) = self.remains(stream) else { return };
        if let Some(peer) = self.peers.get_mut(&stream) {
            peer.orphan_told += 1;
        }
        self.outbox.push_to_farm(&told(stream, remains));
    }

    /// Whether a node has all of the streams that it has followed. One that
    /// keeps a part has that of them.
    pub(super) fn has_whole_streams(&self, node: Incarnation) -> bool {
        let keeps_all = |peer: &Peer| peer.portion.keep == Keep::All;
        !self.portions.sharing || self.peers.get(&node).is_some_and(keeps_all)
    }

    /// Whether this node or the other keeps nothing at all.
    fn shares_nothing_with(&self, other: Incarnation) -> bool {
        let nothing =
            |portion: &Portion| matches!(&portion.keep, Keep::Of(names) if names.is_empty());
        nothing(&self.config.portion)
            || self.peers.get(&other).is_some_and(|peer| nothing(&peer.portion))
    }

    /// What is here of a stream whose sender is not heard, and since when
    /// something may be missing.
    fn remains(&self, stream: Incarnation) -> Option<(Remains, Hlc)> {
        match self.peers.get(&stream) {
            Some(peer) if peer.is_alive() => None,
            Some(peer) if peer.unmerged => {
                Some((after(peer.follows_after, peer.receiver.remains()), Hlc::default()))
            }
            Some(peer) => Some((peer.receiver.remains(), peer.complete)),
            // Never met: it died before this node started.
            None if stream == self.config.incarnation || !self.is_ready() => None,
            None => Some((self.join.remains(stream), Hlc::default())),
        }
    }
}

/// What remains of a stream that was followed only after this number.
fn after(position: u64, remains: Remains) -> Remains {
    let through = Range { first: 1, last: remains.through };
    let beyond = std::iter::once(through)
        .chain(remains.beyond)
        .map(|range| Range { first: range.first.max(position + 1), ..range })
        .filter(|range| range.first <= range.last)
        .collect();
    Remains { through: 0, beyond }
}

fn told(stream: Incarnation, remains: Remains) -> Message {
    let Remains { through: watermark, mut beyond } = remains;
    beyond.truncate(MAX_NAK_RANGES);
    Message::Orphan { stream, watermark, beyond }
}
