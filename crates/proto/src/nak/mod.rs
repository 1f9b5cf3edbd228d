//! The reliable multicast: negative acknowledgement, silence means received.
//!
//! A [`sender::Sender`] numbers and seals its stream and keeps the sealed
//! packets for repair; a [`receiver::Receiver`] for each other node's stream
//! finds the gaps and asks. Both are machines without I/O: they know packets,
//! numbers and times, and neither records nor addresses. Records are applied
//! as their packet arrives, in any order, since they carry versions; a gap
//! holds back nothing but the watermark.

pub mod acks;
pub mod gaps;
pub mod log;
pub mod pace;
pub mod progress;
pub mod reassembly;
pub mod receiver;
pub mod ring;
pub mod rtt;
pub mod sender;
pub mod spacing;
pub mod stage;
pub mod window;

#[cfg(test)]
mod tests;
