//! A process that takes addresses away when its parent is gone.
//!
//! An address outlives the process that has put it on an interface. When that
//! is killed, the machine goes on answering for it, with nobody behind: to a
//! client it is where its connections are reset. So a child stands by
//! ([`Guardian::spawn`]) that does nothing but wait for the end of a pipe
//! ([`run`]): the kernel closes the other end with the parent, however that
//! ends. Why an address is held, and who has it next, is not known here.

use std::collections::BTreeSet;
use std::io::{self, Read, Write as _};
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::setsid;

use crate::address::Addresses;
use crate::call::CallError;

/// The parent's side. Dropping it is the parent's end to the guardian.
#[derive(Debug)]
pub struct Guardian {
    child: Child,
    orders: ChildStdin,
}

/// An address on the interface of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The address.
    pub address: IpAddr,
    /// Where it is.
    pub interface: u32,
}

/// What the guardian is told: what to do, an interface, and an address, of IPv4
/// as one of IPv6 (RFC 4291, section 2.5.5.2).
const ORDER_BYTES: usize = 1 + 4 + 16;

const HOLD: u8 = 1;
const RELEASE: u8 = 2;

/// What would end the guardian before its time: what is sent to a service as a
/// whole, or to all that a terminal has.
const IGNORED: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// `CLOSE_RANGE_CLOEXEC` (`linux/close_range.h`).
const CLOSE_AT_EXEC: libc::c_uint = 1 << 2;

impl Guardian {
    /// Starts the process, which has to call [`run`] with its standard input. It
    /// has nothing of ours but that pipe, and belongs to a session of its own.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`].
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: between fork and exec the closure makes a few system calls and
        // allocates nothing: its errors are plain numbers.
        unsafe { command.pre_exec(part) };
        let mut child = command.spawn()?;
        let orders = child.stdin.take().expect("it is piped");
        Ok(Self { child, orders })
    }

    /// Has it take this away when we are gone. To be called before the address is
    /// put on.
    ///
    /// # Errors
    ///
    /// EPIPE: the guardian itself is gone.
    pub fn hold(&mut self, held: Held) -> io::Result<()> {
        self.orders.write_all(&held.order(HOLD))
    }

    /// Has it leave this alone from here on: somebody else has the address.
    ///
    /// # Errors
    ///
    /// EPIPE: the guardian itself is gone.
    pub fn release(&mut self, held: Held) -> io::Result<()> {
        self.orders.write_all(&held.order(RELEASE))
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process has ended, which it does not by itself.
    ///
    /// # Errors
    ///
    /// `wait`'s.
    pub fn is_gone(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Has it take away what it still holds, and waits for its end.
    ///
    /// # Errors
    ///
    /// `wait`'s.
    pub fn end(self) -> io::Result<ExitStatus> {
        let Self { mut child, orders } = self;
        drop(orders);
        child.wait()
    }
}

/// What the child does: it waits for the end of its orders, and then takes away
/// what it holds.
///
/// # Errors
///
/// What could not be taken away last; the rest is all the same.
pub fn run(mut orders: impl Read) -> Result<(), CallError> {
    let mut all = BTreeSet::new();
    let mut order = [0; ORDER_BYTES];
    // Whatever keeps it from reading on is an end: an order is written at once.
    while orders.read_exact(&mut order).is_ok() {
        match Held::ordered(order) {
            (HOLD, held) => _ = all.insert(held),
            (RELEASE, held) => _ = all.remove(&held),
            (_, _) => {}
        }
    }
    let mut outcome = Ok(());
    for held in all {
        let removed = Addresses::of(held.interface).and_then(|from| from.remove(held.address));
        if let Err(error) = removed {
            outcome = Err(error);
        }
    }
    outcome
}

impl Held {
    fn order(self, what: u8) -> [u8; ORDER_BYTES] {
        let address = match self.address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let mut order = [what; ORDER_BYTES];
        order[1..5].copy_from_slice(&self.interface.to_ne_bytes());
        order[5..].copy_from_slice(&address.octets());
        order
    }

    fn ordered(order: [u8; ORDER_BYTES]) -> (u8, Self) {
        let [what, a, b, c, d, address @ ..] = order;
        let address = IpAddr::from(Ipv6Addr::from(address)).to_canonical();
        (what, Self { address, interface: u32::from_ne_bytes([a, b, c, d]) })
    }
}

/// Parts the child from its parent, before it is another program.
fn part() -> io::Result<()> {
    setsid()?;
    for ignored in IGNORED {
        // SAFETY: there is no handler that could run; being ignored outlasts exec.
        unsafe { signal(ignored, SigHandler::SigIgn) }?;
    }
    // Our own files close at exec anyway, so a kernel that cannot do it for all
    // (before 5.11) leaves only what we were started with.
    // SAFETY: the call takes three integers and touches no memory; no file is
    // closed before exec, where nobody is left who could use it.
    let _closed =
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, CLOSE_AT_EXEC) };
    Ok(())
}

#[cfg(test)]
mod tests;
