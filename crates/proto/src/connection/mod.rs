//! Live connections: what a connection to a client consists of, so that
//! another server can go on with it.
//!
//! - [`segment`]: TCP segments, as they come from the network.

pub mod segment;
