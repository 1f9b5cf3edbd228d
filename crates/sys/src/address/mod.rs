//! An address that moves between machines: put on an interface and taken off
//! it, told to the network, and looked for before it is used.
//!
//! Putting it on takes the kernel a fifth of a millisecond by netlink, where
//! starting the `ip` command takes five to sixteen. The network learns of it by
//! a gratuitous ARP (RFC 5227, section 2.3) or an unsolicited neighbour
//! advertisement (RFC 4861, section 7.2.6). Who owns an address is not decided
//! here.

mod claim;
mod link;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

pub use claim::{Announcer, Found, Hardware};
pub use link::{LinkState, LinkWatch};

use crate::call::{CallError, Named};
use crate::netlink::{Message, Netlink};

/// Addresses on an interface of this network namespace.
#[derive(Debug)]
pub struct Addresses {
    netlink: Netlink,
    interface: u32,
}

/// Far longer than the kernel takes to add an address, which is a fraction of a
/// millisecond.
const SOON: Duration = Duration::from_secs(1);

/// A neighbour's address (`linux/neighbour.h`).
const NDA_DST: i32 = 1;

/// Usable at once: [`Announcer::probe`] has looked for another owner. (The
/// kernel's own look would take a second.)
const IFA_F_NODAD: u8 = 0x02;

impl Addresses {
    /// For the interface of that index.
    ///
    /// # Errors
    ///
    /// `socket`'s: this kernel has no netlink.
    pub fn of(interface: u32) -> Result<Self, CallError> {
        Ok(Self { netlink: Netlink::open(libc::NETLINK_ROUTE, 0)?, interface })
    }

    /// Puts `address` on the interface; says whether it was not there yet. It
    /// covers no network: no route but its own comes with it, and no other
    /// address goes when it does.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_ADMIN, ENODEV if the interface is gone.
    pub fn add(&self, address: IpAddr) -> Result<bool, CallError> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut message = self.message(libc::RTM_NEWADDR, flags, address);
        if address.is_ipv6() {
            message = message.attribute(libc::IFA_CACHEINFO.into(), &not_preferred());
        }
        let added =
            done(self.netlink.request(message, "netlink RTM_NEWADDR", |_| ()), libc::EEXIST)?;
        self.forget_neighbour(address)?;
        if let IpAddr::V6(address) = address {
            self.until_local(address)?;
        }
        Ok(added)
    }

    /// Forgets which other machine had `address`: when it leaves this one again, what
    /// is sent to it must not go there.
    fn forget_neighbour(&self, address: IpAddr) -> Result<(), CallError> {
        // `struct ndmsg`: family, padding, interface, state, flags, type.
        let mut fixed = [0; 12];
        fixed[0] = small(if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 });
        fixed[4..8].copy_from_slice(&self.interface.to_ne_bytes());
        let message = Message::request(libc::RTM_DELNEIGH, 0, &fixed);
        let message = match address {
            IpAddr::V4(address) => message.attribute(NDA_DST, &address.octets()),
            IpAddr::V6(address) => message.attribute(NDA_DST, &address.octets()),
        };
        done(self.netlink.request(message, "netlink RTM_DELNEIGH", |_| ()), libc::ENOENT).map(drop)
    }

    /// Takes `address` off the interface; says whether it was there.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_ADMIN, ENODEV if the interface is gone.
    pub fn remove(&self, address: IpAddr) -> Result<bool, CallError> {
        let message = self.message(libc::RTM_DELADDR, 0, address);
        done(self.netlink.request(message, "netlink RTM_DELADDR", |_| ()), libc::EADDRNOTAVAIL)
    }

    /// Waits until what comes for an IPv6 address is taken in: the kernel does
    /// the rest of adding it a little later, and drops what comes before.
    fn until_local(&self, address: Ipv6Addr) -> Result<(), CallError> {
        let end = Instant::now() + SOON;
        while !self.is_local(address)? {
            if Instant::now() > end {
                let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                return Err(late).of("netlink RTM_NEWADDR");
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Whether the kernel's routes lead packets for the address to itself.
    fn is_local(&self, address: Ipv6Addr) -> Result<bool, CallError> {
        // `struct rtmsg`: family and length of the address; its type stands at 7.
        let mut fixed = [0; 12];
        fixed[..2].copy_from_slice(&[small(libc::AF_INET6), small(128)]);
        let request = Message::request(libc::RTM_GETROUTE, 0, &fixed);
        let request = request.attribute(libc::RTA_DST.into(), &address.octets());
        let mut local = false;
        let result = self.netlink.request(request, "netlink RTM_GETROUTE", |route| {
            local |= route.body.get(7) == Some(&libc::RTN_LOCAL);
        });
        match result {
            Err(error) if !error.is(libc::ENETUNREACH) => Err(error),
            Ok(()) | Err(_) => Ok(local),
        }
    }

    fn message(&self, kind: u16, flags: i32, address: IpAddr) -> Message {
        let (family, bits) = match address {
            IpAddr::V4(_) => (libc::AF_INET, Ipv4Addr::BITS),
            IpAddr::V6(_) => (libc::AF_INET6, Ipv6Addr::BITS),
        };
        let bits = u8::try_from(bits).expect("32 or 128");
        // `struct ifaddrmsg`: family, prefix length, flags, scope, interface.
        let mut fixed = [small(family), bits, IFA_F_NODAD, 0, 0, 0, 0, 0];
        fixed[4..].copy_from_slice(&self.interface.to_ne_bytes());
        let message = Message::request(kind, flags, &fixed);
        let with = |message: Message, bytes: &[u8]| {
            message
                .attribute(libc::IFA_LOCAL.into(), bytes)
                .attribute(libc::IFA_ADDRESS.into(), bytes)
        };
        match address {
            IpAddr::V4(address) => with(message, &address.octets()),
            IpAddr::V6(address) => with(message, &address.octets()),
        }
    }
}

/// Numbers that the kernel's structures have one byte for.
fn small(number: i32) -> u8 {
    u8::try_from(number).expect("families and lengths of addresses are small")
}

/// `struct ifa_cacheinfo`: preferred for no time, valid for ever. What this
/// machine begins itself then does not come from the virtual address, where the
/// answers would go astray when it moves.
fn not_preferred() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].fill(0xFF);
    bytes
}

/// Whether a request changed anything: an error that says that it is so
/// already is none.
fn done(result: Result<(), CallError>, already: i32) -> Result<bool, CallError> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.is(already) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
