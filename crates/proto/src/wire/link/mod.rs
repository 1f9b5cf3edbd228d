//! What two nodes say to each other over a link: a connection on which both
//! have proven the farm's key. Unlike packets, it is neither lost nor reordered,
//! and may be long.
//!
//! ```text
//! proof         format(1) key id(1) proof(32)
//! introduction  incarnation(16) name length(1) name
//!
//! ask           hops(1) patience, in ms(2) key
//! answer        0: absent      1 record      2 tombstone, both as in frames
//!
//! batch         items, one behind the other:
//!                 1 record, 2 tombstone, 4 rotation, as in frames
//!                 5 touch: key version's time(8) idle(6)
//! taken         0: all is there and confirmed by others, if there are any
//!               1: all but some, each with place(2) and fate(1):
//!                 0 touch of a record that is missing    1 deleted
//!                 2 no room for it    3 there, but confirmed by nobody else
//! ```
//!
//! A touch names its record by key and not by hash, as in frames: another farm
//! may place its records by another secret.

mod batch;

pub use batch::{
    BATCH_BYTES, BATCH_ITEMS, Batch, Fate, Item, Items, MAX_BATCH_BYTES, MAX_TAKEN_BYTES, Taken,
};

use super::codec::{Malformed, Reader};
use super::control::MAX_NAME_BYTES;
use super::frame::Frame;
use super::header::Incarnation;
use crate::proof::PROOF_BYTES;
use crate::record::{Key, Kind, MAX_ID_BYTES, MAX_PAYLOAD_BYTES, Record};
use crate::time::Wall;

/// The version of what is said over links. With 1, what became of a batch was
/// told of all of its items together.
pub const LINK_FORMAT: u8 = 2;
/// How long what proves the farm's key is.
pub const CLAIM_BYTES: usize = 2 + PROOF_BYTES;
/// How long an introduction is without its name.
pub const INTRODUCTION_BYTES: usize = 16 + 1;
/// The longest record: its key, version, deadlines, length and payload, twice
/// the key and once more all but the payload for a rotation.
pub const MAX_RECORD_BYTES: usize = MAX_PAYLOAD_BYTES + 2 * (2 + MAX_ID_BYTES + 12 + 12) + 3 + 1;
/// The longest ask.
pub const MAX_ASK_BYTES: usize = 1 + 2 + 2 + MAX_ID_BYTES;

/// A proof, and the key that it is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The farm key.
    pub key_id: u8,
    /// What [`crate::proof::prove`] gives.
    pub proof: [u8; PROOF_BYTES],
}

impl Claim {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; CLAIM_BYTES] {
        let mut bytes = [0; CLAIM_BYTES];
        bytes[..2].copy_from_slice(&[LINK_FORMAT, self.key_id]);
        bytes[2..].copy_from_slice(&self.proof);
        bytes
    }

    /// From bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when they are of another version.
    pub fn decode(bytes: &[u8; CLAIM_BYTES]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8("link format")? != LINK_FORMAT {
            return Err(Malformed::Invalid("link format"));
        }
        Ok(Self { key_id: reader.u8("key id")?, proof: reader.array("proof")? })
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Claim(key {})", self.key_id)
    }
}

/// Who is at the other end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// This start of it.
    pub incarnation: Incarnation,
    /// Its name.
    pub name: String,
}

impl Introduction {
    /// Appends it to `out`.
    ///
    /// # Panics
    ///
    /// When the name is longer than a node's may be.
    pub fn encode(&self, out: &mut Vec<u8>) {
        assert!(self.name.len() <= MAX_NAME_BYTES, "a node has a shorter name");
        out.extend_from_slice(&self.incarnation.0.to_be_bytes());
        out.push(u8::try_from(self.name.len()).expect("at most 64"));
        out.extend_from_slice(self.name.as_bytes());
    }

    /// How many bytes of name follow the first part.
    #[must_use]
    pub fn name_len(head: &[u8; INTRODUCTION_BYTES]) -> usize {
        head[INTRODUCTION_BYTES - 1].into()
    }

    /// From its two parts.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the name is none that a node has.
    pub fn decode(head: &[u8; INTRODUCTION_BYTES], name: &[u8]) -> Result<Self, Malformed> {
        let incarnation = Incarnation(u128::from_be_bytes(Reader::new(head).array("incarnation")?));
        let fits = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.len() == Self::name_len(head);
        let name = std::str::from_utf8(name).ok().filter(|name| {
            // It stands in logs.
            fits && !name.chars().any(char::is_control)
        });
        let name = name.ok_or(Malformed::Invalid("name"))?.to_owned();
        Ok(Self { incarnation, name })
    }
}

/// A question for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// How many more nodes may be asked, one by the other.
    pub hops: u8,
    /// For how long the asker waits for the answer, in milliseconds.
    pub patience_millis: u16,
    /// What is asked for.
    pub key: Key,
}

impl Ask {
    /// Appends it to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.hops);
        out.extend_from_slice(&self.patience_millis.to_be_bytes());
        batch::encode_key(&self.key, out);
    }

    /// From bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when they are no ask.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let ask = Self {
            hops: reader.u8("hops")?,
            patience_millis: reader.u16("patience")?,
            key: batch::decode_key(&mut reader)?,
        };
        reader.finish("an ask").map(|()| ask)
    }
}

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Nothing.
    Absent,
    /// A record: a value, or that it was deleted.
    Held(Record<'a>),
}

impl<'a> Answer<'a> {
    /// Appends it to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Absent => out.push(0),
            Self::Held(record) => Frame::Record(*record).encode(out),
        }
    }

    /// From bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when they are no answer to `key`.
    pub fn decode(bytes: &'a [u8], key: &Key) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if bytes == [0] {
            return Ok(Self::Absent);
        }
        // The time matters to touches only.
        let answer = match Frame::decode(&mut reader, Wall::default())? {
            Some(Frame::Record(record)) if record.key == *key => Self::Held(record),
            Some(Frame::Record(_) | Frame::Touch(_) | Frame::Rotate { .. } | Frame::Notice(_))
            | None => {
                return Err(Malformed::Invalid("answer"));
            }
        };
        reader.finish("an answer").map(|()| answer)
    }
}

#[cfg(test)]
mod tests;
