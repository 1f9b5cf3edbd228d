//! Making a connection of a state.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, Shutdown, send, setsockopt, shutdown, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::ask::{Asking, Question, later};
use super::freeze::leave;
use super::kernel::{self, Mode, Queue, SynOption, Window};
use super::silent::Silent;
use super::{Flags, Forge, Forged, Options, Outgoing, State};
use crate::call::{CallError, Named};
use crate::{fence, rules};

/// How large the kernel's buffers of a restored socket are to be, in bytes.
/// What the connection itself needs is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffers {
    /// For what has arrived and was not yet read.
    pub receive: usize,
    /// For what is not yet acknowledged.
    pub send: usize,
}

/// A restored connection that does not speak or hear yet. Dropping it closes it
/// without a word to the peer.
#[derive(Debug)]
pub struct Restored {
    socket: Silent,
    rest: Rest,
}

/// What becomes of a thawed connection.
#[derive(Debug)]
pub enum Thawed {
    /// It goes on. The socket does not block.
    Going(TcpStream),
    /// The peer has to say first what it has.
    Asking(Asking),
}

/// What a socket under repair cannot be given.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) unsent: Vec<u8>,
    /// Our FIN comes behind that.
    pub(super) closed: bool,
    /// The peer's FIN, if it was acknowledged: as it would come from there.
    pub(super) fin: Option<Fin>,
    /// What the peer is asked by, if it has to be.
    question: Option<Question>,
    pub(super) buffers: Buffers,
    /// How much there is to send in all.
    bytes: usize,
}

/// A peer's FIN: what makes up the segment besides the addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fin {
    sequence: u32,
    acknowledged: u32,
    window: u16,
}

/// What one write puts into a queue under repair. The kernel makes one packet
/// of each write into the receive queue, and a larger one would need memory in
/// one piece.
const PIECE_BYTES: usize = 32 << 10;

/// Doubled it is still an int.
const MAX_BUFFER: usize = 1 << 29;

/// The largest segment size that `TCP_MAXSEG` takes (MAX_TCP_WINDOW).
const MAX_SEGMENT: u16 = 32_767;

/// The smallest one (TCP_MIN_MSS).
const MIN_SEGMENT: u16 = 88;

impl Restored {
    /// Makes a socket that is as `state` says. The address need not be this
    /// machine's yet. A listener at the same address and port has to be there
    /// before: beside a restored socket it could not be bound.
    ///
    /// # Errors
    ///
    /// The call that was refused: EPERM without CAP_NET_ADMIN, EADDRNOTAVAIL if
    /// there is such a connection here already.
    pub fn restore(state: State, buffers: Buffers) -> Result<Self, CallError> {
        let v4 = state.local.is_ipv4();
        let domain = Domain::for_address(state.local);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).of("socket")?;
        socket.set_nonblocking(true).of("fcntl O_NONBLOCK")?;
        make_room(&socket, &state)?;
        // Whenever it is dropped, nothing stays that would speak later.
        socket.set_linger(Some(Duration::ZERO)).of("setsockopt SO_LINGER")?;
        fence::raise(&socket)?;
        kernel::set_transparent(&socket, v4, true)?;
        if (MIN_SEGMENT..=MAX_SEGMENT).contains(&state.options.segment) {
            // The repair option alone would change what was agreed on, and not
            // the size that the kernel has worked out of it.
            kernel::set_segment(&socket, state.options.segment)?;
        }
        kernel::repair(&socket, Mode::On)?;
        socket.bind(&state.local.into()).of("bind")?;
        set_sequences(&socket, &state)?;
        // Under repair this sends nothing and is done at once.
        socket.connect(&state.peer.into()).of("connect")?;
        let silent = Silent::new(socket.into());
        let socket = silent.get();
        set_options(socket, &state.options)?;
        fill(socket, Queue::Receive, &state.incoming.unread)?;
        fill(socket, Queue::Send, &state.outgoing.sent)?;
        let Outgoing { sent, unsent, closed, .. } = &state.outgoing;
        if *closed && unsent.is_empty() && !sent.is_empty() {
            // The end may have been sent with the rest. If it were not taken for
            // sent, an acknowledgement of it would be one of more than was sent.
            end(socket)?;
        }
        set_windows(socket, &state)?;
        let receive = buffers.receive.max(needed(&state));
        setsockopt(socket, sockopt::RcvBufForce, &receive).of("setsockopt SO_RCVBUFFORCE")?;
        // Or what a timer sends would be taken for sent, and not be sent.
        kernel::select(socket, Queue::Neither)?;
        Ok(Self { socket: silent, rest: Rest::of(state, buffers) })
    }

    /// Lets it speak and hear. The address has to be this machine's by now: when it
    /// is taken off, the socket is silent.
    /// A window probe goes out at once, so that the peer learns where the
    /// connection is and says where it is itself.
    ///
    /// # Errors
    ///
    /// The call that was refused; the connection is then closed.
    pub fn thaw(self, forge: &Forge) -> Result<Thawed, CallError> {
        let Self { socket, rest } = self;
        // From here on it is silent without the address, as any other is.
        let local = socket.get().local_addr().of("getsockname")?;
        kernel::set_transparent(socket.get(), local.is_ipv4(), false)?;
        match &rest.question {
            Some(question) => question.open(socket.get())?,
            None => fence::lower(socket.get())?,
        }
        leave(socket.get(), Mode::Off)?;
        let socket = socket.speak();
        if let Some(question) = rest.question {
            return Asking::begin(socket, rest, question, forge).map(Thawed::Asking);
        }
        rest.give(&socket, forge)?;
        Ok(Thawed::Going(socket))
    }
}

impl Rest {
    fn of(state: State, buffers: Buffers) -> Self {
        let shift = state.options.scales.map_or(0, |scales| scales.peer);
        let window = state.windows.peer.checked_shr(shift.into()).unwrap_or(0);
        let fin = state.incoming.closed.then_some(Fin {
            sequence: state.incoming.next,
            acknowledged: state.outgoing.first,
            window: u16::try_from(window).unwrap_or(u16::MAX),
        });
        let question = (!state.outgoing.sent.is_empty()).then(|| Question::of(&state));
        let bytes = state.outgoing.bytes();
        let (unsent, closed) = (state.outgoing.unsent, state.outgoing.closed);
        Self { unsent, closed, fin, question, buffers, bytes }
    }

    /// Gives what is left, in the ordinary way, to a socket without a fence.
    pub(super) fn give(&self, socket: &TcpStream, forge: &Forge) -> Result<(), CallError> {
        if let Some(fin) = self.fin {
            give_fin(socket, fin, forge)?;
        }
        write(socket, &self.unsent)?;
        let send = self.buffers.send.max(self.bytes / 2);
        setsockopt(socket, sockopt::SndBufForce, &send).of("setsockopt SO_SNDBUFFORCE")?;
        if self.closed {
            // The end is part of the state, so it may be told.
            rules::let_finish(socket)?;
            end(socket)?;
        }
        Ok(())
    }
}

/// Sends our FIN, once; under repair it is taken for sent.
fn end(socket: &TcpStream) -> Result<(), CallError> {
    shutdown(socket.as_raw_fd(), Shutdown::Write).of("shutdown")
}

/// Hands the peer's FIN to our own kernel.
fn give_fin(socket: &TcpStream, fin: Fin, forge: &Forge) -> Result<(), CallError> {
    forge.send(&Forged {
        from: socket.peer_addr().of("getpeername")?,
        to: socket.local_addr().of("getsockname")?,
        sequence: fin.sequence,
        acknowledged: fin.acknowledged,
        flags: Flags::Fin,
        window: fin.window,
        options: &[],
        data: &[],
    })
}

/// Room for all that is put in. What that takes of the kernel's memory depends
/// on how it comes, so this is plenty; the sizes that stay are set when it is in.
/// (These could not be kept: windows grow to what the buffer allows, and with
/// each move it would double.)
fn make_room(socket: &Socket, state: &State) -> Result<(), CallError> {
    let (receive, send) = (plenty(state.incoming.unread.len()), plenty(state.outgoing.bytes()));
    setsockopt(socket, sockopt::RcvBufForce, &receive).of("setsockopt SO_RCVBUFFORCE")?;
    setsockopt(socket, sockopt::SndBufForce, &send).of("setsockopt SO_SNDBUFFORCE")
}

/// Twice as much and what a few packets take, in the kernel's 31 bits.
fn plenty(bytes: usize) -> usize {
    bytes.saturating_mul(2).saturating_add(1 << 20).min(MAX_BUFFER)
}

/// What the receive buffer has to be for what is in it and what was promised:
/// half of that, as the kernel doubles what it is told, to allow for its own
/// overhead.
fn needed(state: &State) -> usize {
    let promised = state.windows.promised as usize;
    (promised.saturating_add(state.incoming.unread.len()) / 2).min(MAX_BUFFER)
}

fn set_sequences(socket: &Socket, state: &State) -> Result<(), CallError> {
    // Both queues are empty, so their ends are their beginnings.
    let unread = u32::try_from(state.incoming.unread.len()).map_err(io::Error::other);
    kernel::select(socket, Queue::Receive)?;
    kernel::set_sequence(socket, state.incoming.next.wrapping_sub(unread.of("bind")?))?;
    kernel::select(socket, Queue::Send)?;
    kernel::set_sequence(socket, state.outgoing.first)
}

fn set_options(socket: &TcpStream, options: &Options) -> Result<(), CallError> {
    let agreed = [
        Some(SynOption::segment(options.segment)),
        options.scales.map(SynOption::scales),
        options.sack.then_some(SynOption::SACK),
        options.timestamp.map(|_| SynOption::TIMESTAMP),
    ];
    let agreed: Vec<_> = agreed.into_iter().flatten().collect();
    kernel::set_options(socket, &agreed)?;
    if let Some(timestamp) = options.timestamp {
        kernel::set_timestamp(socket, later(timestamp) | u32::from(timestamp.microseconds))?;
    }
    Ok(())
}

fn fill(socket: &TcpStream, queue: Queue, bytes: &[u8]) -> Result<(), CallError> {
    if bytes.is_empty() {
        return Ok(());
    }
    kernel::select(socket, queue)?;
    write(socket, bytes)
}

fn write(socket: &impl AsRawFd, mut bytes: &[u8]) -> Result<(), CallError> {
    while !bytes.is_empty() {
        let piece = &bytes[..bytes.len().min(PIECE_BYTES)];
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        let written = send(socket.as_raw_fd(), piece, flags).of("send")?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// After the queues: the kernel checks that the window begins within what was
/// received.
fn set_windows(socket: &TcpStream, state: &State) -> Result<(), CallError> {
    let windows = state.windows;
    let window = Window {
        // Any segment that comes from now on brings a newer one.
        updated_at: state.incoming.next.wrapping_sub(1),
        peer: windows.peer,
        peer_largest: windows.peer_largest.max(windows.peer),
        promised: windows.promised,
        promised_at: state.incoming.next,
    };
    kernel::set_window(socket, window)
}
