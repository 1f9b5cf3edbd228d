//! The virtual address at this machine: taken, told to the network, let go.
//!
//! While it is in doubt whether it may be here, it is not, and the wish stays. The
//! guardian takes it off where this process cannot.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use sys::address::{Addresses, Announcer, Found};
use sys::call::CallError;
use sys::guardian::{Guardian, Held};

use super::StartError;

/// How often the address is announced: the first may be lost.
const ANNOUNCEMENTS: u32 = 3;
/// How long somebody is waited for who has the address, and how often he is
/// asked (RFC 5227, section 1.1, has 3 probes; on a LAN an answer takes less
/// than a millisecond).
const PROBES: u32 = 3;
const PROBE_PAUSE: Duration = Duration::from_millis(20);

/// How soon a guardian that is gone is started again, if another has just been.
const RESPAWN: Duration = Duration::from_secs(1);

/// What is started as guardian: a program, and its argument.
pub(super) type Program = (PathBuf, &'static str);

/// Where the virtual address is, or is not.
#[derive(Debug)]
pub(super) struct Place {
    address: IpAddr,
    /// The index of the interface that it is on.
    interface: u32,
    /// What takes it away when this process was killed or stopped.
    program: Option<Program>,
    /// Where packets wait, which the guardian passes on when this process was killed.
    queue: Option<(u16, OwnedFd)>,
    guardian: Option<Guardian>,
    spawned: Instant,
    addresses: Addresses,
    announcer: Announcer,
    here: bool,
    /// Whether it is to be here, once nothing speaks against it.
    wanted: bool,
    /// How often it is still to be announced.
    announcements: u32,
}

impl Place {
    /// On the interface of that index. What an earlier start has left there is
    /// taken off.
    pub(super) fn open(
        address: IpAddr,
        interface: u32,
        program: Option<Program>,
        queue: Option<(u16, OwnedFd)>,
    ) -> Result<Self, StartError> {
        let addresses = Addresses::of(interface)?;
        addresses.remove(address)?;
        let announcer = Announcer::open(interface)?;
        let guardian =
            program.as_ref().map(|program| spawn(program, queue.as_ref())).transpose()?;
        Ok(Self {
            address,
            interface,
            program,
            queue,
            guardian,
            spawned: Instant::now(),
            addresses,
            announcer,
            here: false,
            wanted: false,
            announcements: 0,
        })
    }

    pub(super) const fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) const fn is_here(&self) -> bool {
        self.here
    }

    /// Whether another machine has it.
    pub(super) fn probe(&self) -> Result<Found, CallError> {
        self.announcer.probe(self.address, PROBES, PROBE_PAUSE)
    }

    /// Whether it is to be here and is not.
    pub(super) const fn is_missing(&self) -> bool {
        self.wanted && !self.here
    }

    /// It is to be here.
    pub(super) const fn want(&mut self) {
        self.wanted = true;
    }

    /// Takes the address.
    pub(super) fn take(&mut self) -> Result<(), CallError> {
        self.tell_guardian(Guardian::hold);
        self.addresses.add(self.address)?;
        self.here = true;
        self.announcements = ANNOUNCEMENTS;
        self.announce()
    }

    /// Announces it, as long as that is due.
    pub(super) fn announce(&mut self) -> Result<(), CallError> {
        if self.here && self.announcements > 0 {
            self.announcements -= 1;
            self.announcer.announce(self.address)?;
        }
        Ok(())
    }

    /// Takes it off for as long as it is in doubt who owns it.
    pub(super) fn suspend(&mut self) -> Result<(), CallError> {
        self.here = false;
        // The guardian goes on holding it: there is nothing to lose.
        self.addresses.remove(self.address).map(drop)
    }

    /// Lets it go.
    pub(super) fn leave(&mut self) -> Result<(), CallError> {
        self.wanted = false;
        self.here = false;
        self.addresses.remove(self.address)?;
        self.tell_guardian(Guardian::release);
        Ok(())
    }

    /// Tells the guardian that this process runs, and will within that time.
    pub(super) fn pulse(&mut self, within: Duration) {
        if self.guardian.is_none() && self.spawned.elapsed() >= RESPAWN {
            self.start_guardian();
        }
        self.tell_guardian(|guardian, _| guardian.pulse(within));
    }

    /// A guardian that is gone is started again. Until then it is done without: the
    /// address is what matters.
    fn tell_guardian(&mut self, tell: impl FnOnce(&mut Guardian, Held) -> io::Result<()>) {
        let held = self.held();
        let Some(guardian) = &mut self.guardian else { return };
        let Err(error) = tell(guardian, held) else { return };
        tracing::warn!(%error, "the guardian of the virtual address is started again");
        // Nothing that it has begun may come later.
        if let Some(Err(error)) = self.guardian.take().map(Guardian::dismiss) {
            tracing::warn!(%error, "the guardian could not be ended");
        }
        if self.spawned.elapsed() >= RESPAWN {
            self.start_guardian();
        }
    }

    fn start_guardian(&mut self) {
        let (here, held) = (self.here, self.held());
        self.spawned = Instant::now();
        let Some(program) = &self.program else { return };
        let spawned = spawn(program, self.queue.as_ref());
        let spawned = spawned.and_then(|mut guardian| {
            if here {
                guardian.hold(held)?;
            }
            Ok(guardian)
        });
        self.guardian = spawned
            .inspect_err(|error| {
                tracing::warn!(
                    %error,
                    "nobody takes the virtual address away if this process is killed"
                );
            })
            .ok();
    }

    const fn held(&self) -> Held {
        Held { address: self.address, interface: self.interface }
    }
}

fn spawn((program, argument): &Program, queue: Option<&(u16, OwnedFd)>) -> io::Result<Guardian> {
    let mut command = Command::new(program);
    command.arg(argument);
    let file = queue.map(|(number, file)| {
        command.arg(number.to_string());
        file.try_clone()
    });
    Guardian::spawn(command, file.transpose()?)
}
