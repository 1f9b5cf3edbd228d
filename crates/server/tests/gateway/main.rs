//! The session stores behind Redis' and memcached's protocols, by real processes:
//! beside a real `redis-server` and `memcached` command by command, under real
//! clients, and across nodes that are killed.

mod access;
mod alone;
mod aspnet;
mod bench;
mod channels;
mod client;
mod differential;
mod encrypted;
mod farm;
#[path = "../farm/http.rs"]
mod http;
#[expect(dead_code, reason = "it is shared with the tests of parsers")]
#[path = "../peers/lines.rs"]
mod lines;
mod memcached;
mod node;
#[expect(dead_code, reason = "it is shared with the tests of parsers")]
#[path = "../peers/packets.rs"]
mod packets;
#[path = "../farm/patience.rs"]
mod patience;
#[expect(dead_code, reason = "it is shared with the tests of parsers")]
#[path = "../peers/peer.rs"]
mod peer;
mod rules;
mod scripts;
mod together;

use proto::rng::Rng;

/// One of some.
fn pick<T: Copy>(rng: &mut Rng, some: &[T]) -> T {
    some[usize::try_from(rng.below(some.len() as u64)).expect("an index")]
}
