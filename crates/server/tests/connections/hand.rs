//! TCP by hand: segments as a test wants them, over raw sockets.
//!
//! The kernel of the clients' machine knows nothing of these connections, and
//! would reset them: a rule of its firewall keeps that in. What such a client does
//! not say (options but the largest segment) it does not have.

use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use ground::command::run;
use ground::farm::{CLIENTS, PATIENCE};
use ground::{Farm, Network};
use socket2::{Domain, Protocol, Socket, Type};

pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// IPPROTO_RAW: whoever sends by it writes the IP header himself (raw(7)).
const OWN_HEADER: i32 = 255;

/// The mark of what is sent by hand, which tells it from what the kernel says.
const OURS: u32 = 1;

/// After how long without an answer something is sent again: longer than a busy
/// machine takes, and short beside what a test waits.
const RESEND: Duration = Duration::from_millis(300);

/// The largest segment that comes: what Ethernet carries.
const MSS: u16 = 1_460;

/// Where segments are sent from and come in.
#[derive(Debug)]
pub(crate) struct Wire {
    out: Socket,
    into: Socket,
}

/// One segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) flags: u8,
    pub(crate) bytes: &'a [u8],
    /// What its checksum is wrong by.
    pub(crate) wrong_by: u16,
}

impl Wire {
    /// On the clients' machine, whose kernel resets nothing from then on.
    pub(crate) fn open(network: &Network) -> Self {
        let open = || {
            let resets = "iptables -A OUTPUT -p tcp --tcp-flags RST RST";
            run(&format!("{resets} -m mark ! --mark {OURS} -j DROP")).expect("it was there");
            let raw = |protocol| Socket::new(Domain::IPV4, Type::RAW, Some(protocol));
            (raw(Protocol::from(OWN_HEADER)), raw(Protocol::TCP))
        };
        let (out, into) = network.on(CLIENTS, open);
        let (out, into) = (out.expect("who has networks may"), into.expect("as well"));
        out.set_mark(OURS).expect("who has networks may");
        into.set_read_timeout(Some(RESEND)).expect("it is not zero");
        Self { out, into }
    }

    pub(crate) fn send(&self, segment: &Segment<'_>) {
        let to = SocketAddr::from(segment.to).into();
        self.out.send_to(&segment.encode(), &to).expect("there is a way to it");
    }

    /// The next packet that comes, if one does soon.
    fn receive(&self) -> Option<Vec<u8>> {
        let mut packet = vec![0; 1 << 16];
        match (&self.into).read(&mut packet) {
            Ok(count) => {
                packet.truncate(count);
                Some(packet)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("a raw socket: {error}"),
        }
    }
}

impl Segment<'_> {
    /// The packet (RFC 791, RFC 9293). What of the IP header is left zero, the
    /// kernel fills in.
    fn encode(&self) -> Vec<u8> {
        let is_syn = self.flags & SYN != 0;
        let mut tcp = Vec::new();
        tcp.extend(self.from.port().to_be_bytes());
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.sequence.to_be_bytes());
        tcp.extend(self.acknowledged.to_be_bytes());
        tcp.extend([if is_syn { 6 << 4 } else { 5 << 4 }, self.flags]);
        tcp.extend(u16::MAX.to_be_bytes());
        tcp.extend([0; 4]);
        if is_syn {
            tcp.extend([2, 4]);
            tcp.extend(MSS.to_be_bytes());
        }
        tcp.extend(self.bytes);
        let checksum = self.checksum(&tcp).wrapping_add(self.wrong_by);
        tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0];
        packet.extend(self.from.ip().octets());
        packet.extend(self.to.ip().octets());
        packet.extend(tcp);
        packet
    }

    fn checksum(&self, tcp: &[u8]) -> u16 {
        let length = u32::try_from(tcp.len()).expect("a packet is small");
        let mut summed = [self.from.ip().octets(), self.to.ip().octets()].concat();
        summed.extend([0, 6]);
        summed.extend(&length.to_be_bytes()[2..]);
        summed.extend(tcp);
        summed.resize(summed.len().next_multiple_of(2), 0);
        let words = summed.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let sum: u32 = words.sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("it was folded twice")
    }
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Hand {
    wire: Wire,
    pub(crate) here: SocketAddrV4,
    pub(crate) there: SocketAddrV4,
    /// The next byte that is sent.
    pub(crate) next: u32,
    /// The next byte that should come.
    pub(crate) awaited: u32,
    /// What has come and was not looked at.
    came: Vec<u8>,
}

impl Hand {
    /// One that has not begun, from a port, whose first byte will have the number
    /// after this one.
    pub(crate) fn new(farm: &Farm, [port, to]: [u16; 2], first: u32) -> Self {
        let there = match farm.address() {
            std::net::IpAddr::V4(address) => SocketAddrV4::new(address, to),
            std::net::IpAddr::V6(_) => unreachable!("these farms have an address of IPv4"),
        };
        let here = SocketAddrV4::new(Network::address(CLIENTS), port);
        let wire = Wire::open(&farm.network);
        Self { wire, here, there, next: first, awaited: 0, came: Vec::new() }
    }

    /// Begins: its SYN, which is sent again each time.
    pub(crate) fn knock(&self) {
        self.wire.send(&Segment { flags: SYN, acknowledged: 0, ..self.segment(&[]) });
    }

    /// Whether the SYN-ACK comes soon.
    pub(crate) fn is_answered(&mut self) -> bool {
        while let Some(packet) = self.wire.receive() {
            let Some(came) = self.ours(&packet) else { continue };
            if came.flags == SYN | ACK && came.acknowledged == self.next.wrapping_add(1) {
                self.awaited = came.sequence.wrapping_add(1);
                self.next = came.acknowledged;
                return true;
            }
        }
        false
    }

    /// Has the connection be there.
    pub(crate) fn shake(&mut self) {
        let limit = Instant::now() + PATIENCE;
        self.knock();
        while !self.is_answered() {
            assert!(Instant::now() < limit, "nobody answers");
            self.knock();
        }
        self.acknowledge();
    }

    /// Whether it hears soon that there is no such connection.
    pub(crate) fn is_reset(&self) -> bool {
        while let Some(packet) = self.wire.receive() {
            if self.ours(&packet).is_some_and(|came| came.flags & RST != 0) {
                return true;
            }
        }
        false
    }

    /// Says how far it has heard.
    pub(crate) fn acknowledge(&self) {
        self.wire.send(&self.segment(&[]));
    }

    /// Sends bytes, some way from the next one.
    pub(crate) fn send(&self, offset: u32, bytes: &[u8]) {
        let sequence = self.next.wrapping_add(offset);
        let segment = Segment { sequence, flags: ACK | PSH, ..self.segment(bytes) };
        self.wire.send(&segment);
    }

    /// Sends any segment.
    pub(crate) fn send_as(&self, segment: &Segment<'_>) {
        self.wire.send(segment);
    }

    /// Sends bytes, again and again, until as many have come back; gives those.
    pub(crate) fn echo(&mut self, bytes: &[u8]) -> Vec<u8> {
        let limit = Instant::now() + PATIENCE;
        while self.came.len() < bytes.len() {
            assert!(Instant::now() < limit, "{} of {} came back", self.came.len(), bytes.len());
            self.send(0, bytes);
            self.hear(bytes.len());
        }
        let length = u32::try_from(bytes.len()).expect("it is small");
        self.next = self.next.wrapping_add(length);
        self.acknowledge();
        self.came.drain(..bytes.len()).collect()
    }

    /// What comes by itself, so many bytes of it: nothing is sent again.
    pub(crate) fn await_bytes(&mut self, count: usize) -> Vec<u8> {
        let limit = Instant::now() + PATIENCE;
        while self.came.len() < count {
            assert!(Instant::now() < limit, "{} of {count} came", self.came.len());
            self.hear(count);
        }
        self.came.drain(..count).collect()
    }

    /// Takes in what comes, until so much has or nothing comes for a while.
    fn hear(&mut self, enough: usize) {
        while self.came.len() < enough {
            let Some(packet) = self.wire.receive() else { return };
            let Some(came) = self.ours(&packet) else { continue };
            assert!(came.flags & RST == 0, "it was reset");
            let known = self.awaited.wrapping_sub(came.sequence);
            let Some(new) = came.bytes.get(known as usize..) else { continue };
            if !new.is_empty() {
                let length = u32::try_from(new.len()).expect("it is small");
                self.came.extend(new);
                self.awaited = self.awaited.wrapping_add(length);
                self.acknowledge();
            }
        }
    }

    /// An acknowledgement, for others to be made of.
    pub(crate) fn segment<'a>(&self, bytes: &'a [u8]) -> Segment<'a> {
        Segment {
            from: self.here,
            to: self.there,
            sequence: self.next,
            acknowledged: self.awaited,
            flags: ACK,
            bytes,
            wrong_by: 0,
        }
    }

    /// What a packet says, if it is of this connection.
    fn ours<'a>(&self, packet: &'a [u8]) -> Option<Segment<'a>> {
        let tcp = packet.get(usize::from(packet.first()? & 0xf) * 4..)?;
        let number = |at: usize| Some(u32::from_be_bytes(tcp.get(at..at + 4)?.try_into().ok()?));
        let port = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
        let from: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
        let from = SocketAddrV4::new(Ipv4Addr::from(from), port(0)?);
        (from == self.there && port(2)? == self.here.port()).then_some(())?;
        Some(Segment {
            from,
            to: self.here,
            sequence: number(4)?,
            acknowledged: number(8)?,
            flags: *tcp.get(13)? & 0x3f,
            bytes: tcp.get(usize::from(tcp.get(12)? >> 4) * 4..)?,
            wrong_by: 0,
        })
    }
}
