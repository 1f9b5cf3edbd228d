//! What goes over a stream once both ends have proven themselves: frames, sealed
//! as many together as leave together.
//!
//! TLS could go on with it, but keeps copies of its own on the way. What is
//! pushed here is sealed where it stands and sent from there; what comes is
//! opened where the socket has put it, and read from there.
//!
//! ```text
//! record  length(4) frames, sealed(length) tag(16)
//! ```
//!
//! A record has whole frames, and at least one. The keys of either direction
//! follow from a secret that TLS has exported for this, and a record's nonce is
//! its number, so that what is left out, repeated or put elsewhere does not open.
//! After [`RECORDS_A_KEY`] records both ends turn to the next key, with nothing
//! said; the one before does not follow from it. What frames say, and who sends
//! bytes, is not known here.

mod keys;
mod open;
mod seal;

pub use keys::{RECORDS_A_KEY, SECRET_BYTES};
pub use open::{Opener, Unreadable};
pub use seal::Sealer;

use super::frame::FRAME_BYTES;

/// The length in front of a record, which is authenticated with it.
const LENGTH_BYTES: usize = 4;
/// AES-GCM's tag.
const TAG_BYTES: usize = 16;
/// A record that has become as long is sealed: what is opened stays in the
/// innermost caches until its frames are read, and the tag is a thousandth.
const FULL_BYTES: usize = 32 << 10;
/// How much a record has in it at the most: it was not full, and one frame came.
const MOST_BYTES: usize = FULL_BYTES + FRAME_BYTES;

#[cfg(test)]
mod tests;
