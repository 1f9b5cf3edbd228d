//! The ground on which Segue is tried and measured: machines of their own.
//!
//! Tests, `segue bench` and `segue demo` stand on it, which is why it is a
//! crate: none of them can use another's modules. It knows machines, networks,
//! processes and connections; what is tried there is its users' business.
//!
//! - [`network`]: machines on one wire, which can be cut and loses packets;
//! - [`load`]: what clients and a backend send each other, known to the byte;
//! - [`farm`]: three servers, a backend and clients on such machines;
//! - [`command`]: what is asked of the system's own programs.

pub mod command;
pub mod farm;
pub mod load;
pub mod network;
mod watch;

pub use farm::{Farm, FarmError};
pub use network::{Network, NetworkError, or_skip};

/// The name that a farm's certificate is for.
pub const SERVER_NAME: &str = "shop.segue.example";
