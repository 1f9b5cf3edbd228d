//! Redis' protocol, RESP2 and RESP3, as its server speaks it.
//!
//! [`Parser`] owns how far the request at the start of a connection's input
//! has been read, and the [`Writer`] how replies look in either version. What
//! a command means, who may give it and how the bytes are moved is for others
//! to know. The source is Redis 7.2: its `networking.c` for what is a
//! request, and in which words one is refused.

mod inline;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use reply::{Version, Writer};
pub use request::{
    Arguments, Limits, MAX_LINE_BYTES, Parser, ProtocolError, Request, UNAUTHENTICATED_ARGUMENTS,
    UNAUTHENTICATED_BULK_BYTES,
};
