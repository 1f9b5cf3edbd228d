//! Single TCP segments made by hand, for what no socket can be made to say.
//!
//! Three things need it. A peer's FIN that was acknowledged before a connection
//! moved never comes again, and `TCP_REPAIR` cannot put it into a socket; so the
//! kernel gets it from us. And a peer in SYN-SENT knows no established
//! connection: it gets its SYN-ACK again. And what a peer sends while its connection
//! moves comes to where that was, and is passed on. Every segment bears a mark, by which
//! rules of a firewall know it.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

use crate::call::{CallError, Named};
use crate::option;

/// Sends segments with addresses of the caller's choice; needs CAP_NET_RAW.
#[derive(Debug)]
pub struct Forge {
    v4: Socket,
    v6: Option<Socket>,
}

/// A segment.
#[derive(Debug, Clone, Copy)]
pub struct Forged<'a> {
    /// Whom it claims to come from.
    pub from: SocketAddr,
    /// Where it goes, of the same family.
    pub to: SocketAddr,
    /// The sequence number.
    pub sequence: u32,
    /// The acknowledgement.
    pub acknowledged: u32,
    /// What it is.
    pub flags: Flags,
    /// The window as it stands in the segment, shifted already.
    pub window: u16,
    /// Its options, as bytes; what is missing to a multiple of four is filled
    /// up. At most 40 bytes fit.
    pub options: &'a [u8],
    /// Its data, at most [`MAX_DATA_BYTES`].
    pub data: &'a [u8],
}

/// The kinds of segments that are forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flags {
    /// FIN and ACK.
    Fin,
    /// SYN and ACK.
    SynAck,
    /// ACK.
    Ack,
}

impl Flags {
    /// The bits (RFC 9293, section 3.1).
    const fn bits(self) -> u8 {
        match self {
            Self::Fin => 0x11,
            Self::SynAck => 0x12,
            Self::Ack => 0x10,
        }
    }
}

/// A TCP header without options.
const HEADER_BYTES: usize = 20;

/// What the length field of a TCP header leaves for options.
const OPTION_BYTES: usize = 40;

/// The most data of a segment: with all headers and the timestamps, it passes
/// wherever IPv6 does (RFC 8200, section 5: 1,280 bytes).
pub const MAX_DATA_BYTES: usize = 1_208;

/// The protocol's number in IP headers.
const TCP: u8 = 6;

/// Routers are passed as by any other packet (RFC 1700's recommendation).
const HOPS: u8 = 64;

impl Forge {
    /// Opens it; all that it sends bears `mark`.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_RAW. A machine without IPv6 has it for IPv4 only.
    pub fn open(mark: u32) -> Result<Self, CallError> {
        let v4 = open(Domain::IPV4, mark)?;
        match open(Domain::IPV6, mark) {
            Ok(v6) => Ok(Self { v4, v6: Some(v6) }),
            Err(error) if error.is(libc::EAFNOSUPPORT) => Ok(Self { v4, v6: None }),
            Err(error) => Err(error),
        }
    }

    /// Sends a segment.
    ///
    /// # Errors
    ///
    /// `sendto`'s; EAFNOSUPPORT for two families or one that is not there.
    ///
    /// # Panics
    ///
    /// With more than 40 bytes of options, or [`MAX_DATA_BYTES`] of data.
    pub fn send(&self, segment: &Forged<'_>) -> Result<(), CallError> {
        let unsupported = || std::io::Error::from_raw_os_error(libc::EAFNOSUPPORT);
        let (socket, packet) = match (segment.from.ip(), segment.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let (from, to) = (from.octets(), to.octets());
                let tcp = segment.bytes(&from, &to);
                (Some(&self.v4), [v4_header(from, to).as_slice(), &tcp].concat())
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let (from, to) = (from.octets(), to.octets());
                let tcp = segment.bytes(&from, &to);
                (self.v6.as_ref(), [v6_header(from, to, tcp.len()).as_slice(), &tcp].concat())
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => (None, vec![]),
        };
        let socket = socket.ok_or_else(unsupported).of("sendto")?;
        // A raw socket has no ports, and an address with one is refused.
        let mut to = segment.to;
        to.set_port(0);
        socket.send_to(&packet, &to.into()).map(drop).of("sendto")
    }
}

fn open(domain: Domain, mark: u32) -> Result<Socket, CallError> {
    let raw = Protocol::from(libc::IPPROTO_RAW);
    let socket = Socket::new(domain, Type::RAW, Some(raw)).of("socket SOCK_RAW")?;
    socket.set_nonblocking(true).of("fcntl O_NONBLOCK")?;
    set_mark(&socket, mark)?;
    Ok(socket)
}

/// Marks all that a socket sends.
fn set_mark(socket: &Socket, mark: u32) -> Result<(), CallError> {
    option::set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_MARK, mark).of("setsockopt SO_MARK")
}

impl Forged<'_> {
    /// The TCP header, with the checksum for these addresses.
    fn bytes(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        assert!(self.options.len() <= OPTION_BYTES, "{} bytes of options", self.options.len());
        assert!(self.data.len() <= MAX_DATA_BYTES, "{} bytes of data", self.data.len());
        let words = self.options.len().div_ceil(4);
        let header = u8::try_from(HEADER_BYTES + 4 * words).expect("at most 60");
        let mut bytes = Vec::with_capacity(usize::from(header) + self.data.len());
        bytes.extend_from_slice(&self.from.port().to_be_bytes());
        bytes.extend_from_slice(&self.to.port().to_be_bytes());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.acknowledged.to_be_bytes());
        // The header's length counts words of four bytes, in the upper half.
        bytes.extend_from_slice(&[header << 2, self.flags.bits()]);
        bytes.extend_from_slice(&self.window.to_be_bytes());
        // No checksum yet, no urgent data.
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(self.options);
        // End of the option list (RFC 9293, section 3.1) to the end.
        bytes.resize(header.into(), 0);
        bytes.extend_from_slice(self.data);
        let length = u16::try_from(bytes.len()).expect("at most 1,268").to_be_bytes();
        let sum = checksum(&[from, to, &[0, TCP], &length, &bytes]);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

/// An IPv4 header, in which the kernel fills in length, number and checksum
/// (raw(7)).
fn v4_header(from: [u8; 4], to: [u8; 4]) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[8] = HOPS;
    header[9] = TCP;
    header[12..16].copy_from_slice(&from);
    header[16..20].copy_from_slice(&to);
    header
}

fn v6_header(from: [u8; 16], to: [u8; 16], payload: usize) -> [u8; 40] {
    let mut header = [0; 40];
    header[0] = 0x60;
    let payload = u16::try_from(payload).expect("at most 1,268");
    header[4..6].copy_from_slice(&payload.to_be_bytes());
    header[6] = TCP;
    header[7] = HOPS;
    header[8..24].copy_from_slice(&from);
    header[24..40].copy_from_slice(&to);
    header
}

/// The Internet's checksum (RFC 1071) over parts that are of even length, except
/// for the last one.
pub(crate) fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let word = |word: &[u8]| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
    let sum: u32 = words.map(word).sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let folded = (folded & 0xFFFF) + (folded >> 16);
    !u16::try_from(folded).expect("two folds leave 16 bits")
}
