//! Where clients arrive. What becomes of them is not known here.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::config::{Backend, Plain};
use crate::connections::Carry;

/// How many connections may wait in the kernel to be accepted.
const BACKLOG: i32 = 1024;

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// Where it listens, with its real port.
    pub(super) address: SocketAddr,
    /// Whether its connections are to be carried.
    pub(super) is_carried: bool,
    /// Where its connections are passed on to as they are; none: they speak TLS.
    pub(super) plain: Option<Backend>,
}

impl Listener {
    /// Listens on an address of this machine.
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        Self::of(listen(address, false)?, false)
    }

    /// Listens on an address that this machine need not have yet.
    pub(super) fn floating(address: SocketAddr, carrier: Option<&dyn Carry>) -> io::Result<Self> {
        match carrier {
            Some(carrier) => Self::of(carrier.listen(address)?, true),
            None => Self::of(listen(address, true)?, false),
        }
    }

    /// Listens without TLS on an address that this machine need not have yet.
    pub(super) fn plain(plain: Plain) -> io::Result<Self> {
        let Plain { listen: address, backend } = plain;
        Ok(Self { plain: Some(backend), ..Self::of(listen(address, true)?, false)? })
    }

    fn of(socket: std::net::TcpListener, is_carried: bool) -> io::Result<Self> {
        let socket = TcpListener::from_std(socket)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, is_carried, plain: None })
    }
}

fn listen(address: SocketAddr, is_floating: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it: a client that is gone without a word
    // does not keep its place for ever.
    socket.set_keepalive(true)?;
    match (is_floating, address) {
        (true, SocketAddr::V4(_)) => socket.set_freebind_v4(true)?,
        (true, SocketAddr::V6(_)) => socket.set_freebind_v6(true)?,
        (false, _) => {}
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_floating_address_need_not_be_here() {
        // Of the block for documentation (RFC 5737): no machine has it.
        let address: SocketAddr = "192.0.2.100:0".parse().unwrap();
        assert!(Listener::open(address).is_err());
        let listener = Listener::floating(address, None).unwrap();
        assert!(listener.address.port() > 0 && !listener.is_carried);
    }
}
