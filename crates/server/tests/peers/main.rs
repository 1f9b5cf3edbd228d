//! The gateways' parsers and writers beside the servers whose protocols they
//! speak: the same bytes are sent to a real one, and what is heard is compared.
//!
//! - [`peer`]: a real `redis-server` or `memcached`, on a socket of its own;
//! - [`redis`]: what is a request, and how one is refused;
//! - [`memcached`]: what is a request in three protocols, and every reply;
//! - [`lines`], [`packets`]: what clients of memcached send;
//! - [`store`]: the plainest store that answers as memcached does.

mod lines;
mod memcached;
mod packets;
mod peer;
mod redis;
mod store;

use proto::rng::Rng;

/// One of some.
fn pick<T: Copy>(rng: &mut Rng, some: &[T]) -> T {
    some[usize::try_from(rng.below(some.len() as u64)).expect("an index")]
}

/// So that a difference can be read.
fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
