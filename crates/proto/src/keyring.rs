//! The farm's keys and what is derived from them.
//!
//! Every key in use comes from a 256-bit farm key by HKDF-SHA-256 (RFC 5869)
//! under a label of its own, so that no key serves two purposes.

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

/// How long a farm key is, in bytes.
pub const FARM_KEY_BYTES: usize = 32;

/// A 256-bit secret that all nodes of a farm share. Zeroized when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct FarmKey(Zeroizing<[u8; FARM_KEY_BYTES]>);

impl FarmKey {
    /// The key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; FARM_KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The number that packets name this key by: not secret, and not unique,
    /// since it has only eight bits.
    #[must_use]
    pub fn id(&self) -> u8 {
        self.derive::<1>(&[b"segue key id"])[0]
    }

    /// `N` bytes derived under a label, given in parts (HKDF-Expand's info).
    #[must_use]
    pub fn derive<const N: usize>(&self, label: &[&[u8]]) -> [u8; N] {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"segue v1");
        let mut bytes = [0; N];
        salt.extract(&*self.0)
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
    /// Two keys have one id, so a packet would not say which seals it.
    #[error("farm keys {first} and {second} have the same 8-bit id; make one of them anew")]
    SameId {
        /// Where the first stands in the list, from 0.
        first: usize,
        /// Where the second stands.
        second: usize,
    },
}

/// The farm's keys: the first seals, all of them open.
#[derive(Debug, Clone)]
pub struct Keyring(Vec<FarmKey>);

impl Keyring {
    /// A keyring of `keys`.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] when there is no key, or when two have one id.
    pub fn new(keys: Vec<FarmKey>) -> Result<Self, KeyringError> {
        if keys.is_empty() {
            return Err(KeyringError::Empty);
        }
        for (second, key) in keys.iter().enumerate() {
            let id = key.id();
            if let Some(first) = keys[..second].iter().position(|earlier| earlier.id() == id) {
                return Err(KeyringError::SameId { first, second });
            }
        }
        Ok(Self(keys))
    }

    /// The key that seals.
    #[must_use]
    pub fn sealing(&self) -> &FarmKey {
        &self.0[0]
    }

    /// The key of that id, if it is in the ring.
    #[must_use]
    pub fn opening(&self, id: u8) -> Option<&FarmKey> {
        self.0.iter().find(|key| key.id() == id)
    }

    /// The secret that the placement hash's aliases come from. It must not
    /// change when the sealing key is rotated, so it comes from the last key
    /// of the ring, the oldest one.
    #[must_use]
    pub fn placement_secret(&self) -> [u8; 32] {
        self.0.last().expect("never empty").derive(&[b"segue placement"])
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
