//! Calling a node's address, from an address that stays.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

/// Whom to call, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The address of this node that the other one sees. It has to be the node's
    /// own: a stream from the virtual address would end with the address.
    pub from: Option<IpAddr>,
    /// The other node.
    pub to: SocketAddr,
}

impl Call {
    /// A socket that connects, or has found out that it cannot.
    pub(super) fn connect(&self) -> io::Result<mio::net::TcpStream> {
        let domain = Domain::for_address(self.to);
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if let Some(from) = self.from {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        match socket.connect(&self.to.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(mio::net::TcpStream::from_std(TcpStream::from(socket))),
        }
    }
}
