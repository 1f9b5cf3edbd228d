//! Values of sessions that several places share, such as a register and the
//! messages about it.

use bytes::Bytes;
use zeroize::{Zeroize as _, Zeroizing};

/// A copy that leaves nothing behind when the last of those who share it goes.
#[must_use]
pub fn secret(bytes: &[u8]) -> Bytes {
    Bytes::from_owner(Wiped(bytes.to_vec()))
}

/// The same of what nobody else needs: without a copy.
#[must_use]
pub fn shared(mut bytes: Zeroizing<Vec<u8>>) -> Bytes {
    Bytes::from_owner(Wiped(std::mem::take(&mut *bytes)))
}

/// Bytes that are overwritten when they are dropped. `Zeroizing<Vec<u8>>` does it
/// byte by byte, which was a third of an understudy's time: of a slice it is as
/// fast as filling it.
struct Wiped(Vec<u8>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        // What lies behind the length may have had something in it.
        self.0.resize(self.0.capacity(), 0);
        self.0.as_mut_slice().zeroize();
    }
}
