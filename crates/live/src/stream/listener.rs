//! Those who call: who they are is not known before they have proven it, and
//! until then they are few, and few from one place.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use mio::event::Source;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use parking_lot::Mutex;
use proto::time::Now;
use segue::Identity;

use super::{Stream, Tls};

/// The calls that have not proven anything, at a time. Each costs some twenty
/// kilobytes for three seconds at the most.
pub const MOST_UNPROVEN: usize = 64;
/// The same of one host, which has shown by the TCP handshake that it is where
/// it says: it cannot keep the others out. A node needs one or two.
pub const MOST_OF_ONE_HOST: usize = 8;

/// Where other nodes call.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    unproven: Arc<Unproven>,
}

/// Who has called.
#[derive(Debug)]
pub enum Accepted {
    /// A stream, which has not proven anything.
    Call(Box<Stream>),
    /// A caller who was sent away, as there are too many, or who went away.
    TurnedAway(IpAddr),
    /// Nobody else: the listener is ready again when somebody calls.
    Nobody,
}

impl Listener {
    /// Listens at the node's own address.
    ///
    /// # Errors
    ///
    /// When it is in use, or not this host's.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        // The library sets SO_REUSEADDR: a node that starts anew does not wait
        // for the last one's connections.
        Ok(Self { socket: TcpListener::bind(address)?, unproven: Arc::default() })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When the operating system does not know it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes one call. To be called until it is nobody's, in this turn of the
    /// caller's loop or a later one.
    ///
    /// # Errors
    ///
    /// When the process has no file descriptor left, or the like.
    pub fn accept(&mut self, tls: &Tls, identity: &Identity, now: Now) -> io::Result<Accepted> {
        let (socket, from) = match self.socket.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Accepted::Nobody),
            Err(error) => return Err(error),
        };
        let Some(place) = Place::of(&self.unproven, from.ip()) else {
            return Ok(Accepted::TurnedAway(from.ip()));
        };
        Stream::called(socket, (tls, identity), place, now)
            .map(|stream| Accepted::Call(Box::new(stream)))
    }

    /// How many have called and not proven anything yet.
    #[must_use]
    pub fn unproven(&self) -> usize {
        self.unproven.0.lock().len()
    }
}

impl Source for Listener {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.socket.register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.socket.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket.deregister(registry)
    }
}

/// The hosts that have called and not proven anything, one for each call.
#[derive(Debug, Default)]
struct Unproven(Mutex<Vec<IpAddr>>);

/// One of the places of those who have not proven anything, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<Unproven>,
    host: IpAddr,
}

impl Place {
    /// A place for `address`, if one is free.
    fn of(unproven: &Arc<Unproven>, address: IpAddr) -> Option<Self> {
        let host = host(address);
        let mut hosts = unproven.0.lock();
        let same = hosts.iter().filter(|&&other| other == host).count();
        if hosts.len() >= MOST_UNPROVEN || same >= MOST_OF_ONE_HOST {
            return None;
        }
        hosts.push(host);
        Some(Self { of: Arc::clone(unproven), host })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut hosts = self.of.0.lock();
        let at = hosts.iter().position(|&host| host == self.host);
        hosts.swap_remove(at.expect("it was put there with the place"));
    }
}

/// What counts as one host: with IPv6, its network, of which it may have every
/// address (RFC 4291, 2.5.1).
fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}
