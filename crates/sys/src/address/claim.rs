//! Telling a network who has an address, and asking whether anybody has.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_indextoname;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};

use crate::call::{CallError, Named};
use crate::repair::checksum;

/// Sends and hears ARP and neighbour discovery on one Ethernet interface; needs
/// CAP_NET_RAW.
#[derive(Debug)]
pub struct Announcer {
    /// It hears nothing.
    socket: Socket,
    interface: u32,
    hardware: Hardware,
}

/// An Ethernet address.
pub type Hardware = [u8; 6];

/// Who has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nobody said anything.
    Nobody,
    /// A machine with this Ethernet address.
    Machine(Hardware),
}

/// Kinds of Ethernet frames, as they stand in them.
const ARP: [u8; 2] = [0x08, 0x06];
const IPV6: [u8; 2] = [0x86, 0xDD];

/// ARP over Ethernet for IPv4, up to the operation (RFC 826).
const ARP_START: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// ICMPv6's number in IPv6 headers, and the two messages (RFC 4861, 4.3, 4.4).
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// "Take this in place of what you know" (RFC 4861, section 4.4).
const OVERRIDE: u8 = 0x20;

const BROADCAST: Hardware = [0xFF; 6];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 1);

/// How many frames of others are looked at while an answer is waited for, so
/// that a flood cannot hold a start up. An answer comes in the first ones.
const MAX_FRAMES: usize = 100_000;

impl Announcer {
    /// On the interface of that index.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_RAW; ENODEV if it is none, or not Ethernet.
    pub fn open(interface: u32) -> Result<Self, CallError> {
        let hardware = hardware_of(interface).of("getifaddrs")?;
        Ok(Self { socket: open(interface, 0)?, interface, hardware })
    }

    /// The interface's own address.
    #[must_use]
    pub fn hardware(&self) -> Hardware {
        self.hardware
    }

    /// Tells everybody that this machine has `address`.
    ///
    /// # Errors
    ///
    /// `send`'s: ENETDOWN if the interface is off.
    pub fn announce(&self, address: IpAddr) -> Result<(), CallError> {
        match address {
            IpAddr::V4(address) => self.send(&self.arp(address, address)),
            IpAddr::V6(address) => self.send(&self.advertisement(address)),
        }
    }

    /// Asks whether another machine has `address`, `times` times, and waits so
    /// long after each (RFC 5227, section 2.1.1; RFC 4862, section 5.4). Blocks
    /// for as long as nobody says that he has it.
    ///
    /// # Errors
    ///
    /// `send`'s, `poll`'s or `recv`'s.
    pub fn probe(&self, address: IpAddr, times: u32, pause: Duration) -> Result<Found, CallError> {
        let kind = if address.is_ipv4() { libc::ETH_P_ARP } else { libc::ETH_P_IPV6 };
        let ear = open(self.interface, kind)?;
        for _ in 0..times {
            match address {
                IpAddr::V4(address) => self.send(&self.arp(Ipv4Addr::UNSPECIFIED, address))?,
                IpAddr::V6(address) => self.send(&self.solicitation(address))?,
            }
            if let Some(owner) = self.listen(&ear, address, Instant::now() + pause)? {
                return Ok(Found::Machine(owner));
            }
        }
        Ok(Found::Nobody)
    }

    fn listen(
        &self,
        mut ear: &Socket,
        address: IpAddr,
        until: Instant,
    ) -> Result<Option<Hardware>, CallError> {
        // Longer than what either protocol sends.
        let mut frame = [0; 256];
        for _ in 0..MAX_FRAMES {
            let left = until.saturating_duration_since(Instant::now());
            match ear.read(&mut frame) {
                Ok(length) => {
                    let owner = owner(&frame[..length], address);
                    if let Some(owner) = owner.filter(|owner| *owner != self.hardware) {
                        return Ok(Some(owner));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut files = [PollFd::new(ear.as_fd(), PollFlags::POLLIN)];
                    // A tenth of a millisecond would be none.
                    let millis = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
                    poll(&mut files, PollTimeout::from(millis)).of("poll")?;
                }
                Err(error) => return Err(error).of("recv AF_PACKET"),
            }
            if left.is_zero() {
                break;
            }
        }
        Ok(None)
    }

    fn send(&self, frame: &[u8]) -> Result<(), CallError> {
        self.socket.send(frame).map(drop).of("send AF_PACKET")
    }

    /// A question for `target`. From `target` itself it is an announcement.
    fn arp(&self, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
        let mut frame = self.frame(BROADCAST, ARP);
        frame.extend_from_slice(&ARP_START);
        frame.extend_from_slice(&[0, 1]);
        frame.extend_from_slice(&self.hardware);
        frame.extend_from_slice(&sender.octets());
        frame.extend_from_slice(&[0; 6]);
        frame.extend_from_slice(&target.octets());
        frame
    }

    fn advertisement(&self, address: Ipv6Addr) -> Vec<u8> {
        // The target's link-layer address, in units of eight bytes.
        let option = [&[2, 1], self.hardware.as_slice()].concat();
        self.discovery(address, ALL_NODES, [ADVERTISEMENT, OVERRIDE], &address, &option)
    }

    fn solicitation(&self, target: Ipv6Addr) -> Vec<u8> {
        // Its solicited-node group (RFC 4291, section 2.7.1).
        let [.., a, b, c] = target.octets();
        let group = Ipv6Addr::from([0xFF, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF, a, b, c]);
        self.discovery(Ipv6Addr::UNSPECIFIED, group, [SOLICITATION, 0], &target, &[])
    }

    /// A neighbour discovery message: its type, and its flags.
    fn discovery(
        &self,
        from: Ipv6Addr,
        group: Ipv6Addr,
        [kind, flags]: [u8; 2],
        target: &Ipv6Addr,
        option: &[u8],
    ) -> Vec<u8> {
        let mut message = [&[kind, 0, 0, 0, flags, 0, 0, 0], &target.octets()[..], option].concat();
        let length = u8::try_from(message.len()).expect("32 bytes at most");
        let (from, to) = (from.octets(), group.octets());
        let sum = checksum(&[&from, &to, &[0, length], &[0, ICMPV6], &message]);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut frame = self.frame([0x33, 0x33, to[12], to[13], to[14], to[15]], IPV6);
        // With 255 hops: it has passed no router (RFC 4861, section 7.1).
        frame.extend_from_slice(&[0x60, 0, 0, 0, 0, length, ICMPV6, 255]);
        frame.extend_from_slice(&from);
        frame.extend_from_slice(&to);
        frame.extend_from_slice(&message);
        frame
    }

    fn frame(&self, to: Hardware, kind: [u8; 2]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(96);
        frame.extend_from_slice(&to);
        frame.extend_from_slice(&self.hardware);
        frame.extend_from_slice(&kind);
        frame
    }
}

/// A socket for whole frames on an interface, which hears those of that kind.
fn open(interface: u32, kind: i32) -> Result<Socket, CallError> {
    let kind = u16::try_from(kind).expect("kinds have 16 bits").to_be();
    // It hears nothing before it is bound, and then what it should.
    let socket = Socket::new(Domain::PACKET, Type::RAW, None).of("socket AF_PACKET")?;
    socket.set_nonblocking(true).of("fcntl O_NONBLOCK")?;
    crate::option::bind_packet(socket.as_fd(), interface, kind).of("bind AF_PACKET")?;
    Ok(socket)
}

/// Who says in this frame that he has `address`: by any ARP from it, or by an
/// advertisement of it.
fn owner(frame: &[u8], address: IpAddr) -> Option<Hardware> {
    let says = match address {
        IpAddr::V4(address) => {
            frame.get(12..14)? == ARP
                && frame.get(14..20)? == ARP_START
                && frame.get(28..32)? == address.octets()
        }
        IpAddr::V6(address) => {
            frame.get(12..14)? == IPV6
                && *frame.get(20)? == ICMPV6
                && *frame.get(54)? == ADVERTISEMENT
                && frame.get(62..78)? == address.octets()
        }
    };
    says.then(|| frame[6..12].try_into().expect("six bytes"))
}

fn hardware_of(interface: u32) -> io::Result<Hardware> {
    let no_device = || io::Error::from_raw_os_error(libc::ENODEV);
    let name = if_indextoname(interface)?;
    getifaddrs()?
        .filter(|entry| entry.interface_name.as_bytes() == name.as_bytes())
        .find_map(|entry| entry.address?.as_link_addr()?.addr())
        .ok_or_else(no_device)
}
