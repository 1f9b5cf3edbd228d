//! Redis' protocol, RESP2 and RESP3, as its server speaks it.
//!
//! [`Parser`] owns how far the request at the start of a connection's input
//! has been read, and the [`Writer`] how replies look in either version. What
//! a command means, who may give it and how the bytes are moved is for others
//! to know. The source is Redis 7.2: its `networking.c` for what is a
//! request, and in which words one is refused.

mod ahead;
mod error;
mod inline;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use ahead::{FirstArguments, first_arguments};
pub use error::ProtocolError;
pub use reply::{Version, Writer};
pub use request::{
    Arguments, Limits, Parser, Request, UNAUTHENTICATED_ARGUMENTS, UNAUTHENTICATED_BULK_BYTES,
};

/// The longest line: a typed command, or a count. Redis' own limit
/// (`PROTO_INLINE_MAX_SIZE`).
pub const MAX_LINE_BYTES: usize = 64 * 1024;
