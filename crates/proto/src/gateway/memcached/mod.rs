//! memcached's protocols: text, with the meta commands among it, and binary.
//!
//! All three become the same [`Command`]s, and what comes of a command is
//! written by one [`Writer`], which knows by the request's [`Answer`] in which
//! protocol, and whether the client wants to hear it. So what a command does to a
//! value ([`values`]) needs not know how it came. The [`Parser`] owns how far a
//! connection's input has been read; nothing here knows where values are stored.
//!
//! The source is memcached 1.6.18: its `doc/protocol.txt` and
//! `protocol_binary.h` for the form of requests and replies, and its behaviour
//! for the words of errors, and for what closes a connection.

use crate::record::MAX_PAYLOAD_BYTES;

mod base64;
mod binary;
mod command;
mod meta;
mod number;
mod parser;
mod reply;
#[cfg(test)]
mod tests;
mod text;
pub mod values;

pub use command::{
    Answer, Arithmetic, Command, Delete, Expiry, Fetch, Keys, Mode, Request, Store, Text,
};
pub use parser::{Closed, Limits, MAX_LINE_BYTES, MAX_MULTIGET_BYTES, Parsed, Parser, Refusal};
pub use reply::{Found, Inspected, Writer};

/// The longest key, as a client sends it. memcached's own limit.
pub const MAX_KEY_BYTES: usize = 250;

/// The longest value: as long as a record's payload, without what else stands in
/// that. memcached's own limit is a megabyte with what it keeps beside a value:
/// 1,048,516 bytes with the shortest key.
pub const MAX_VALUE_BYTES: usize =
    MAX_PAYLOAD_BYTES - crate::web::payload::overhead_bytes(MAX_KEY_BYTES);

/// What every packet of the binary protocol begins with, and no line of the
/// text protocol does: by it a connection's first byte says which it speaks.
pub const BINARY_REQUEST: u8 = 0x80;
