//! What a node has written, for the tier above it, and what becomes of it
//! there.

use super::super::codec::{Malformed, Reader, put_u48};
use super::super::frame::Frame;
use super::{Key, Kind, MAX_RECORD_BYTES, Record};
use crate::record::Hlc;
use crate::time::Wall;

/// A batch of this many bytes takes no more items: what one round trip of a
/// busy link carries.
pub const BATCH_BYTES: usize = 1 << 20;
/// The most items of a batch: their places take three bytes each in the answer.
pub const BATCH_ITEMS: usize = 4_096;
/// The longest batch: all but full, and then the longest record.
pub const MAX_BATCH_BYTES: usize = BATCH_BYTES + MAX_RECORD_BYTES;
/// The longest answer to a batch.
pub const MAX_TAKEN_BYTES: usize = 1 + 3 * BATCH_ITEMS;

/// Frames of these types are read as in packets.
const FRAMES: [u8; 3] = [1, 2, 4];
const TOUCH: u8 = 5;

/// One thing that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A record: a value or a tombstone.
    Record(Record<'a>),
    /// An idle deadline moved on.
    Touch {
        /// The record's key.
        key: Key,
        /// The time of its version.
        time: Hlc,
        /// The new idle deadline.
        idle: Wall,
    },
    /// One id died and another appeared, together.
    Rotate {
        /// The tombstone of the old id.
        old: Record<'a>,
        /// The record under the new id.
        new: Record<'a>,
    },
}

impl Item<'_> {
    /// Appends it to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Record(record) => Frame::Record(record).encode(out),
            Self::Rotate { old, new } => Frame::Rotate { old, new }.encode(out),
            Self::Touch { key, time, idle } => {
                out.push(TOUCH);
                encode_key(&key, out);
                out.extend_from_slice(&time.0.to_be_bytes());
                put_u48(idle.as_millis(), out);
            }
        }
    }
}

/// A batch that is being filled.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    items: usize,
}

impl Batch {
    /// Whether another item may be added.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.items < BATCH_ITEMS && self.bytes.len() < BATCH_BYTES
    }

    /// Adds an item.
    ///
    /// # Panics
    ///
    /// When there is no room.
    pub fn push(&mut self, item: &Item<'_>) {
        assert!(self.has_room(), "the caller asks first");
        self.items += 1;
        item.encode(&mut self.bytes);
    }

    /// Adds an item that was encoded before.
    ///
    /// # Panics
    ///
    /// When there is no room.
    pub fn push_encoded(&mut self, item: &[u8]) {
        assert!(self.has_room(), "the caller asks first");
        self.items += 1;
        self.bytes.extend_from_slice(item);
    }

    /// How many items are in it.
    #[must_use]
    pub const fn items(&self) -> usize {
        self.items
    }

    /// What it is sent as.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.bytes);
    }
}

impl std::fmt::Debug for Batch {
    /// How much it is; what it is may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({} items, {} bytes)", self.items, self.bytes.len())
    }
}

/// Reads a batch's items.
#[derive(Debug)]
pub struct Items<'a> {
    reader: Reader<'a>,
    read: usize,
}

impl<'a> Items<'a> {
    /// The items of these bytes.
    #[must_use]
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes), read: 0 }
    }

    /// The next one; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the bytes are none, or when there are more than
    /// [`BATCH_ITEMS`].
    pub fn next_item(&mut self) -> Result<Option<Item<'a>>, Malformed> {
        let Some(&first) = self.reader.rest().first() else { return Ok(None) };
        if self.read == BATCH_ITEMS {
            return Err(Malformed::Invalid("count of items"));
        }
        self.read += 1;
        if FRAMES.contains(&first) {
            // The time matters to touches only, which are none of these.
            return match Frame::decode(&mut self.reader, Wall::default())? {
                Some(Frame::Record(record)) => Ok(Some(Item::Record(record))),
                Some(Frame::Rotate { old, new }) => Ok(Some(Item::Rotate { old, new })),
                Some(Frame::Touch(_) | Frame::Notice(_)) | None => {
                    Err(Malformed::Invalid("item type"))
                }
            };
        }
        if self.reader.u8("item type")? != TOUCH {
            return Err(Malformed::Invalid("item type"));
        }
        let key = decode_key(&mut self.reader)?;
        let time = Hlc(self.reader.u64("version time")?);
        Ok(Some(Item::Touch { key, time, idle: self.reader.wall("idle")? }))
    }
}

/// What has become of an item, if it is not simply there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is a touch, and its record is missing.
    Missing,
    /// Its record was deleted: a tombstone is there, which is later.
    Deleted,
    /// There is no room for it, or it may have been deleted.
    Refused,
    /// It is there, but no other holder has confirmed it.
    Unconfirmed,
}

impl Fate {
    const ALL: [Self; 4] = [Self::Missing, Self::Deleted, Self::Refused, Self::Unconfirmed];
}

/// What has become of a batch: all of it is there, and other holders, where
/// there are any, have confirmed it; but for some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The others, by their places in the batch from 0, in rising order.
    pub exceptions: Vec<(u16, Fate)>,
}

impl Taken {
    /// Appends it to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(!self.exceptions.is_empty()));
        for &(place, fate) in &self.exceptions {
            out.extend_from_slice(&place.to_be_bytes());
            out.push(fate as u8);
        }
    }

    /// From bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when they are no answer to a batch of so many `items`.
    pub fn decode(bytes: &[u8], items: usize) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let has_exceptions = match reader.u8("outcome")? {
            0 => false,
            1 => true,
            _ => return Err(Malformed::Invalid("outcome")),
        };
        if has_exceptions == reader.is_empty() {
            return Err(Malformed::Invalid("outcome"));
        }
        let mut exceptions: Vec<(u16, Fate)> = Vec::new();
        while !reader.is_empty() {
            let place = reader.u16("place")?;
            // In rising order, so that there are never more than items.
            let rises = exceptions.last().is_none_or(|&(last, _)| last < place);
            if usize::from(place) >= items || !rises {
                return Err(Malformed::Invalid("place"));
            }
            let fate = Fate::ALL.get(usize::from(reader.u8("fate")?)).copied();
            exceptions.push((place, fate.ok_or(Malformed::Invalid("fate"))?));
        }
        Ok(Self { exceptions })
    }
}

pub(super) fn encode_key(key: &Key, out: &mut Vec<u8>) {
    out.push(key.kind() as u8);
    out.push(u8::try_from(key.id().len()).expect("an id has at most 64 bytes"));
    out.extend_from_slice(key.id());
}

pub(super) fn decode_key(reader: &mut Reader<'_>) -> Result<Key, Malformed> {
    let kind = Kind::from_u8(reader.u8("kind")?).ok_or(Malformed::Invalid("kind"))?;
    let len = reader.u8("id length")?;
    Key::new(kind, reader.take(len.into(), "id")?).map_err(|_| Malformed::Invalid("id length"))
}
