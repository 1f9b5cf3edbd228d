//! Making a connection stand still, and reading it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};

use nix::sys::socket::{setsockopt, sockopt};

use super::kernel::{self, Agreed, Mode, Queue, Window};
use super::silent::Silent;
use super::{Incoming, Options, Outgoing, State, Timestamp, Windows};
use crate::call::{CallError, Named};
use crate::fence;

/// A connection that stands still: nothing is sent, and what arrives is
/// dropped. Dropping this closes it silently, so whoever has its state can go
/// on with it elsewhere.
#[derive(Debug)]
pub struct Frozen {
    socket: Silent,
    state: State,
}

/// Why a connection could not be frozen. It is as it was before.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct FreezeError {
    /// The connection; when even bringing it back was refused, nothing.
    pub socket: Option<TcpStream>,
    /// What went wrong.
    #[source]
    pub why: Why,
}

/// What kept a connection from being frozen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The kernel refused a call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It is not, or no longer, a connection.
    #[error("the socket is in TCP state {0}, where there is nothing to carry on")]
    NoConnection(u8),
    /// A queue did not have what the kernel said that it has.
    #[error("{queue} has {found} bytes, and should have {expected}")]
    Queue {
        /// Which one.
        queue: &'static str,
        /// What was read.
        found: usize,
        /// What the kernel said.
        expected: usize,
    },
}

/// The states of `net/tcp_states.h` in which there is a connection.
const ESTABLISHED: u8 = 1;
const FIN_WAIT1: u8 = 4;
const FIN_WAIT2: u8 = 5;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const CLOSING: u8 = 11;

/// What the first packet in the send queue may have before the first byte that
/// is not acknowledged: the kernel cuts a packet only at whole segments, and no
/// packet is longer.
const ACKNOWLEDGED_ROOM: usize = 1 << 16;

impl Frozen {
    /// Makes the connection stand still and reads it. Its state is that at the
    /// moment of freezing: what arrives later was not acknowledged, and the
    /// peer will send it again.
    ///
    /// # Errors
    ///
    /// [`FreezeError`]; the connection goes on then.
    pub fn freeze(socket: TcpStream) -> Result<Self, FreezeError> {
        match still(&socket).and_then(|()| read(&socket)) {
            Ok(state) => Ok(Self { socket: Silent::new(socket), state }),
            Err(why) => {
                let back = revive(&socket).is_ok();
                Err(FreezeError { socket: back.then_some(socket), why })
            }
        }
    }

    /// What was read.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Lets the connection go on here after all. What the kernel would have sent
    /// meanwhile waits for a retransmission.
    ///
    /// # Errors
    ///
    /// `setsockopt`'s; the connection is then closed silently.
    pub fn thaw(self) -> Result<TcpStream, CallError> {
        go_on(self.socket.get())?;
        Ok(self.socket.speak())
    }

    /// Closes it without a word to the peer, and gives what was read.
    #[must_use]
    pub fn close(self) -> State {
        self.state
    }

    /// Gives what was read, and the connection, which stands still on.
    #[must_use]
    pub fn stay(self) -> (State, Stopped) {
        (self.state, Stopped { _socket: self.socket })
    }
}

/// A connection that stands still and was not read, since somebody knows what it
/// has come to. Dropping this closes it silently.
#[derive(Debug)]
pub struct Stopped {
    _socket: Silent,
}

impl Stopped {
    /// Makes a connection stand still.
    ///
    /// # Errors
    ///
    /// The call that was refused; the socket is closed then.
    pub fn stop(socket: TcpStream) -> Result<Self, CallError> {
        fence::raise(&socket)?;
        kernel::repair(&socket, Mode::On)?;
        let stopped = Self { _socket: Silent::new(socket) };
        // What would be sent from now on is taken for sent.
        kernel::select(stopped._socket.get(), Queue::Send)?;
        Ok(stopped)
    }
}

/// Reads a connection that goes on as if nobody had looked: its state at a
/// moment during the call. Only where something was written and not sent, or
/// where it does not stay the same for long enough, it is fenced meanwhile, as by
/// [`Frozen::freeze`] and [`Frozen::thaw`]; then the peer has to send again what
/// arrived, which can take it 200 ms.
///
/// # Errors
///
/// [`Why`]; the connection goes on, unless the kernel refused even that.
pub fn look(socket: &TcpStream) -> Result<State, Why> {
    // What an acknowledgement lets out while the send queue is selected would
    // be taken for sent, and be late.
    if kernel::unsent(socket)? == 0 {
        for _ in 0..GLANCES {
            if let Some(state) = glance(socket)? {
                return Ok(state);
            }
        }
    }
    let state = still(socket).and_then(|()| read(socket));
    match state {
        Ok(state) => go_on(socket).map(|()| state).map_err(Why::Call),
        Err(why) => {
            revive(socket)?;
            Err(why)
        }
    }
}

/// How often a connection is looked at without a fence. A look takes some ten
/// microseconds, so that a few are as good as many: where segments come that
/// fast, they go on coming.
const GLANCES: usize = 4;

/// Reads a connection without a fence; nothing, if it did not stay the same.
fn glance(socket: &TcpStream) -> Result<Option<State>, Why> {
    kernel::repair(socket, Mode::On)?;
    let before = position(socket);
    let state = read(socket);
    let after = position(socket);
    kernel::select(socket, Queue::Neither)?;
    leave(socket, Mode::OffSilently)?;
    let (before, after) = (before?, after?);
    match state {
        Ok(state) if before == after => Ok(Some(state)),
        Err(Why::NoConnection(status)) => Err(Why::NoConnection(status)),
        // If it was not for what came in between, the fence shows it.
        Ok(_) | Err(_) => Ok(None),
    }
}

/// How much the peer has not acknowledged, and what is expected of it next: both
/// only ever move on, as long as nobody writes.
fn position(socket: &TcpStream) -> Result<(usize, u32), CallError> {
    kernel::select(socket, Queue::Receive)?;
    Ok((kernel::unacknowledged(socket)?, kernel::sequence(socket)?))
}

fn still(socket: &TcpStream) -> Result<(), Why> {
    fence::raise(socket)?;
    Ok(kernel::repair(socket, Mode::On)?)
}

/// The way back from [`still`].
fn go_on(socket: &TcpStream) -> Result<(), CallError> {
    kernel::select(socket, Queue::Neither)?;
    fence::lower(socket)?;
    leave(socket, Mode::Off)
}

/// Leaves repair. The kernel forbids others to bind the port beside this socket
/// then, so that no listener could come back to it.
pub(super) fn leave(socket: &TcpStream, mode: Mode) -> Result<(), CallError> {
    kernel::repair(socket, mode)?;
    setsockopt(socket, sockopt::ReuseAddr, &true).of("setsockopt SO_REUSEADDR")
}

/// As it was before [`still`], however far that came.
fn revive(socket: &TcpStream) -> Result<(), CallError> {
    // ENOENT: there is no fence; EPERM: nor may there be one.
    harmless(fence::lower(socket), &[libc::ENOENT, libc::EPERM])?;
    // EPERM: it never was under repair.
    harmless(leave(socket, Mode::OffSilently), &[libc::EPERM])
}

/// Takes errors that say that there is nothing to do for none.
fn harmless(result: Result<(), CallError>, numbers: &[i32]) -> Result<(), CallError> {
    result.or_else(
        |error| {
            if numbers.iter().any(|number| error.is(*number)) { Ok(()) } else { Err(error) }
        },
    )
}

fn read(socket: &TcpStream) -> Result<State, Why> {
    let info = kernel::info(socket)?;
    let status = info.tcpi_state;
    if !matches!(status, ESTABLISHED | FIN_WAIT1 | FIN_WAIT2 | CLOSE_WAIT | LAST_ACK | CLOSING) {
        return Err(Why::NoConnection(status));
    }
    let local = socket.local_addr().of("getsockname")?;
    let peer = socket.peer_addr().of("getpeername")?;
    let incoming = read_incoming(socket, status)?;
    // Last, as the send queue stays the selected one: else what waits for its
    // time, by pacing or a timer, would still go out.
    let outgoing = read_outgoing(socket, status)?;
    let options = read_options(socket, &info)?;
    let received = incoming.next.wrapping_add(u32::from(incoming.closed));
    let windows = windows(kernel::window(socket)?, received);
    let (local, peer) = (canonical(local), canonical(peer));
    Ok(State { local, peer, incoming, outgoing, options, windows })
}

fn read_incoming(socket: &TcpStream, status: u8) -> Result<Incoming, Why> {
    kernel::select(socket, Queue::Receive)?;
    let closed = matches!(status, CLOSE_WAIT | LAST_ACK | CLOSING);
    let next = kernel::sequence(socket)?.wrapping_sub(u32::from(closed));
    let expected = kernel::unread(socket)?;
    let unread = kernel::peek(socket, expected)?;
    check("the receive queue", unread.len(), expected)?;
    Ok(Incoming { next, unread, closed })
}

fn read_outgoing(socket: &TcpStream, status: u8) -> Result<Outgoing, Why> {
    let closed = matches!(status, FIN_WAIT1 | FIN_WAIT2 | LAST_ACK | CLOSING);
    // A FIN that is not acknowledged is counted as a byte that cannot be read.
    let fin = usize::from(closed && status != FIN_WAIT2);
    // From here on the kernel takes what it would send for sent, without sending
    // it. So nothing goes out that is called unsent below.
    kernel::select(socket, Queue::Send)?;
    let waiting = kernel::unsent(socket)?;
    let end = kernel::sequence(socket)?.wrapping_sub(u32::from(closed));
    let expected = kernel::unacknowledged(socket)?.saturating_sub(fin);
    let mut sent = kernel::peek(socket, room(expected))?;
    let acknowledged = sent.len().saturating_sub(expected);
    sent.drain(..acknowledged);
    check("the send queue", sent.len(), expected)?;
    let length = u32::try_from(expected).expect("a queue is below the window of 2^30 bytes");
    let first = end.wrapping_sub(length);
    let waiting = waiting.saturating_sub(fin).min(expected);
    let unsent = sent.split_off(expected - waiting);
    Ok(Outgoing { first, sent, unsent, closed })
}

/// Nothing is read of an empty queue, or the kernel would say EAGAIN.
fn room(expected: usize) -> usize {
    if expected == 0 { 0 } else { expected + ACKNOWLEDGED_ROOM }
}

fn read_options(socket: &TcpStream, info: &libc::tcp_info) -> Result<Options, Why> {
    let agreed = Agreed::of(info);
    let segment = u16::try_from(kernel::segment(socket)?).unwrap_or(u16::MAX);
    let timestamp = if agreed.timestamps {
        let shown = kernel::timestamp(socket)?;
        Some(Timestamp { value: shown, microseconds: shown & 1 == 1 })
    } else {
        None
    };
    Ok(Options { segment, sack: agreed.sack, scales: agreed.scales, timestamp })
}

fn windows(window: Window, received: u32) -> Windows {
    let edge = window.promised_at.wrapping_add(window.promised);
    let Window { peer, peer_largest, .. } = window;
    // A peer can send past a window that has shut; then the edge is behind.
    let promised = edge.wrapping_sub(received);
    let promised = if promised > i32::MAX.unsigned_abs() { 0 } else { promised };
    Windows { promised, peer, peer_largest: peer_largest.max(peer) }
}

/// A listener for both families shows IPv4 peers as IPv6 addresses.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

fn check(queue: &'static str, found: usize, expected: usize) -> Result<(), Why> {
    if found == expected { Ok(()) } else { Err(Why::Queue { queue, found, expected }) }
}

impl From<FreezeError> for io::Error {
    fn from(error: FreezeError) -> Self {
        Self::other(error.why)
    }
}
