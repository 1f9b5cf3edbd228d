//! What nodes say to each other, as bytes.
//!
//! A packet is a [`header`] in the clear, a sealed body and a 16-byte tag. The
//! body of a data packet is a run of [`frame`]s; that of a control packet, a
//! run of [`control`] messages. What goes over links, which are connections, is
//! in [`link`]. Everything here is decoding and encoding:
//! nothing knows who may send what, or when.
//!
//! Integers are big-endian. Decoding yields a value that cannot be wrong or a
//! [`Malformed`] that says where it stopped making sense; it never panics and
//! never allocates more than the input is long.

pub mod codec;
pub mod control;
pub mod frame;
pub mod header;
pub mod link;

pub use codec::{Malformed, Reader};

/// The largest packet, with header and tag: fits an Ethernet frame with room
/// for IPv6 and a tunnel or two.
pub const MAX_PACKET_BYTES: usize = 1_400;
/// The authentication tag of AES-128-GCM.
pub const TAG_BYTES: usize = 16;
/// What a packet of [`MAX_PACKET_BYTES`] has for its body.
pub const MAX_BODY_BYTES: usize = MAX_PACKET_BYTES - header::HEADER_BYTES - TAG_BYTES;
