//! How far a connection has come, with the bytes in flight.
//!
//! An owner and its understudy each keep one [`Ledger`] a connection, and change
//! it by the same [`Change`]s in the same order: what the understudy goes on
//! from is what the owner knew, by construction. Of each end's [`Input`] a
//! ledger has what no output answers yet; of its [`Output`], what the peer has
//! not acknowledged. It knows nothing of who has it, or why.

mod input;
mod output;

pub use input::Input;
pub use output::Output;

use std::fmt;

use bytes::Bytes;

use super::End;
use super::record::{EndHeader, Header};
use super::sequence::Position;

/// How far past what was answered input is kept, and the most output that is
/// kept for a peer that does not acknowledge it: 1 MiB, what 1 Gbit/s needs over
/// 8 ms. Sockets get buffers such that the kernel takes no more than that.
pub const WINDOW_BYTES: usize = 1 << 20;
/// The most bytes of one change: the largest segment that a kernel hands over.
pub const MAX_CHUNK_BYTES: usize = 64 << 10;

/// A change that does not follow from what was there: its sender is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Bytes that do not follow what was there.
    #[error("it does not follow what was there")]
    OutOfPlace,
    /// More than is kept.
    #[error("it is more than is kept")]
    TooMuch,
    /// A connection or an end that is not there, or is there already.
    #[error("it names a connection or an end wrongly")]
    Unknown,
}

/// What a peer sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    /// Where its first byte belongs.
    pub position: Position,
    /// The bytes.
    pub bytes: Bytes,
    /// Whether nothing comes after them.
    pub fin: bool,
}

/// What is sent to a peer.
#[derive(Clone, PartialEq, Eq)]
pub struct Produced {
    /// Where its first byte belongs: the end of what was there.
    pub position: Position,
    /// The bytes.
    pub content: Content,
    /// How far the input is answered by it and what was before.
    pub consumed: Position,
    /// Whether nothing comes after them.
    pub fin: bool,
    /// What TLS needs to go on after it, if that has changed. It comes with the
    /// bytes and not apart from them: who had the bytes without it would seal
    /// the same record number a second time.
    pub tls: Option<Bytes>,
}

/// The bytes of an output.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// These.
    Given(Bytes),
    /// Those of the input that it answers, unchanged.
    Copied,
}

/// Where an end stands, apart from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// Up to where its input is answered.
    pub consumed: Position,
    /// Where the output begins that is not acknowledged.
    pub unacknowledged: Position,
}

/// What changes a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The backend's end begins.
    Attach(EndHeader),
    /// A peer has sent something.
    In(End, Received),
    /// Something is to be sent to a peer.
    Out(End, Produced),
    /// A peer has acknowledged so much.
    Acked(End, Position),
}

/// How far a connection has come, with the bytes in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    header: Header,
    client: Side,
    backend: Side,
}

/// One end of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Side {
    /// What comes in.
    pub input: Input,
    /// What goes out.
    pub output: Output,
}

impl Ledger {
    /// A connection that begins.
    #[must_use]
    pub fn new(header: Header) -> Self {
        Self::at(header, Marks::default(), Marks::default())
    }

    /// A connection that has come so far; the bytes in flight follow.
    #[must_use]
    pub fn at(header: Header, client: Marks, backend: Marks) -> Self {
        Self { header, client: Side::at(client), backend: Side::at(backend) }
    }

    /// What the connection is, with what TLS needs to go on from here.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// One of its ends; empty while there is none.
    #[must_use]
    pub const fn side(&self, end: End) -> &Side {
        match end {
            End::Client => &self.client,
            End::Backend => &self.backend,
        }
    }

    /// Whether it has that end.
    #[must_use]
    pub const fn has(&self, end: End) -> bool {
        match end {
            End::Client => true,
            End::Backend => self.header.backend.is_some(),
        }
    }

    /// How many bytes are in flight.
    #[must_use]
    pub fn bytes(&self) -> usize {
        End::BOTH.map(|end| self.side(end)).iter().map(|side| side.bytes()).sum()
    }

    /// The clock by which timestamps are told is that of another node from here
    /// on, which is so many milliseconds behind.
    pub fn advance_clocks(&mut self, milliseconds: u32) {
        for end in [Some(&mut self.header.client), self.header.backend.as_mut()] {
            if let Some(offset) = end.and_then(|end| end.timestamps.as_mut()) {
                *offset = offset.wrapping_add(milliseconds);
            }
        }
    }

    /// The connection is in that group from here on.
    pub(super) const fn set_group(&mut self, group: super::GroupId) {
        self.header.group = group;
    }

    /// The bytes that an output stands for.
    ///
    /// # Errors
    ///
    /// When it answers what has not come.
    pub fn produced(&self, end: End, produced: &Produced) -> Result<Vec<Bytes>, Broken> {
        let source = &self.side(self.header.source(end)).input;
        if produced.consumed < source.consumed() || produced.consumed > source.end() {
            return Err(Broken::OutOfPlace);
        }
        Ok(match &produced.content {
            Content::Given(bytes) if bytes.is_empty() => Vec::new(),
            Content::Given(bytes) => vec![bytes.clone()],
            Content::Copied => source.slice(source.consumed(), produced.consumed),
        })
    }

    /// Changes it.
    ///
    /// # Errors
    ///
    /// When the change does not follow from what is there; then nothing is
    /// changed.
    pub fn apply(&mut self, change: &Change) -> Result<(), Broken> {
        match change {
            Change::Attach(header) => {
                if !self.header.relayed || self.header.backend.is_some() {
                    return Err(Broken::Unknown);
                }
                self.header.backend = Some(*header);
                Ok(())
            }
            Change::In(end, received) => self.present(*end)?.input.insert(received),
            Change::Out(end, produced) => self.produce(*end, produced),
            Change::Acked(end, position) => self.present(*end)?.output.acknowledge(*position),
        }
    }

    /// Puts in place of what was received what the kernel gave.
    pub(super) fn correct(&mut self, end: End, position: Position, bytes: &Bytes) {
        self.side_mut(end).input.correct(position, bytes);
    }

    fn produce(&mut self, end: End, produced: &Produced) -> Result<(), Broken> {
        self.present(end)?;
        let chunks = self.produced(end, produced)?;
        let source = self.header.source(end);
        let output = &mut self.side_mut(end).output;
        output.append(produced.position, chunks, produced.fin)?;
        self.side_mut(source).input.consume(produced.consumed);
        if let Some(tls) = &produced.tls {
            self.header.tls = Some(tls.clone());
        }
        Ok(())
    }

    fn present(&mut self, end: End) -> Result<&mut Side, Broken> {
        if self.has(end) { Ok(self.side_mut(end)) } else { Err(Broken::Unknown) }
    }

    const fn side_mut(&mut self, end: End) -> &mut Side {
        match end {
            End::Client => &mut self.client,
            End::Backend => &mut self.backend,
        }
    }
}

impl Side {
    fn at(marks: Marks) -> Self {
        let output = Output::at(marks.unacknowledged);
        Self { input: Input::at(marks.consumed), output }
    }

    /// Where it stands, apart from its bytes.
    #[must_use]
    pub const fn marks(&self) -> Marks {
        Marks { consumed: self.input.consumed(), unacknowledged: self.output.unacknowledged() }
    }

    fn bytes(&self) -> usize {
        self.input.bytes() + self.output.bytes()
    }
}

impl fmt::Debug for Received {
    /// Where and how much, not what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, bytes, fin } = self;
        write!(f, "{} bytes at {}, fin {fin}", bytes.len(), position.0)
    }
}

impl fmt::Debug for Produced {
    /// Where and how much, not what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, content, consumed, fin, tls } = self;
        let (at, consumed, tls) = (position.0, consumed.0, tls.is_some());
        write!(f, "{content:?} at {at}, answers up to {consumed}, fin {fin}, tls {tls}")
    }
}

impl fmt::Debug for Content {
    /// How much, not what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Copied => write!(f, "a copy"),
        }
    }
}

#[cfg(test)]
mod tests;
