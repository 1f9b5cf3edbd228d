//! The virtual address at this machine: taken, told to the network, let go.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use sys::address::{Addresses, Announcer, Found};
use sys::call::CallError;
use sys::guardian::{Guardian, Held};

/// How often the address is announced: the first may be lost.
const ANNOUNCEMENTS: u32 = 3;
/// How long somebody is waited for who has the address, and how often he is
/// asked (RFC 5227, section 1.1, has 3 probes; on a LAN an answer takes less
/// than a millisecond).
const PROBES: u32 = 3;
const PROBE_PAUSE: Duration = Duration::from_millis(20);

/// Where the virtual address is, or is not.
#[derive(Debug)]
pub(super) struct Place {
    address: IpAddr,
    /// The index of the interface that it is on.
    interface: u32,
    /// Takes it away when this process was killed.
    guardian: Option<Guardian>,
    addresses: Addresses,
    announcer: Announcer,
    here: bool,
    /// How often it is still to be announced.
    announcements: u32,
}

impl Place {
    /// On the interface of that index. What an earlier start has left there is
    /// taken off.
    pub(super) fn open(
        address: IpAddr,
        interface: u32,
        guardian: Option<Guardian>,
    ) -> Result<Self, CallError> {
        let addresses = Addresses::of(interface)?;
        addresses.remove(address)?;
        let announcer = Announcer::open(interface)?;
        Ok(Self {
            address,
            interface,
            guardian,
            addresses,
            announcer,
            here: false,
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

    /// Lets it go.
    pub(super) fn leave(&mut self) -> Result<(), CallError> {
        self.here = false;
        self.addresses.remove(self.address)?;
        self.tell_guardian(Guardian::release);
        Ok(())
    }

    /// A guardian that is gone is done without: the address is what matters.
    fn tell_guardian(&mut self, tell: fn(&mut Guardian, Held) -> io::Result<()>) {
        let held = Held { address: self.address, interface: self.interface };
        if let Some(guardian) = &mut self.guardian
            && let Err(error) = tell(guardian, held)
        {
            tracing::warn!(
                %error,
                "nobody takes the virtual address away if this process is killed"
            );
            self.guardian = None;
        }
    }
}
