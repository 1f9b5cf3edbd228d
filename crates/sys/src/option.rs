//! Socket options that have no safe wrapper elsewhere.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::SockAddr;

/// What the kernel may fill with any bytes: integers, and structures and arrays
/// of them.
///
/// # Safety
///
/// Every pattern of bits has to be a value of the type.
pub(crate) unsafe trait Plain: Copy {
    /// All zeros.
    const ZERO: Self;
}

// SAFETY: an integer.
unsafe impl Plain for i32 {
    const ZERO: Self = 0;
}

// SAFETY: an integer.
unsafe impl Plain for u32 {
    const ZERO: Self = 0;
}

/// Reads one option, or as much of it as this kernel knows: the rest is zeros.
pub(crate) fn get<T: Plain>(socket: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<T> {
    let mut value = T::ZERO;
    let mut length = libc::socklen_t::try_from(size_of::<T>()).expect("options are a few bytes");
    // SAFETY: `value` is exclusively ours over the call, the kernel writes no
    // more than `length` bytes into it, and whatever it writes is a `T`.
    let result = unsafe {
        let place = (&raw mut value).cast();
        libc::getsockopt(socket.as_raw_fd(), level, name, place, &raw mut length)
    };
    if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Sets one option. `T` is what the kernel's manual says for it: an integer or
/// a structure of the kernel's interface.
pub(crate) fn set<T: Copy>(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: T,
) -> io::Result<()> {
    set_all(socket, level, name, &[value])
}

/// Sets an option that takes an array.
pub(crate) fn set_all<T: Copy>(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    values: &[T],
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(values)).expect("options are a few bytes");
    // SAFETY: `values` live over the call, and the kernel reads no more than
    // the `length` bytes of them and keeps no reference.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, values.as_ptr().cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets the don't-fragment bit on all that is sent, and does not believe path
/// sizes that ICMP messages claim: there are none for multicast, and for the
/// rest anyone could forge them. A packet larger than the interface's own MTU
/// is refused with EMSGSIZE.
pub(crate) fn set_never_fragment(socket: BorrowedFd<'_>, family: IpAddr) -> io::Result<()> {
    match family {
        IpAddr::V4(_) => {
            set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
        }
        IpAddr::V6(_) => {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)
        }
    }
}

/// Sends multicast out of the interface of that index.
pub(crate) fn set_multicast_interface(
    socket: BorrowedFd<'_>,
    family: IpAddr,
    index: u32,
) -> io::Result<()> {
    let index = libc::c_int::try_from(index).map_err(io::Error::other)?;
    match family {
        IpAddr::V4(_) => {
            let any = libc::in_addr { s_addr: libc::INADDR_ANY };
            let request =
                libc::ip_mreqn { imr_multiaddr: any, imr_address: any, imr_ifindex: index };
            set(socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, request)
        }
        IpAddr::V6(_) => set(socket, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, index),
    }
}

/// Hears `group` on the interface of that index, whoever sends (RFC 3678, 5.1.1).
pub(crate) fn join(socket: BorrowedFd<'_>, group: IpAddr, index: u32) -> io::Result<()> {
    let request = libc::group_req { gr_interface: index, gr_group: storage(group) };
    set(socket, level(group), libc::MCAST_JOIN_GROUP, request)
}

/// What a group's socket does about one source (RFC 3678, section 5.1).
#[derive(Debug, Clone, Copy)]
pub(crate) enum SourceFilter {
    /// Hears it, and nobody that was not joined.
    Join,
    /// Undoes `Join`.
    Leave,
    /// Hears everybody else.
    Block,
    /// Undoes `Block`.
    Unblock,
}

impl SourceFilter {
    /// The option, and the call that sets it.
    pub(crate) const fn option(self) -> (i32, &'static str) {
        match self {
            Self::Join => (libc::MCAST_JOIN_SOURCE_GROUP, "setsockopt MCAST_JOIN_SOURCE_GROUP"),
            Self::Leave => (libc::MCAST_LEAVE_SOURCE_GROUP, "setsockopt MCAST_LEAVE_SOURCE_GROUP"),
            Self::Block => (libc::MCAST_BLOCK_SOURCE, "setsockopt MCAST_BLOCK_SOURCE"),
            Self::Unblock => (libc::MCAST_UNBLOCK_SOURCE, "setsockopt MCAST_UNBLOCK_SOURCE"),
        }
    }
}

/// Sets a filter for what `source` sends to the group.
pub(crate) fn filter_source(
    socket: BorrowedFd<'_>,
    filter: SourceFilter,
    group: IpAddr,
    source: IpAddr,
    index: u32,
) -> io::Result<()> {
    let request = source_request(group, source, index);
    set(socket, level(group), filter.option().0, request)
}

fn source_request(group: IpAddr, source: IpAddr, index: u32) -> libc::group_source_req {
    libc::group_source_req {
        gsr_interface: index,
        gsr_group: storage(group),
        gsr_source: storage(source),
    }
}

/// Binds a packet socket (packet(7)) to an interface: it sends there, and hears
/// the frames of that protocol, whose number is in network byte order.
pub(crate) fn bind_packet(socket: BorrowedFd<'_>, interface: u32, protocol: u16) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).expect("a small constant"),
        sll_protocol: protocol,
        sll_ifindex: i32::try_from(interface).map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&address)).expect("20 bytes");
    // SAFETY: `address` lives over the call and is `length` bytes of the type
    // that the kernel reads for AF_PACKET.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn level(group: IpAddr) -> i32 {
    match group {
        IpAddr::V4(_) => libc::IPPROTO_IP,
        IpAddr::V6(_) => libc::IPPROTO_IPV6,
    }
}

fn storage(address: IpAddr) -> libc::sockaddr_storage {
    let mut storage = SockAddr::from(SocketAddr::new(address, 0)).as_storage();
    // SAFETY: socket2's storage is a transparent wrapper of this very type.
    *unsafe { storage.view_as::<libc::sockaddr_storage>() }
}
