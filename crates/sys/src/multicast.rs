//! The two UDP sockets of a node: its own, and the one that hears the group.
//!
//! A node sends everything, multicast too, from its own socket, so that the
//! source address of a packet is where its sender is reached by unicast. The
//! second socket is bound to the group's address and hears nothing else. This
//! module opens and sets them; what goes over them it does not know.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::interface::{Interface, InterfaceError};
use crate::option::{self, SourceFilter};

/// A multicast group and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The group's address and the UDP port that its packets go to.
    pub address: SocketAddr,
    /// The interface that packets leave and arrive by.
    pub interface: Interface,
    /// How many routers a packet may pass, plus one: 1 stays in the network.
    pub ttl: u8,
    /// The nodes whose packets are heard (source-specific multicast, RFC 4607);
    /// empty: everyone's. [`join_source`] adds to them later.
    pub sources: Vec<IpAddr>,
}

/// How large the kernel's buffers of a socket should be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffers {
    /// For what has arrived and was not yet read.
    pub receive: usize,
    /// For what is on its way out.
    pub send: usize,
}

/// An open socket, and what the kernel granted it.
#[derive(Debug)]
pub struct Opened {
    /// The socket. Its calls do not block.
    pub socket: UdpSocket,
    /// The receive buffer that the kernel granted, in bytes, counted as it was
    /// asked for. Less than that means that bursts may be dropped and have to be
    /// repaired, until the sysctl `net.core.rmem_max` is raised.
    pub receive_granted: usize,
}

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A system call refused.
    #[error("{call} for {address}: {source}")]
    Call {
        /// The system call, and the option if it sets one.
        call: &'static str,
        /// The address that the socket was to have.
        address: SocketAddr,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The interface is not there.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The group's address is no multicast address.
    #[error("{0} is not a multicast address (224.0.0.0/4 or ff00::/8)")]
    NotMulticast(IpAddr),
    /// One address is IPv4 and the other one is IPv6.
    #[error("{group} and {other} are not of one address family")]
    Families {
        /// The group's address.
        group: IpAddr,
        /// The node's own address, or a source's.
        other: IpAddr,
    },
}

/// Opens the node's own socket at `listen`; with a `group`, it sends to it.
///
/// # Errors
///
/// [`OpenError`], with the address and the system call that refused.
pub fn open_unicast(
    listen: SocketAddr,
    group: Option<&Group>,
    buffers: Buffers,
) -> Result<Opened, OpenError> {
    let socket = open(listen, buffers)?;
    if let Some(group) = group {
        check_family(group, listen.ip())?;
        send_to_group(&socket, listen, group)?;
    }
    socket.bind(&listen.into()).of("bind", listen)?;
    opened(socket, listen)
}

/// Opens the socket that hears `group`. Any number of them may be open on one
/// machine; each gets every packet.
///
/// # Errors
///
/// [`OpenError`], with the address and the system call that refused.
pub fn open_group(group: &Group, buffers: Buffers) -> Result<Opened, OpenError> {
    let index = group.interface.index()?;
    let address = scoped(group.address, index);
    if !address.ip().is_multicast() {
        return Err(OpenError::NotMulticast(address.ip()));
    }
    let socket = open(address, buffers)?;
    // On Linux this suffices for every socket to get its own copy; with
    // SO_REUSEPORT only processes of one user could share the port.
    socket.set_reuse_address(true).of("setsockopt SO_REUSEADDR", address)?;
    only_own_groups(&socket, address)?;
    socket.bind(&address.into()).of("bind", address)?;
    if group.sources.is_empty() {
        option::join(socket.as_fd(), address.ip(), index)
            .of("setsockopt MCAST_JOIN_GROUP", address)?;
    }
    let opened = opened(socket, address)?;
    for source in &group.sources {
        join_source(&opened.socket, group, *source)?;
    }
    Ok(opened)
}

/// Hears one source more of a source-specific group.
///
/// # Errors
///
/// [`OpenError`]; the kernel allows `net.ipv4.igmp_max_msf` sources a group.
pub fn join_source(socket: &UdpSocket, group: &Group, source: IpAddr) -> Result<(), OpenError> {
    filter_source(socket, group, source, SourceFilter::Join)
}

/// Hears a source of a source-specific group no longer.
///
/// # Errors
///
/// [`OpenError`], also when the source was not joined.
pub fn leave_source(socket: &UdpSocket, group: &Group, source: IpAddr) -> Result<(), OpenError> {
    filter_source(socket, group, source, SourceFilter::Leave)
}

/// Takes nothing more that `source` sends to a group that was joined for
/// everyone's packets.
///
/// # Errors
///
/// [`OpenError`], also when it is blocked already.
pub fn block_source(socket: &UdpSocket, group: &Group, source: IpAddr) -> Result<(), OpenError> {
    filter_source(socket, group, source, SourceFilter::Block)
}

/// Takes what a blocked `source` sends again.
///
/// # Errors
///
/// [`OpenError`], also when it was not blocked.
pub fn unblock_source(socket: &UdpSocket, group: &Group, source: IpAddr) -> Result<(), OpenError> {
    filter_source(socket, group, source, SourceFilter::Unblock)
}

fn filter_source(
    socket: &UdpSocket,
    group: &Group,
    source: IpAddr,
    filter: SourceFilter,
) -> Result<(), OpenError> {
    check_family(group, source)?;
    let index = group.interface.index()?;
    option::filter_source(socket.as_fd(), filter, group.address.ip(), source, index)
        .of(filter.option().1, group.address)
}

fn open(address: SocketAddr, buffers: Buffers) -> Result<Socket, OpenError> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))
        .of("socket", address)?;
    socket.set_nonblocking(true).of("fcntl O_NONBLOCK", address)?;
    if address.is_ipv6() {
        socket.set_only_v6(true).of("setsockopt IPV6_V6ONLY", address)?;
    }
    option::set_never_fragment(socket.as_fd(), address.ip())
        .of("setsockopt IP_MTU_DISCOVER", address)?;
    setsockopt(&socket, sockopt::RxqOvfl, &1).of("setsockopt SO_RXQ_OVFL", address)?;
    socket.set_send_buffer_size(option_size(buffers.send)).of("setsockopt SO_SNDBUF", address)?;
    // Beyond net.core.rmem_max only CAP_NET_ADMIN may go.
    let receive = option_size(buffers.receive);
    if setsockopt(&socket, sockopt::RcvBufForce, &receive).is_err() {
        socket.set_recv_buffer_size(receive).of("setsockopt SO_RCVBUF", address)?;
    }
    Ok(socket)
}

/// Socket options have 31 bits; a larger size would come out as a small one.
fn option_size(bytes: usize) -> usize {
    bytes.min(i32::MAX as usize)
}

fn opened(socket: Socket, address: SocketAddr) -> Result<Opened, OpenError> {
    // The kernel doubles what is asked for, to allow for its own overhead, and
    // shows the double (socket(7)).
    let shown = socket.recv_buffer_size().of("getsockopt SO_RCVBUF", address)?;
    Ok(Opened { socket: socket.into(), receive_granted: shown / 2 })
}

fn send_to_group(socket: &Socket, listen: SocketAddr, group: &Group) -> Result<(), OpenError> {
    let index = group.interface.index()?;
    option::set_multicast_interface(socket.as_fd(), group.address.ip(), index)
        .of("setsockopt IP_MULTICAST_IF", listen)?;
    // Looped back, so that other nodes on this machine hear it.
    let hops = u32::from(group.ttl);
    if group.address.is_ipv4() {
        socket.set_multicast_ttl_v4(hops).of("setsockopt IP_MULTICAST_TTL", listen)?;
        socket.set_multicast_loop_v4(true).of("setsockopt IP_MULTICAST_LOOP", listen)
    } else {
        socket.set_multicast_hops_v6(hops).of("setsockopt IPV6_MULTICAST_HOPS", listen)?;
        socket.set_multicast_loop_v6(true).of("setsockopt IPV6_MULTICAST_LOOP", listen)
    }
}

/// Without this a socket hears the groups that any process of this machine
/// joined, on any interface.
fn only_own_groups(socket: &Socket, address: SocketAddr) -> Result<(), OpenError> {
    if address.is_ipv4() {
        socket.set_multicast_all_v4(false).of("setsockopt IP_MULTICAST_ALL", address)
    } else {
        socket.set_multicast_all_v6(false).of("setsockopt IPV6_MULTICAST_ALL", address)
    }
}

/// An IPv6 address of link-local scope is bound with its interface.
fn scoped(address: SocketAddr, index: u32) -> SocketAddr {
    match address {
        SocketAddr::V6(mut v6) if v6.scope_id() == 0 => {
            v6.set_scope_id(index);
            v6.into()
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    }
}

fn check_family(group: &Group, other: IpAddr) -> Result<(), OpenError> {
    let group = group.address.ip();
    if !group.is_multicast() {
        return Err(OpenError::NotMulticast(group));
    }
    if group.is_ipv4() == other.is_ipv4() {
        Ok(())
    } else {
        Err(OpenError::Families { group, other })
    }
}

/// Results of system calls, on their way to an error that says which one it was.
trait SystemCall<T> {
    /// Names the call, and the address that it was made for.
    fn of(self, call: &'static str, address: SocketAddr) -> Result<T, OpenError>;
}

impl<T, E: Into<io::Error>> SystemCall<T> for Result<T, E> {
    fn of(self, call: &'static str, address: SocketAddr) -> Result<T, OpenError> {
        self.map_err(|error| OpenError::Call { call, address, source: error.into() })
    }
}

#[cfg(test)]
mod tests;
