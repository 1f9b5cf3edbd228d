//! A page of records, cut into parts that fit packets.
//!
//! ```text
//! page      count(2), then for each stream: incarnation(16) watermark(8);
//!           count(2), then for each run of slots: first(2) last(2);
//!           then frames to the end
//! ```

use zeroize::Zeroizing;

use crate::cluster::slots::{SLOTS, SlotRun, SlotSet};
use crate::record::MAX_PAYLOAD_BYTES;
use crate::time::Wall;
use crate::wire::codec::{Malformed, Reader};
use crate::wire::control::{PART_OVERHEAD_BYTES, Part, put_run, take_runs};
use crate::wire::frame::Frame;
use crate::wire::header::Incarnation;
use crate::wire::{MAX_BODY_BYTES, MAX_PACKET_BYTES};

/// How many bytes of records a page has, give or take its last record and a step
/// of the scan.
pub const PAGE_BYTES: usize = 24 * MAX_PACKET_BYTES;
/// The bytes of a page in each part but the last.
pub const PART_BYTES: usize = MAX_BODY_BYTES - PART_OVERHEAD_BYTES;
/// The most streams whose positions a page names.
const MAX_POSITIONS: usize = 4_096;
/// The most runs of slots that a page names: every second slot.
const MAX_LACKS: usize = SLOTS / 2;
/// The most parts of a page: the largest payload on top of a full page and
/// the longest lists of positions and of slots.
pub const MAX_PARTS: usize =
    (PAGE_BYTES + MAX_POSITIONS * 24 + MAX_LACKS * 4 + MAX_PAYLOAD_BYTES + MAX_PACKET_BYTES)
        / PART_BYTES
        + 1;

/// How far a node's copy of a stream had come.
pub type Position = (Incarnation, u64);

/// A page as the provider makes it.
#[derive(Debug)]
pub struct Page {
    bytes: Zeroizing<Vec<u8>>,
    /// The provider's number for it.
    edition: u64,
    /// Where the page after it begins; `None` when there is none.
    next: Option<u64>,
}

/// A page that is being filled.
#[derive(Debug)]
pub struct Draft {
    frames: Zeroizing<Vec<u8>>,
    /// The slots of what is asked for that the provider has no record of, or
    /// not all records.
    pub lacks: SlotSet,
}

impl Default for Draft {
    fn default() -> Self {
        let frames = Zeroizing::new(Vec::with_capacity(PAGE_BYTES + MAX_PACKET_BYTES));
        Self { frames, lacks: SlotSet::none() }
    }
}

impl Draft {
    /// Appends a record.
    pub fn push(&mut self, frame: &Frame<'_>) {
        frame.encode(&mut self.frames);
    }

    /// Whether it has its full size.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.frames.len() >= PAGE_BYTES
    }
}

impl Page {
    /// The page of a draft, under the provider's number, that names these
    /// positions.
    #[must_use]
    pub fn new(edition: u64, positions: &[Position], draft: &Draft, next: Option<u64>) -> Self {
        let lacks = draft.lacks.runs();
        let positions = &positions[..positions.len().min(MAX_POSITIONS)];
        let len = 4 + positions.len() * 24 + lacks.len() * 4 + draft.frames.len();
        // In one piece: what grows leaves records behind that nobody wipes.
        let mut bytes = Zeroizing::new(Vec::with_capacity(len));
        let count = |len: usize| u16::try_from(len).expect("at most 32,768").to_be_bytes();
        bytes.extend_from_slice(&count(positions.len()));
        for (stream, watermark) in positions {
            bytes.extend_from_slice(&stream.0.to_be_bytes());
            bytes.extend_from_slice(&watermark.to_be_bytes());
        }
        bytes.extend_from_slice(&count(lacks.len()));
        lacks.into_iter().for_each(|run| put_run(run, &mut bytes));
        bytes.extend_from_slice(&draft.frames);
        Self { bytes, edition, next }
    }

    /// How many parts it has.
    #[must_use]
    pub fn parts(&self) -> u16 {
        parts_of(&self.bytes)
    }

    /// The provider's number for it.
    #[must_use]
    pub const fn edition(&self) -> u64 {
        self.edition
    }

    /// One of its parts.
    #[must_use]
    pub fn part(&self, page: u64, index: u16) -> Option<Part<'_>> {
        let bytes = self.bytes.chunks(PART_BYTES).nth(index.into())?;
        let (edition, next, count) = (self.edition, self.next, self.parts());
        Some(Part { page, edition, next, index, count, bytes })
    }
}

/// How many parts the bytes of a page have, or those of a frame, which are no
/// more.
pub(crate) fn parts_of(bytes: &[u8]) -> u16 {
    let parts = bytes.len().div_ceil(PART_BYTES);
    u16::try_from(parts).expect("a page has at most MAX_PARTS parts")
}

/// What a page says.
#[derive(Debug)]
pub struct Contents<'a> {
    /// How far the provider's copies of the streams had come before it made
    /// the page.
    pub positions: Vec<Position>,
    /// The slots of what was asked for that the provider does not have, or not
    /// as a whole, in runs.
    pub lacks: Vec<SlotRun>,
    frames: Reader<'a>,
}

impl<'a> Contents<'a> {
    /// Reads a page's bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when they are none.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let count = reader.u16("count of positions")?;
        let mut positions = Vec::new();
        for _ in 0..count {
            let stream = Incarnation(u128::from_be_bytes(reader.array("stream")?));
            positions.push((stream, reader.sequence("watermark")?));
        }
        let count = reader.u16("count of slots lacked")?;
        let lacks = take_runs(&mut reader, count.into())?;
        Ok(Self { positions, lacks, frames: reader })
    }

    /// The next record.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when there is something else.
    pub fn next_frame(&mut self, received: Wall) -> Result<Option<Frame<'a>>, Malformed> {
        Frame::decode(&mut self.frames, received)
    }
}
