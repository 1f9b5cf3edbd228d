//! Logins, carts, payments and addresses at nodes that talk over real sockets.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod carts;
mod nodes;
mod payments;
mod sessions;

use nodes::{config, eventually, farm};
use segue::{Key, Kind};

/// The record of an id, as whoever has the farm's key finds it.
fn key(kind: Kind, of: u8, id: &[u8; 32]) -> Key {
    Key::new(kind, &[&[of], &id[..]].concat()).unwrap()
}
