//! The key files of a farm that changes its key again and again.
//!
//! Each rotation has three steps, as `segue keygen --rotate` makes them: a key
//! is installed, it is switched to, and the one before it is retired. Farms
//! in which each node is at one of two steps that follow each other open all
//! of each other's packets.

use std::sync::LazyLock;

use proto::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};

/// The ring after so many steps.
///
/// # Panics
///
/// Never: neighbours in the rotation have different ids.
#[must_use]
pub fn ring(step: u64) -> Keyring {
    let rotation = step / 3;
    let keys = match step % 3 {
        0 => vec![key(rotation)],
        1 => vec![key(rotation), key(rotation + 1)],
        _ => vec![key(rotation + 1), key(rotation)],
    };
    let ring = Keyring::new(keys).expect("ids in turn");
    ring.placed_by(key(0).placement_secret())
}

/// How many keys there are: more than a run gets through.
const KEYS: u64 = 64;

/// The key of a rotation: the ids take turns, as `segue keygen` has them.
fn key(rotation: u64) -> FarmKey {
    /// Drawn once: one in 256 keys has the id that is wanted.
    static ALL: LazyLock<Vec<FarmKey>> = LazyLock::new(|| (0..KEYS).map(draw).collect());
    ALL[usize::try_from(rotation % KEYS).expect("a remainder")].clone()
}

fn draw(rotation: u64) -> FarmKey {
    let keys = (0_u64..).map(|draw| {
        let mut bytes = [7; FARM_KEY_BYTES];
        bytes[..8].copy_from_slice(&rotation.to_be_bytes());
        bytes[8..16].copy_from_slice(&draw.to_be_bytes());
        FarmKey::new(bytes)
    });
    let mut right = keys.filter(|key| u64::from(key.id()) == rotation);
    right.next().expect("one in 256 keys has that id")
}
