//! Values of sessions that several places share, such as a register and the
//! messages about it.

use bytes::Bytes;
use zeroize::Zeroizing;

/// A copy that leaves nothing behind when the last of those who share it goes.
#[must_use]
pub fn secret(bytes: &[u8]) -> Bytes {
    Bytes::from_owner(Zeroizing::new(bytes.to_vec()))
}
