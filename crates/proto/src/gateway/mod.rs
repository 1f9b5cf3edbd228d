//! What clients of other stores say, as bytes: Redis' protocol and
//! memcached's. It knows how requests and replies are written, and nothing of
//! what a command does or of where values are kept.

pub mod memcached;
pub mod number;
pub mod redis;
pub mod resp;
mod scan;
