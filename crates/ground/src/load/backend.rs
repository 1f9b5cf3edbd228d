//! The backend: a machine's server that does what each client says.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::reactor::{Order, Reactor, Wire};
use super::seat::{Account, Seat};

/// A running backend. Dropped, it ends, and its connections break.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    register: Register,
    reactor: Reactor,
}

/// The ends that have said whose they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Register(Arc<Entries>);

#[derive(Debug, Default)]
struct Entries {
    seats: Mutex<BTreeMap<u64, (Arc<Seat>, u64)>>,
    changed: Condvar,
}

impl Register {
    pub(super) fn enter(&self, id: u64, seat: &Arc<Seat>, token: u64) {
        let mut seats = self.0.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.insert(id, (Arc::clone(seat), token));
        self.0.changed.notify_all();
    }

    fn seat(&self, id: u64, patience: Duration) -> Option<(Arc<Seat>, u64)> {
        let seats = self.0.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let waited =
            self.0.changed.wait_timeout_while(seats, patience, |seats| !seats.contains_key(&id));
        waited.unwrap_or_else(PoisonError::into_inner).0.get(&id).cloned()
    }
}

impl Backend {
    /// Starts a backend at an address of the machine that the calling thread
    /// is on.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub fn start(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let register = Register::default();
        let reactor = Reactor::start(Some((listener, register.clone())))?;
        Ok(Self { address, register, reactor })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The backend's end of the connection that has this id, once it is there.
    #[must_use]
    pub fn end(&self, id: u64, patience: Duration) -> Option<Far> {
        let (seat, token) = self.register.seat(id, patience)?;
        Some(Far { seat, token, wire: self.reactor.wire().clone() })
    }
}

/// The backend's end of a connection.
#[derive(Debug)]
pub struct Far {
    seat: Arc<Seat>,
    token: u64,
    wire: Wire,
}

impl Far {
    /// What it has seen.
    #[must_use]
    pub fn account(&self) -> Account {
        self.seat.account()
    }

    /// Whether what it sees becomes as wanted; not, when it ends or nothing
    /// moves in `patience`.
    pub fn until(&self, patience: Duration, wanted: impl Fn(&Account) -> bool) -> bool {
        self.seat.until(patience, wanted)
    }

    /// Has it read nothing, or read again.
    pub fn hold(&self, holds: bool) {
        self.tell(&self.seat.holding, holds);
    }

    /// Has it break the connection off.
    pub fn abort(&self) {
        self.tell(&self.seat.aborting, true);
    }

    fn tell(&self, flag: &AtomicBool, value: bool) {
        flag.store(value, Ordering::Relaxed);
        self.wire.tell(Order::Look(self.token));
    }
}
