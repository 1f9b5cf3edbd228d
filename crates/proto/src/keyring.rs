//! The farm's keys and what is derived from them.
//!
//! Every key in use comes from a 256-bit farm key by HKDF-SHA-256 (RFC 5869)
//! under a label of its own, so that no key serves two purposes. A [`Keyring`]
//! knows which key seals and which ones open, also while a ring takes the
//! place of another; what a packet is sealed with is [`crate::seal`]'s.

use std::time::Duration;

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::load::Load;
use crate::time::Instant;

/// How long a farm key is, in bytes.
pub const FARM_KEY_BYTES: usize = 32;
/// The most keys of a ring: a rotation has the previous, the current and the
/// next one, and some may be left from rotations that were broken off.
pub const MAX_KEYS: usize = 8;
/// A key that left the ring opens for so long: all that was sealed with it has
/// arrived by then, or was repaired.
pub const LEAVES_AFTER: Duration = Duration::from_secs(15);
/// For so long it opens if streams still wait for packets that it sealed. What
/// has not come then is fetched otherwise: whoever must not read on cannot
/// hold the key in use.
pub const LEAVES_BY: Duration = Duration::from_secs(30);
/// The most keys that are leaving: three a second would have to be replaced
/// for the oldest to go early.
const MAX_LEAVING: usize = 64;

/// A 256-bit secret that all nodes of a farm share. Zeroized when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct FarmKey {
    secret: Zeroizing<[u8; FARM_KEY_BYTES]>,
    /// Derived once: every packet asks for it.
    id: u8,
}

impl FarmKey {
    /// The key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; FARM_KEY_BYTES]) -> Self {
        let mut key = Self { secret: Zeroizing::new(bytes), id: 0 };
        key.id = key.derive::<1>(&[b"segue key id"])[0];
        key
    }

    /// The number that packets name this key by: not secret, and not unique,
    /// since it has only eight bits.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }

    /// The secret that places a farm's records, where this is its first key.
    #[must_use]
    pub fn placement_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.derive(&[b"segue placement"]))
    }

    /// `N` bytes derived under a label, given in parts (HKDF-Expand's info).
    #[must_use]
    pub fn derive<const N: usize>(&self, label: &[&[u8]]) -> [u8; N] {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"segue v1");
        let mut bytes = [0; N];
        salt.extract(&*self.secret)
            .expand(label, Length(N))
            .and_then(|okm| okm.fill(&mut bytes))
            .expect("HKDF gives up to 255 hashes of output");
        bytes
    }
}

impl std::fmt::Debug for FarmKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FarmKey(id {})", self.id())
    }
}

/// Why a list of farm keys makes no keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The list was empty.
    #[error("no farm key given; `segue keygen` makes one")]
    Empty,
    /// The list was too long.
    #[error("found {0} farm keys, expected at most {MAX_KEYS}")]
    TooMany(usize),
    /// Two keys have one id, so a packet would not say which seals it.
    #[error("farm keys {first} and {second} have the same 8-bit id; make one of them anew")]
    SameId {
        /// Where the first stands in the list, from 0.
        first: usize,
        /// Where the second stands.
        second: usize,
    },
}

/// Why a keyring cannot take the place of another in a running node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RekeyError {
    /// The two derive a record's place from different secrets.
    #[error("the new keyring places records elsewhere than the one in use")]
    Placement,
}

/// Eight bytes that come from a placement secret: two secrets have the same with
/// a probability of 2^-64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacementCheck(pub [u8; 8]);

/// The farm's keys: the first seals, all of them open. Those that another ring
/// has replaced open too, until they are retired.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<FarmKey>,
    placement: Zeroizing<[u8; 32]>,
    /// The longest ago first.
    leaving: Vec<Leaving>,
}

/// A key that is in the ring no more.
#[derive(Clone)]
struct Leaving {
    key: FarmKey,
    since: Instant,
}

impl Keyring {
    /// A keyring of `keys`. Unless told otherwise ([`Self::placed_by`]) it
    /// takes the last one for the oldest, and places records by it.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] when there is no key, when there are more than
    /// [`MAX_KEYS`], or when two have one id.
    pub fn new(keys: Vec<FarmKey>) -> Result<Self, KeyringError> {
        if keys.len() > MAX_KEYS {
            return Err(KeyringError::TooMany(keys.len()));
        }
        for (second, key) in keys.iter().enumerate() {
            let id = key.id();
            if let Some(first) = keys[..second].iter().position(|earlier| earlier.id() == id) {
                return Err(KeyringError::SameId { first, second });
            }
        }
        let placement = keys.last().ok_or(KeyringError::Empty)?.placement_secret();
        Ok(Self { keys, placement, leaving: Vec::new() })
    }

    /// The same keys in a farm that places its records by this secret: it
    /// outlives the key that it was once derived from.
    #[must_use]
    pub fn placed_by(self, secret: Zeroizing<[u8; 32]>) -> Self {
        Self { placement: secret, ..self }
    }

    /// The key that seals.
    #[must_use]
    pub fn sealing(&self) -> &FarmKey {
        &self.keys[0]
    }

    /// The key of that id, if there is one that opens.
    #[must_use]
    pub fn opening(&self, id: u8) -> Option<&FarmKey> {
        let leaving = self.leaving.iter().map(|leaving| &leaving.key);
        self.keys.iter().chain(leaving).find(|key| key.id() == id)
    }

    /// How many keys are leaving.
    pub(crate) const fn load(&self) -> Load {
        Load::new("keys that are leaving", self.leaving.len(), MAX_LEAVING)
    }

    /// The ids of the keys of the ring, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = u8> + '_ {
        self.keys.iter().map(FarmKey::id)
    }

    /// The secret that the placement hash's aliases come from. All nodes of a
    /// farm have the same, and no rotation changes it.
    #[must_use]
    pub fn placement_secret(&self) -> [u8; 32] {
        *self.placement
    }

    /// What tells whether another node has the same placement secret, and
    /// nothing else of it.
    #[must_use]
    pub fn placement_check(&self) -> PlacementCheck {
        PlacementCheck(FarmKey::new(*self.placement).derive(&[b"segue placement check"]))
    }

    /// Puts `ring` in this one's place. Keys that are not in it open on until
    /// they are retired. Gives the ids that stand for another key from here
    /// on, or for none.
    ///
    /// # Errors
    ///
    /// [`RekeyError`], and nothing has changed then.
    pub fn replace(&mut self, ring: Self, now: Instant) -> Result<Vec<u8>, RekeyError> {
        if ring.placement != self.placement {
            return Err(RekeyError::Placement);
        }
        let before = std::mem::replace(&mut self.keys, ring.keys);
        self.leaving.extend(before.into_iter().map(|key| Leaving { key, since: now }));
        // What is in the ring does not leave it; and one id names one key.
        let mut gone = Vec::new();
        let keys = &self.keys;
        self.leaving.retain(|Leaving { key, .. }| {
            let successor = keys.iter().find(|kept| kept.id() == key.id());
            gone.extend(successor.filter(|kept| *kept != key).map(FarmKey::id));
            successor.is_none()
        });
        let excess = self.leaving.len().saturating_sub(MAX_LEAVING);
        gone.extend(self.leaving.drain(..excess).map(|leaving| leaving.key.id()));
        Ok(gone)
    }

    /// Forgets the keys that have left for good: [`LEAVES_AFTER`] ago if
    /// nothing `waits` for packets under that id, else [`LEAVES_BY`] ago.
    /// Gives their ids.
    pub fn retire(&mut self, now: Instant, waits: impl Fn(u8) -> bool) -> Vec<u8> {
        let mut retired = Vec::new();
        self.leaving.retain(|Leaving { key, since }| {
            let left = now.saturating_since(*since);
            let stays = left < LEAVES_AFTER || (left < LEAVES_BY && waits(key.id()));
            if !stays {
                retired.push(key.id());
            }
            stays
        });
        retired
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let leaving = self.leaving.iter().map(|leaving| leaving.key.id());
        let (ids, leaving) = (self.ids().collect::<Vec<_>>(), leaving.collect::<Vec<_>>());
        write!(f, "Keyring({ids:?}, leaving {leaving:?})")
    }
}

/// A length in bytes, as HKDF's output asks for it.
#[derive(Clone, Copy)]
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests;
