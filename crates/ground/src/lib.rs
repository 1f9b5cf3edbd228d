//! The ground on which Segue is tried and measured: machines of their own.
//!
//! Tests, `segue bench` and `segue demo` stand on it, which is why it is a
//! crate: none of them can use another's modules. It knows machines and
//! networks; it knows nothing of what is tried there.
//!
//! - [`network`]: machines on one wire, which can be cut and loses packets;
//! - [`load`]: what clients and a backend send each other, known to the byte;
//! - [`command`]: what is asked of the system's own programs.

pub mod command;
pub mod load;
pub mod network;

pub use network::{Network, NetworkError, or_skip};

/// The name that a farm's certificate is for.
pub const SERVER_NAME: &str = "shop.segue.example";
