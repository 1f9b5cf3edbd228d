//! How full everything is that a node keeps, against the limits that it has.

use super::{MAX_EVENTS, MAX_PEERS, Node};
use crate::load::Load;

impl Node {
    /// Everything that is bounded beside the table, which has a capacity.
    #[must_use]
    pub fn loads(&self) -> Vec<Load> {
        let mut loads = vec![
            Load::new("events", self.events.len(), MAX_EVENTS),
            Load::new("peers", self.peers.len(), MAX_PEERS),
            self.outbox.load(),
            self.claiming.load(),
            self.claims.load(),
            self.puller.load(),
            self.provider.load(),
            self.portions.moves.load(),
            self.config.keyring.load(),
        ];
        loads.extend(self.sender.loads());
        loads.extend(self.waiting.loads());
        loads.extend(self.join.loads());
        loads.extend(self.members.loads());
        loads.extend(self.misfits.loads());
        loads.extend(self.lookups.loads());
        loads.extend(self.agree_loads());
        for peer in self.peers.values() {
            loads.push(peer.load());
            loads.extend(peer.receiver.loads());
        }
        loads
    }
}
