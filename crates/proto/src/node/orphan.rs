//! What a node that died, or is out of reach, left with its survivors.
//!
//! Each of them may have packets of its stream that others lack, and nobody is
//! left to repair them. So each tells the others how much it has, several
//! times as packets may be lost, and whoever has less pulls what was written
//! since it last had everything. A node that has started since takes part too:
//! what it fetched when it joined named the position of each stream, the dead
//! ones among them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{MAX_PEERS, Node};
use crate::record::Hlc;
use crate::time::Instant;
use crate::transfer::puller::{Pull, Purpose};
use crate::wire::control::{Message, Range, Source};
use crate::wire::header::Incarnation;

/// How often a node's survivors are told how much of its stream is here.
pub(super) const ORPHAN_TELLS: u32 = 10;

/// How much of a stream a survivor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remains {
    /// Up to where it has everything, as whole frames.
    pub(super) through: u64,
    /// The last packet that it has.
    pub(super) highest: u64,
}

/// What was pulled already: by stream and survivor, as it told it then.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    pulled: BTreeMap<(Incarnation, Incarnation), Remains>,
}

impl Node {
    /// A survivor tells what it has of a stream.
    pub(super) fn handle_orphan(
        &mut self,
        survivor: Incarnation,
        stream: Incarnation,
        theirs: Remains,
    ) {
        let Some((ours, since)) = self.remains(stream) else { return };
        if let (true, Some(peer)) = (
            ours.highest > theirs.highest || ours.through > theirs.through,
            self.peers.get(&survivor),
        ) {
            let Remains { through: watermark, highest } = ours;
            let told = Message::Orphan { stream, watermark, highest };
            self.outbox.push_to_node(peer.address, &told);
        }
        let pulled = self.orphans.pulled.get(&(stream, survivor));
        if theirs.highest > ours.through && pulled != Some(&theirs) {
            if self.orphans.pulled.len() >= MAX_PEERS {
                self.orphans.pulled.pop_first();
            }
            self.orphans.pulled.insert((stream, survivor), theirs);
            let purpose = Purpose::Orphan(stream, theirs.through);
            self.pull(Pull { from: survivor, source: Source::Since(since), purpose });
        }
    }

    /// What a survivor had is here.
    pub(super) fn orphan_pulled(&mut self, now: Instant, stream: Incarnation, through: u64) {
        let Some(peer) = self.peers.get_mut(&stream) else {
            self.join.remember(stream, through);
            return;
        };
        // Others may lack it as well.
        peer.orphan_told = 0;
        let first = peer.receiver.watermark() + 1;
        if first <= through {
            peer.receiver.handle_high(now, through, &peer.rtt, Duration::ZERO);
            peer.receiver.fill(now, Range { first, last: through });
        }
    }

    /// What a survivor had could not be pulled: when it tells again, it is.
    pub(super) fn orphan_missed(&mut self, stream: Incarnation, survivor: Incarnation) {
        self.orphans.pulled.remove(&(stream, survivor));
        if let Some(peer) = self.peers.get_mut(&stream) {
            peer.orphan_told = 0;
        }
    }

    /// A node is new, or back: it may not have heard what the survivors of
    /// others told each other, or may have something to tell.
    pub(super) fn tell_orphans_again(&mut self) {
        for peer in self.peers.values_mut().filter(|peer| !peer.is_alive()) {
            peer.orphan_told = 0;
        }
    }

    /// Tells what is here of a stream.
    pub(super) fn tell_orphan(&mut self, stream: Incarnation) {
        let Some((Remains { through: watermark, highest }, _)) = self.remains(stream) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(&stream) {
            peer.orphan_told += 1;
        }
        self.outbox.push_to_farm(&Message::Orphan { stream, watermark, highest });
    }

    /// What is here of a stream whose sender is not heard, and since when
    /// something may be missing.
    fn remains(&self, stream: Incarnation) -> Option<(Remains, Hlc)> {
        match self.peers.get(&stream) {
            Some(peer) if peer.is_alive() => None,
            Some(peer) => {
                let (through, highest) = (peer.receiver.whole_through(), peer.receiver.highest());
                Some((Remains { through, highest }, peer.complete))
            }
            // Never met: it died before this node started.
            None if stream == self.config.incarnation || !self.is_ready() => None,
            None => {
                let position = self.join.position(stream).unwrap_or(0);
                Some((Remains { through: position, highest: position }, Hlc::default()))
            }
        }
    }
}
