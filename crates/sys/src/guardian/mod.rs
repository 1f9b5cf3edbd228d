//! A process that takes addresses away when its parent is gone or stands still.
//!
//! An address outlives the process that has put it on an interface. When that
//! is killed, the machine goes on answering for it, with nobody behind: to a
//! client it is where its connections are reset. So a child stands by
//! ([`Guardian::spawn`]) that does nothing but wait for the end of a pipe
//! ([`run`]): the kernel closes the other end with the parent, however that
//! ends. A parent that was stopped does not end, and the machine goes on sending
//! from its sockets: so it may say again and again that it runs
//! ([`Guardian::pulse`]), and when it does not, its addresses are taken away
//! as well. Why an address is held, and who has it next, is not known here.
//!
//! What the kernel holds back for the parent would be lost with it. The child shares
//! the queue that it waits in ([`Guardian::spawn`]), and has it when the parent is
//! gone ([`Outcome::Alone`]): what becomes of it is up to whoever calls [`run`].

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::setsid;
use socket2::SockRef;

use crate::address::Addresses;
use crate::call::{CallError, Named as _};
use crate::process;

/// The parent's side. Dropping it is the parent's end to the guardian.
#[derive(Debug)]
pub struct Guardian {
    child: Child,
    orders: ChildStdin,
    answers: ChildStdout,
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
/// With a number of milliseconds in place of an interface.
const PULSE: u8 = 3;

/// What is answered to [`HOLD`].
const HOLDS: u8 = 1;

/// How long the answer is waited for. It takes a tenth of a millisecond, or a few
/// where all processors are busy; a client waits for it when its connection goes
/// elsewhere.
const ANSWERS_WITHIN: Duration = Duration::from_millis(50);

/// What would end the guardian before its time: what is sent to a service as a
/// whole, or to all that a terminal has.
const IGNORED: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// `CLOSE_RANGE_CLOEXEC` (`linux/close_range.h`).
const CLOSE_AT_EXEC: libc::c_uint = 1 << 2;

impl Guardian {
    /// Starts the process, which has to call [`run`] with its standard input. It
    /// has nothing of ours but that, its standard output, on which it answers, and in
    /// the place of its standard error the queue of packets, if there is one; and
    /// belongs to a session of its own.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`].
    pub fn spawn(mut command: Command, queue: Option<OwnedFd>) -> io::Result<Self> {
        let queue = queue.map_or_else(Stdio::null, Stdio::from);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(queue);
        // SAFETY: between fork and exec the closure makes a few system calls and
        // allocates nothing: its errors are plain numbers.
        unsafe { command.pre_exec(part) };
        let mut child = command.spawn()?;
        let orders = child.stdin.take().expect("it is piped");
        let answers = child.stdout.take().expect("it is piped");
        // A guardian that does not read must not hold us up.
        SockRef::from(&orders).set_nonblocking(true)?;
        Ok(Self { child, orders, answers })
    }

    /// Has it take this away when we are gone. To be called before the address is
    /// put on: when this is done, nothing that it began to take away earlier is
    /// still to come.
    ///
    /// # Errors
    ///
    /// EPIPE: the guardian itself is gone; a time-out, EAGAIN: it stands still.
    pub fn hold(&mut self, held: Held) -> io::Result<()> {
        self.orders.write_all(&held.order(HOLD))?;
        let until = Instant::now() + ANSWERS_WITHIN;
        if !readable(self.answers.as_fd(), Some(until))? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut answer = [0];
        self.answers.read_exact(&mut answer)
    }

    /// Has it leave this alone from here on: somebody else has the address.
    ///
    /// # Errors
    ///
    /// EPIPE: the guardian itself is gone; EAGAIN: it stands still.
    pub fn release(&mut self, held: Held) -> io::Result<()> {
        self.orders.write_all(&held.order(RELEASE))
    }

    /// Says that we run, and will say so again `within` that time, or else are
    /// taken for one that stands still: then it takes away what it holds, until
    /// it is told to hold that again. Without a first pulse none is missed.
    ///
    /// # Errors
    ///
    /// EPIPE: the guardian itself is gone; EAGAIN: it stands still.
    pub fn pulse(&mut self, within: Duration) -> io::Result<()> {
        let mut order = [PULSE; ORDER_BYTES];
        let millis = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        order[1..5].copy_from_slice(&millis.to_ne_bytes());
        self.orders.write_all(&order)
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

    /// Ends it at once: it takes nothing away any more.
    ///
    /// # Errors
    ///
    /// `wait`'s.
    pub fn dismiss(mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Has it take away what it still holds, and waits for its end.
    ///
    /// # Errors
    ///
    /// `wait`'s.
    pub fn end(self) -> io::Result<ExitStatus> {
        let Self { mut child, orders, .. } = self;
        drop(orders);
        child.wait()
    }
}

/// How the parent has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It held nothing any more.
    Orderly,
    /// It held addresses, which were taken away.
    Alone,
}

/// What the child does: it waits for the end of its orders, or of its parent's
/// pulses, and then takes away what it holds.
///
/// # Errors
///
/// What could not be taken away last; the rest is all the same. Or that there
/// are no files to read from and answer to.
pub fn run(orders: impl AsFd, answers: impl AsFd) -> Result<Outcome, CallError> {
    // On a busy machine it would be done too late. Without the right it may be.
    let _ = process::prefer_this_thread();
    let own = |file: &dyn AsFd| file.as_fd().try_clone_to_owned().map(File::from).of("fcntl");
    let (mut orders, mut answers) = (own(&orders)?, own(&answers)?);
    let mut all = BTreeSet::new();
    let mut silent_from = None;
    let mut order = [0; ORDER_BYTES];
    loop {
        match readable(orders.as_fd(), silent_from) {
            Ok(true) => {}
            Ok(false) => {
                silent_from = None;
                // It is tried again at the end.
                let _ = remove(&all);
                continue;
            }
            Err(_) => break,
        }
        // Whatever keeps it from reading on is an end: an order is written at once.
        if orders.read_exact(&mut order).is_err() {
            break;
        }
        match Held::ordered(order) {
            (HOLD, held) => {
                all.insert(held);
                // Who does not hear it is gone.
                let _ = answers.write_all(&[HOLDS]);
            }
            (RELEASE, held) => _ = all.remove(&held),
            (PULSE, Held { interface: millis, .. }) => {
                silent_from = Some(Instant::now() + Duration::from_millis(millis.into()));
            }
            (_, _) => {}
        }
    }
    remove(&all)?;
    Ok(if all.is_empty() { Outcome::Orderly } else { Outcome::Alone })
}

fn remove(all: &BTreeSet<Held>) -> Result<(), CallError> {
    let mut outcome = Ok(());
    for held in all {
        let removed = Addresses::of(held.interface).and_then(|from| from.remove(held.address));
        if let Err(error) = removed {
            outcome = Err(error);
        }
    }
    outcome
}

/// Waits until there is something to read, an end as well, or until then. What is
/// there at that very time counts.
fn readable(file: BorrowedFd<'_>, until: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        // Rounded up, so that it does not spin at the end.
        let millis = left.map(|left| left.as_nanos().div_ceil(1_000_000));
        let timeout = millis.map_or(PollTimeout::NONE, |millis| {
            PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
        });
        let mut files = [PollFd::new(file, PollFlags::POLLIN)];
        match poll(&mut files, timeout) {
            Ok(0) if left.is_some_and(|left| left.is_zero()) => return Ok(false),
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
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
