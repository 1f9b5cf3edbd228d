//! The kernel's interface to a connection under repair, call by call
//! (`linux/tcp.h`, and `net/ipv4/tcp.c` for what is not written anywhere else).

use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{MsgFlags, recv};

use super::Scales;
use crate::call::{CallError, Named};
use crate::option::{self, Plain};

/// How a socket leaves or enters repair (`TCP_REPAIR`).
#[derive(Debug, Clone, Copy)]
pub(super) enum Mode {
    On = 1,
    /// Sends a window probe at once.
    Off = 0,
    /// Says nothing.
    OffSilently = -1,
}

/// The queue that reading, writing and `TCP_QUEUE_SEQ` are about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Queue {
    Neither = 0,
    Receive = 1,
    Send = 2,
}

/// What SYN options are called in `TCP_REPAIR_OPTIONS`: their kinds in segments.
const KIND_SEGMENT: u32 = 2;
const KIND_SCALE: u32 = 3;
const KIND_SACK: u32 = 4;
const KIND_TIMESTAMP: u32 = 8;

/// `struct tcp_repair_opt`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct SynOption {
    kind: u32,
    value: u32,
}

impl SynOption {
    pub(super) const SACK: Self = Self { kind: KIND_SACK, value: 0 };
    pub(super) const TIMESTAMP: Self = Self { kind: KIND_TIMESTAMP, value: 0 };

    pub(super) fn segment(bytes: u16) -> Self {
        Self { kind: KIND_SEGMENT, value: bytes.into() }
    }

    pub(super) fn scales(scales: Scales) -> Self {
        let value = u32::from(scales.peer) | u32::from(scales.own) << 16;
        Self { kind: KIND_SCALE, value }
    }
}

/// `struct tcp_repair_window`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    /// The sequence number of the segment that the peer's window came with.
    pub(super) updated_at: u32,
    /// The peer's window.
    pub(super) peer: u32,
    /// The largest that it was.
    pub(super) peer_largest: u32,
    /// Our window, counted from `promised_at`.
    pub(super) promised: u32,
    /// What had been received when our window was last told.
    pub(super) promised_at: u32,
}

// SAFETY: five integers.
unsafe impl Plain for Window {
    const ZERO: Self =
        Self { updated_at: 0, peer: 0, peer_largest: 0, promised: 0, promised_at: 0 };
}

// SAFETY: integers only.
unsafe impl Plain for libc::tcp_info {
    // SAFETY: as above, so all zeros are a value.
    const ZERO: Self = unsafe { std::mem::zeroed() };
}

pub(super) fn repair(socket: impl AsFd, mode: Mode) -> Result<(), CallError> {
    set(&socket, libc::TCP_REPAIR, mode as i32, "setsockopt TCP_REPAIR")
}

pub(super) fn select(socket: impl AsFd, queue: Queue) -> Result<(), CallError> {
    set(&socket, libc::TCP_REPAIR_QUEUE, queue as i32, "setsockopt TCP_REPAIR_QUEUE")
}

/// The end of the selected queue.
pub(super) fn sequence(socket: impl AsFd) -> Result<u32, CallError> {
    get(&socket, libc::TCP_QUEUE_SEQ, "getsockopt TCP_QUEUE_SEQ")
}

/// Says where the selected queue, which has to be empty, begins.
pub(super) fn set_sequence(socket: impl AsFd, sequence: u32) -> Result<(), CallError> {
    set(&socket, libc::TCP_QUEUE_SEQ, sequence, "setsockopt TCP_QUEUE_SEQ")
}

pub(super) fn set_options(socket: impl AsFd, options: &[SynOption]) -> Result<(), CallError> {
    option::set_all(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_REPAIR_OPTIONS, options)
        .of("setsockopt TCP_REPAIR_OPTIONS")
}

/// The connection's clock; bit 0 says that it counts microseconds.
pub(super) fn timestamp(socket: impl AsFd) -> Result<u32, CallError> {
    get(&socket, libc::TCP_TIMESTAMP, "getsockopt TCP_TIMESTAMP")
}

pub(super) fn set_timestamp(socket: impl AsFd, timestamp: u32) -> Result<(), CallError> {
    set(&socket, libc::TCP_TIMESTAMP, timestamp, "setsockopt TCP_TIMESTAMP")
}

pub(super) fn window(socket: impl AsFd) -> Result<Window, CallError> {
    get(&socket, libc::TCP_REPAIR_WINDOW, "getsockopt TCP_REPAIR_WINDOW")
}

pub(super) fn set_window(socket: impl AsFd, window: Window) -> Result<(), CallError> {
    set(&socket, libc::TCP_REPAIR_WINDOW, window, "setsockopt TCP_REPAIR_WINDOW")
}

/// The largest segment that the peer takes: of a socket in repair it is that,
/// of others what is used.
pub(super) fn segment(socket: impl AsFd) -> Result<u32, CallError> {
    get(&socket, libc::TCP_MAXSEG, "getsockopt TCP_MAXSEG")
}

/// Keeps segments to that size, of a socket that is not yet connected.
pub(super) fn set_segment(socket: impl AsFd, bytes: u16) -> Result<(), CallError> {
    set(&socket, libc::TCP_MAXSEG, i32::from(bytes), "setsockopt TCP_MAXSEG")
}

/// What both sides have agreed on, as `TCP_INFO` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) sack: bool,
    pub(crate) scales: Option<Scales>,
    pub(crate) timestamps: bool,
}

/// Bits of `tcpi_options` (`linux/tcp.h`).
const OPTION_TIMESTAMPS: u8 = 1;
const OPTION_SACK: u8 = 2;
const OPTION_SCALES: u8 = 4;

impl Agreed {
    pub(crate) fn of(info: &libc::tcp_info) -> Self {
        let has = |bit| info.tcpi_options & bit != 0;
        // Two bit fields, the peer's scale in the lower one on the machines that
        // we run on.
        let shifts = info.tcpi_snd_rcv_wscale;
        let scales = Scales { peer: shifts & 0x0F, own: shifts >> 4 };
        Self {
            sack: has(OPTION_SACK),
            scales: has(OPTION_SCALES).then_some(scales),
            timestamps: has(OPTION_TIMESTAMPS),
        }
    }
}

pub(crate) fn info(socket: impl AsFd) -> Result<libc::tcp_info, CallError> {
    get(&socket, libc::TCP_INFO, "getsockopt TCP_INFO")
}

/// Whether a socket may have an address that this machine does not have.
pub(super) fn set_transparent(socket: impl AsFd, v4: bool, may: bool) -> Result<(), CallError> {
    let (level, name, call) = if v4 {
        (libc::IPPROTO_IP, libc::IP_TRANSPARENT, "setsockopt IP_TRANSPARENT")
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT, "setsockopt IPV6_TRANSPARENT")
    };
    option::set(socket.as_fd(), level, name, i32::from(may)).of(call)
}

/// Takes a socket off its connection: under repair without a word to the peer,
/// else by a reset.
pub(crate) fn disconnect(socket: impl AsFd) -> Result<(), CallError> {
    let nobody = libc::sockaddr { sa_family: 0, sa_data: [0; 14] };
    let length = libc::socklen_t::try_from(size_of_val(&nobody)).expect("16 bytes");
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: `nobody` lives over the call and is `length` bytes long; AF_UNSPEC
    // (0) is a family of its own to connect(2).
    let result = unsafe { libc::connect(socket, &raw const nobody, length) };
    let done = if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) };
    done.of("connect AF_UNSPEC")
}

/// What was received and not read, in bytes. A FIN does not count.
pub(super) fn unread(socket: impl AsFd) -> Result<usize, CallError> {
    count(socket, libc::FIONREAD, "ioctl SIOCINQ")
}

/// What was written and not acknowledged, in bytes. A FIN counts for one.
pub(crate) fn unacknowledged(socket: impl AsFd) -> Result<usize, CallError> {
    count(socket, libc::TIOCOUTQ, "ioctl SIOCOUTQ")
}

/// What was written and not sent, in bytes. A FIN counts for one.
pub(super) fn unsent(socket: impl AsFd) -> Result<usize, CallError> {
    count(socket, libc::SIOCOUTQNSD, "ioctl SIOCOUTQNSD")
}

/// Reads what is in the selected queue, at most as much as `room` says, and
/// leaves it there.
pub(super) fn peek(socket: impl AsFd, room: usize) -> Result<Vec<u8>, CallError> {
    let mut bytes = vec![0; room];
    if room > 0 {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        let read = recv(socket.as_fd().as_raw_fd(), &mut bytes, flags).of("recv MSG_PEEK")?;
        bytes.truncate(read);
    }
    Ok(bytes)
}

fn count(
    socket: impl AsFd,
    request: libc::c_ulong,
    call: &'static str,
) -> Result<usize, CallError> {
    let mut number: libc::c_int = 0;
    // SAFETY: these three requests write one int to where they are pointed at
    // (tcp(7), "Ioctls"), and `number` is one.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), request, &raw mut number) };
    let done = if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) };
    done.of(call)?;
    Ok(usize::try_from(number).unwrap_or(0))
}

fn set<T: Copy>(
    socket: &impl AsFd,
    name: i32,
    value: T,
    call: &'static str,
) -> Result<(), CallError> {
    option::set(socket.as_fd(), libc::IPPROTO_TCP, name, value).of(call)
}

fn get<T: Plain>(socket: &impl AsFd, name: i32, call: &'static str) -> Result<T, CallError> {
    option::get(socket.as_fd(), libc::IPPROTO_TCP, name).of(call)
}
