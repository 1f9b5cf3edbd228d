//! One farm key after another.
//!
//! A ring of keys takes the place of another in mid-stream. From the next
//! packet on its first key seals; what was sealed before stays as it is, to be
//! repaired byte for byte. A key that is in the ring no more opens until what
//! it sealed has come: 15 seconds, and until every stream has come as far as
//! it was known to reach when the rings changed. Then it is retired. Packets
//! under it are forgeries, and a node that asks for one that is still in our
//! ring is told that it is gone, and gets the values otherwise.

use super::{Event, Node};
use crate::keyring::{Keyring, RekeyError};
use crate::time::Instant;

impl Node {
    /// Uses these keys from here on.
    ///
    /// # Errors
    ///
    /// [`RekeyError`] when they do not belong to this farm. Nothing changes
    /// then.
    pub fn rekey(&mut self, now: Instant, keyring: Keyring) -> Result<(), RekeyError> {
        let gone = self.config.keyring.replace(keyring, now)?;
        self.sender.rekey(self.config.keyring.sealing());
        self.outbox.rekey(self.config.keyring.sealing());
        for peer in self.peers.values_mut() {
            peer.rekeyed_at = peer.receiver.high();
        }
        self.forget_keys(&gone);
        Ok(())
    }

    /// The keys in use.
    #[must_use]
    pub const fn keyring(&self) -> &Keyring {
        &self.config.keyring
    }

    /// Retires the keys that nothing waits for any more.
    pub(super) fn retire_keys(&mut self, now: Instant) {
        if self.config.keyring.load().used == 0 {
            return;
        }
        let mut alive = self.peers.values().filter(|peer| peer.is_alive());
        let behind = alive.any(|peer| peer.receiver.watermark() < peer.rekeyed_at);
        let sender = &self.sender;
        let retired = self.config.keyring.retire(now, |id| behind || !sender.all_have_opened(id));
        self.forget_keys(&retired);
        retired.into_iter().for_each(|id| self.event(Event::KeyRetired(id)));
    }

    /// Neither opens nor repairs what keys sealed that nobody has any more.
    fn forget_keys(&mut self, ids: &[u8]) {
        for &id in ids {
            self.sender.retire(id);
            self.peers.values_mut().for_each(|peer| peer.opener.forget(id));
            self.join.forget_key(id);
        }
    }
}
