//! What clients of other stores say: Redis' protocol and memcached's, as bytes,
//! and what their commands do to one value. It knows nothing of where values are
//! kept, nor of who asks.

pub mod memcached;
pub mod number;
pub mod redis;
pub mod resp;
mod scan;
#[cfg(test)]
mod testing;

/// How a request's change is brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It changes nothing.
    Read,
    /// It merges.
    Write,
    /// It needs one answer.
    OneAnswer,
}
