//! What clients of other stores say: Redis' protocol and memcached's, as bytes,
//! and what Redis' commands do to one value. It knows nothing of where values are
//! kept, nor of who asks.

pub mod memcached;
pub mod number;
pub mod redis;
pub mod resp;
mod scan;
#[cfg(test)]
mod testing;
