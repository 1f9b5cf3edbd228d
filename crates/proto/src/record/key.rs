//! A record's key: its kind and its id.

use std::fmt;

use super::MAX_ID_BYTES;

/// What sort of state a record holds; each kind merges by rules of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A TLS session.
    Tls = 1,
    /// A user's authentication.
    Auth = 2,
    /// A live connection.
    Conn = 3,
    /// A cart, a payment or an address.
    Purchase = 4,
    /// An opaque web session, from the gateways.
    Web = 5,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Tls, Self::Auth, Self::Conn, Self::Purchase, Self::Web];

    /// The kind of a wire number.
    #[must_use]
    #[inline]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Tls),
            2 => Some(Self::Auth),
            3 => Some(Self::Conn),
            4 => Some(Self::Purchase),
            5 => Some(Self::Web),
            _ => None,
        }
    }

    /// The word for it in configuration, figures and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Conn => "conn",
            Self::Purchase => "purchase",
            Self::Web => "web",
        }
    }

    /// Whether a delete ends the id for good. Ids of these kinds are random
    /// and never given twice, so whatever comes after a delete is late. A web
    /// client may name a session again after it deleted it: there the later
    /// version wins.
    #[must_use]
    pub const fn delete_is_final(self) -> bool {
        match self {
            Self::Tls | Self::Auth | Self::Conn | Self::Purchase => true,
            Self::Web => false,
        }
    }
}

/// An id was longer than [`MAX_ID_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of {found} bytes; at most {MAX_ID_BYTES} are allowed")]
pub struct IdTooLong {
    /// How long it was, in bytes.
    pub found: usize,
}

/// An id as a record's owner gave it, at most [`MAX_ID_BYTES`] long.
pub type Id<'a> = &'a [u8];

/// A record's key. Copied, not borrowed: it has no heap behind it.
#[derive(Clone, Copy)]
pub struct Key {
    /// The id, then the kind's number: the bytes that are hashed. In this
    /// order a word of the id is read as it was written.
    bytes: [u8; MAX_ID_BYTES + 1],
    /// How long the id is.
    id_len: u8,
}

impl Key {
    /// The key of `id` among the records of `kind`.
    ///
    /// # Errors
    ///
    /// [`IdTooLong`] when the id has more than [`MAX_ID_BYTES`] bytes.
    #[inline]
    pub fn new(kind: Kind, id: Id<'_>) -> Result<Self, IdTooLong> {
        let found = id.len();
        if found > MAX_ID_BYTES {
            return Err(IdTooLong { found });
        }
        let mut bytes = [0; MAX_ID_BYTES + 1];
        bytes[..found].copy_from_slice(id);
        bytes[found] = kind as u8;
        let id_len = u8::try_from(found).expect("at most 64");
        Ok(Self { bytes, id_len })
    }

    /// The key that [`Key::as_bytes`] gave `bytes` of; `None` where no key
    /// could have.
    #[inline]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&kind, id) = bytes.split_last()?;
        Self::new(Kind::from_u8(kind)?, id).ok()
    }

    /// The kind.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> Kind {
        Kind::from_u8(self.bytes[usize::from(self.id_len)]).expect("set from a kind")
    }

    /// The id.
    #[must_use]
    #[inline]
    pub fn id(&self) -> Id<'_> {
        &self.bytes[..usize::from(self.id_len)]
    }

    /// The id followed by the kind's number: what is hashed and compared.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..=usize::from(self.id_len)]
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(self.as_bytes());
    }
}

impl fmt::Debug for Key {
    /// The kind and the id's length: an id is a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {} bytes)", self.kind().name(), self.id().len())
    }
}
