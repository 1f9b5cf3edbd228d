//! Asking the peer of a restored connection how far it has come.

use std::net::TcpStream;

use super::freeze::{Frozen, Why};
use super::kernel;
use super::restore::{Rest, Restored, Thawed};
use super::{Flags, Forge, Forged, State, Timestamp};
use crate::call::{CallError, Named};
use crate::fence;

/// A connection whose peer was asked how far it has come. It takes in what the
/// peer sends; nothing new is sent before [`Asking::finish`].
#[derive(Debug)]
pub struct Asking {
    socket: TcpStream,
    rest: Rest,
    question: Question,
    heard: Heard,
}

/// What a peer has said with data.
#[derive(Debug, Clone, Copy)]
pub struct Overheard {
    /// What it has acknowledged.
    pub acknowledged: u32,
    /// Its window, as it stands there.
    pub window: u16,
    /// The first block that it acknowledged besides.
    pub block: [u32; 2],
}

/// What had been heard of the peer when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heard {
    /// Segments without data.
    answers: u32,
    /// How much it had not acknowledged, if that was looked at.
    lacks: Option<usize>,
}

/// A byte that the peer has: the last one that it is known to have
/// acknowledged, whatever its value was (RFC 9293, section 3.8.4 has it for
/// keep-alives). To data out of its window every system answers at once with what
/// it has. To such segments without data, as the kernel's own window probe is,
/// Linux answers only twice a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    sequence: u32,
    acknowledged: u32,
    window: u16,
    timestamp: Option<u32>,
    /// Whether the peer says in its answer which byte it was.
    sack: bool,
}

impl Asking {
    /// Asks for the first time.
    pub(super) fn begin(
        socket: TcpStream,
        rest: Rest,
        question: Question,
        forge: &Forge,
    ) -> Result<Self, CallError> {
        question.ask(&socket, forge)?;
        Ok(Self { socket, rest, question, heard: Heard { answers: 0, lacks: None } })
    }

    /// Whether the peer has answered. Without selective acknowledgements an
    /// answer looks like what it had said before: then it is asked until it says
    /// the same twice.
    ///
    /// # Errors
    ///
    /// `getsockopt`'s, `ioctl`'s or `sendto`'s.
    pub fn answered(&mut self, forge: &Forge) -> Result<bool, CallError> {
        let info = kernel::info(&self.socket)?;
        let answers = info.tcpi_segs_in.wrapping_sub(info.tcpi_data_segs_in);
        if answers == self.heard.answers {
            return Ok(false);
        }
        let lacks = Some(kernel::unacknowledged(&self.socket)?);
        if self.question.sack || self.heard.lacks == lacks {
            return Ok(true);
        }
        self.heard = Heard { answers, lacks };
        self.ask(forge)?;
        Ok(false)
    }

    /// Asks again: the question or its answer may have been lost.
    ///
    /// # Errors
    ///
    /// `sendto`'s.
    pub fn ask(&self, forge: &Forge) -> Result<(), CallError> {
        self.question.ask(&self.socket, forge)
    }

    /// A peer that has data to send may give its answer with them. They are not to
    /// be taken in yet, so the kernel is told the answer alone. What is none is
    /// ignored.
    ///
    /// # Errors
    ///
    /// `sendto`'s.
    pub fn overhear(&self, heard: &Overheard, forge: &Forge) -> Result<(), CallError> {
        let asked = self.question.sequence;
        if !self.question.sack || heard.block != [asked, asked.wrapping_add(1)] {
            return Ok(());
        }
        // Without its clock: older segments, which wait, would be taken for ones of
        // long ago (RFC 7323, section 5.3).
        let mut options = vec![1, 1, 5, 10];
        heard.block.iter().for_each(|edge| options.extend_from_slice(&edge.to_be_bytes()));
        forge.send(&Forged {
            from: self.socket.peer_addr().of("getpeername")?,
            to: self.socket.local_addr().of("getsockname")?,
            sequence: self.question.acknowledged,
            acknowledged: heard.acknowledged,
            flags: Flags::Ack,
            window: heard.window,
            options: &options,
            data: &[],
        })
    }

    /// Goes on: what the peer lacks is sent at once. To be called when it has
    /// answered; before, it would be sent what it has, in the hope that it is
    /// not more than the kernel sends unasked.
    ///
    /// For a moment there is no socket for the connection. What arrives then
    /// must not be answered with a RST, see [`crate::rules`].
    ///
    /// # Errors
    ///
    /// What was refused; the connection is then closed.
    pub fn finish(self, forge: &Forge) -> Result<TcpStream, Why> {
        let Self { socket, rest, question, .. } = self;
        if kernel::unacknowledged(&socket)? == 0 {
            if question.sack {
                fence::lower(&socket)?;
            }
            rest.give(&socket, forge)?;
            return Ok(socket);
        }
        let mut state = Frozen::freeze(socket).map_err(|error| error.why)?.close();
        state.incoming.closed |= rest.fin.is_some();
        state.outgoing.unsent.extend_from_slice(&rest.unsent);
        state.outgoing.closed |= rest.closed;
        state.outgoing.send_again();
        match Restored::restore(state, rest.buffers)?.thaw(forge)? {
            Thawed::Going(socket) | Thawed::Asking(Self { socket, .. }) => Ok(socket),
        }
    }
}

impl Question {
    pub(super) fn of(state: &State) -> Self {
        let shift = state.options.scales.map_or(0, |scales| scales.own);
        let window = state.windows.promised.checked_shr(shift.into()).unwrap_or(0);
        Self {
            sequence: state.outgoing.first.wrapping_sub(1),
            acknowledged: state.incoming.next.wrapping_add(u32::from(state.incoming.closed)),
            window: u16::try_from(window).unwrap_or(u16::MAX),
            timestamp: state.options.timestamp.map(later),
            sack: state.options.sack,
        }
    }

    /// Opens the fence for the answer. What was under way before says less, so
    /// it is kept out if it can be told apart.
    pub(super) fn open(&self, socket: &TcpStream) -> Result<(), CallError> {
        if self.sack {
            fence::open_for_duplicate(socket, self.sequence)
        } else {
            fence::lower(socket)
        }
    }

    fn ask(&self, socket: &TcpStream, forge: &Forge) -> Result<(), CallError> {
        // Two of no operation, kind and length; no echo (RFC 7323, section 3.2).
        let mut timestamp = [1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
        timestamp[4..8].copy_from_slice(&self.timestamp.unwrap_or(0).to_be_bytes());
        forge.send(&Forged {
            from: socket.local_addr().of("getsockname")?,
            to: socket.peer_addr().of("getpeername")?,
            sequence: self.sequence,
            acknowledged: self.acknowledged,
            flags: Flags::Ack,
            window: self.window,
            options: if self.timestamp.is_some() { &timestamp } else { &[] },
            data: &[0],
        })
    }
}

/// The next even value that was not shown yet: the clock may not go back, and
/// the kernel keeps bit 0 for the unit.
pub(super) fn later(timestamp: Timestamp) -> u32 {
    timestamp.value.wrapping_add(2) & !1
}
