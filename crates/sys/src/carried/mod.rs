//! Sockets whose connections can go on at another machine: how they are made,
//! what they are set to, and how they end.
//!
//! Such a socket promises its peer no more than somebody else can keep, however
//! the kernel tunes itself, and leaves nothing behind: closed without further
//! ado, or by the death of its process, it is gone at once, and the reset that
//! the kernel sends then is kept in by [`crate::rules`]. Whoever means to close
//! a connection says so ([`let_end`], [`reset`]). Which connection goes where is
//! decided above.

mod status;

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

pub use status::{Stage, Status, status};

use crate::call::{CallError, Named};
use crate::repair::{self, Buffers};
use crate::{option, rules};

/// How much a socket may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// How far a peer may be ahead of what was read, in bytes. It is the size of
    /// the receive buffer, so windows are smaller: packets take more of it than
    /// they have data. (A clamp on the window would not do: the kernel sets it
    /// anew from the buffer when packets of another size come.)
    pub ahead: usize,
    /// How much may be written and not acknowledged, in bytes, give or take the
    /// last packet.
    pub unacknowledged: usize,
}

impl Room {
    /// What the kernel is told for that: it doubles what it gets.
    #[must_use]
    pub const fn buffers(self) -> Buffers {
        Buffers { receive: self.ahead / 2, send: self.unacknowledged / 2 }
    }
}

/// A connection of our own that is under way.
#[derive(Debug)]
pub struct Begun {
    /// The socket, which does not block. It can be written when it is connected
    /// or has failed ([`TcpStream::take_error`]).
    pub socket: TcpStream,
    /// Where it begins.
    pub local: SocketAddr,
}

/// Listens at an address that this machine need not have yet. What is accepted
/// is set as by [`settle`]; the listener does not block.
///
/// # Errors
///
/// EPERM without CAP_NET_ADMIN, EADDRINUSE if somebody listens there.
pub fn listen(address: SocketAddr, backlog: i32, room: Room) -> Result<TcpListener, CallError> {
    let socket = open(address)?;
    socket.set_reuse_address(true).of("setsockopt SO_REUSEADDR")?;
    if address.is_ipv4() {
        socket.set_freebind_v4(true).of("setsockopt IP_FREEBIND")?;
    } else {
        socket.set_freebind_v6(true).of("setsockopt IPV6_FREEBIND")?;
        // Its IPv4 clients would be under rules of the other family.
        socket.set_only_v6(true).of("setsockopt IPV6_V6ONLY")?;
    }
    // Accepted sockets inherit all of it. It has to be there before the first
    // SYN: the scale of the window is agreed on then.
    settle(&socket, room)?;
    socket.bind(&address.into()).of("bind")?;
    socket.listen(backlog).of("listen")?;
    Ok(socket.into())
}

/// Begins a connection from an address of this machine.
///
/// # Errors
///
/// EPERM without CAP_NET_ADMIN; EADDRNOTAVAIL if the address is not here, or all
/// its ports are taken; ENETUNREACH and the like of `connect`.
pub fn connect(from: IpAddr, to: SocketAddr, room: Room) -> Result<Begun, CallError> {
    let socket = open(to)?;
    settle(&socket, room)?;
    // The port is chosen by `connect`, which knows that connections to several
    // backends may have the same one.
    option::set(socket.as_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1_i32)
        .of("setsockopt IP_BIND_ADDRESS_NO_PORT")?;
    socket.bind(&SocketAddr::new(from, 0).into()).of("bind")?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => {
            return Err(error).of("connect");
        }
        Ok(()) | Err(_) => {}
    }
    let socket = TcpStream::from(socket);
    let local = socket.local_addr().of("getsockname")?;
    Ok(Begun { socket, local })
}

/// Sets a socket, wherever it comes from, so that its connection can be carried.
/// What was promised before stays promised until it was read.
///
/// # Errors
///
/// EPERM without CAP_NET_ADMIN.
pub fn settle(socket: &impl AsFd, room: Room) -> Result<(), CallError> {
    let Buffers { receive, send } = room.buffers();
    // Having been set, it is not tuned any more.
    setsockopt(socket, sockopt::RcvBufForce, &receive).of("setsockopt SO_RCVBUFFORCE")?;
    setsockopt(socket, sockopt::SndBufForce, &send).of("setsockopt SO_SNDBUFFORCE")?;
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true).of("setsockopt TCP_NODELAY")?;
    socket.set_linger(Some(Duration::ZERO)).of("setsockopt SO_LINGER")
}

/// Lets a connection end as others do: its FIN goes out, and closing sends what
/// was written before.
///
/// # Errors
///
/// EPERM without CAP_NET_ADMIN.
pub fn let_end(socket: &impl AsFd) -> Result<(), CallError> {
    rules::let_close(socket)?;
    SockRef::from(socket).set_linger(None).of("setsockopt SO_LINGER")
}

/// Lets our direction of a connection end, whose other one goes on: the FIN goes
/// out. Nothing else is as at a connection's end: if the process is killed then,
/// no reset says so, and nothing is left behind.
///
/// # Errors
///
/// EPERM without CAP_NET_ADMIN.
pub fn let_finish(socket: &impl AsFd) -> Result<(), CallError> {
    rules::let_finish(socket)
}

/// Ends a connection at once by a reset that the peer gets.
///
/// # Errors
///
/// EPERM without CAP_NET_ADMIN; then the peer hears nothing.
pub fn reset(socket: TcpStream) -> Result<(), CallError> {
    rules::let_close(&socket)?;
    // Closing alone would wait for whoever has a copy.
    repair::disconnect(&socket)
}

/// How much was written and is not acknowledged, in bytes. Our end counts for
/// one.
///
/// # Errors
///
/// `ioctl`'s: EINVAL for a listener.
pub fn unacknowledged(socket: &impl AsFd) -> Result<usize, CallError> {
    repair::unacknowledged(socket)
}

/// Whether the kernel may have something that came behind a gap: whoever reads
/// the connection does not see it, and what closes the gap acknowledges it.
///
/// # Errors
///
/// `getsockopt`'s.
pub fn may_have_gaps(socket: &impl AsFd) -> Result<bool, CallError> {
    // The one says whether there ever were gaps; the other what packets take that
    // were received and not read, those behind a gap among them (it is the first
    // number of what the option gives).
    Ok(repair::info(socket)?.tcpi_rcv_ooopack > 0 && received_memory(socket)? > 0)
}

fn received_memory(socket: &impl AsFd) -> Result<u32, CallError> {
    option::get(socket.as_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO).of("getsockopt SO_MEMINFO")
}

/// A TCP socket of the address's family that does not block.
fn open(address: SocketAddr) -> Result<Socket, CallError> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).of("socket")?;
    socket.set_nonblocking(true).of("fcntl O_NONBLOCK")?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
