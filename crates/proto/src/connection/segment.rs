//! TCP segments, read from packets as the network brings them.
//!
//! A segment is read before the kernel has looked at it, and what is read
//! decides what is replicated. So this agrees with the kernel wherever the two
//! could differ: what the kernel would refuse is an error here, and where it is
//! lenient (options that are cut short) so is this. It knows one packet, nothing
//! of the connection that it belongs to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Who it says that he sent it.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// The sequence number of its SYN or of its first byte of data.
    pub sequence: u32,
    /// What its sender expects next; without ACK it means nothing.
    pub acknowledged: u32,
    /// What it does.
    pub flags: Flags,
    /// How much its sender takes, as it stands there: not shifted.
    pub window: u16,
    /// What else it says.
    pub options: Options,
    /// Its data.
    pub data: &'a [u8],
}

/// The flags of a segment (RFC 9293, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(u8);

/// The options of a segment that are of interest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// The largest segment that its sender takes (with SYN).
    pub segment: Option<u16>,
    /// By how many bits its sender's later windows are shifted (with SYN).
    pub scale: Option<u8>,
    /// Whether selective acknowledgements may be used (with SYN).
    pub sack: bool,
    /// Its sender's clock, and what it last saw of the receiver's.
    pub timestamps: Option<Timestamps>,
    /// The first block of what it acknowledges out of order, or has got twice:
    /// from a sequence number on, up to another (RFC 2018, section 3; RFC 2883).
    pub block: Option<[u32; 2]>,
}

/// The timestamps option (RFC 7323, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamps {
    /// The sender's clock.
    pub value: u32,
    /// The receiver's, as the sender last saw it.
    pub echo: u32,
}

/// What is done about the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// It is computed.
    Verify,
    /// Somebody has, or it is not made yet.
    Trust,
}

/// Why a packet is no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// It ends within a header.
    #[error("the packet ends within a header")]
    Short,
    /// It is of neither version of IP.
    #[error("the packet is of IP version {0}, not 4 or 6")]
    Version(u8),
    /// It carries another protocol.
    #[error("the packet carries protocol {0}, not TCP (6)")]
    Protocol(u8),
    /// It is a part of a packet.
    #[error("the packet is a fragment")]
    Fragment,
    /// It is on its way to somewhere else.
    #[error("the packet is routed by its source")]
    Routed,
    /// A header says a length that it cannot have.
    #[error("a header's length is wrong")]
    Length,
    /// Its checksum is wrong.
    #[error("the checksum is wrong")]
    Checksum,
}

/// Protocol numbers: TCP, and IPv6's headers that may stand before it (RFC
/// 8200, section 4).
const TCP: u8 = 6;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// Each of the extension headers stands there once, destination options twice
/// (RFC 8200, section 4.1).
const MAX_EXTENSIONS: usize = 5;

/// An IPv6 header.
const V6_BYTES: usize = 40;

/// More than this is read as this (RFC 7323, section 2.3).
const MAX_SCALE: u8 = 14;

/// What may stand at the end of a TCP header.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const SEGMENT: u8 = 2;
const SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

impl Flags {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;
    const URG: u8 = 32;

    /// It ends its sender's direction.
    #[must_use]
    pub fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }

    /// It begins its sender's direction.
    #[must_use]
    pub fn syn(self) -> bool {
        self.0 & Self::SYN != 0
    }

    /// It ends the connection.
    #[must_use]
    pub fn rst(self) -> bool {
        self.0 & Self::RST != 0
    }

    /// Its acknowledgement means something.
    #[must_use]
    pub fn ack(self) -> bool {
        self.0 & Self::ACK != 0
    }

    /// A byte of it is urgent, and does not come with the others.
    #[must_use]
    pub fn urg(self) -> bool {
        self.0 & Self::URG != 0
    }
}

impl<'a> Segment<'a> {
    /// Reads a packet that begins with its IP header.
    ///
    /// # Errors
    ///
    /// [`SegmentError`]; the kernel would not take such a packet for a segment
    /// either.
    pub fn decode(packet: &'a [u8], checksum: Checksum) -> Result<Self, SegmentError> {
        match packet.first().map(|first| first >> 4) {
            Some(4) => Self::decode_v4(packet, checksum),
            Some(6) => Self::decode_v6(packet, checksum),
            Some(version) => Err(SegmentError::Version(version)),
            None => Err(SegmentError::Short),
        }
    }

    /// How many sequence numbers it takes: its bytes, SYN and FIN.
    #[must_use]
    pub fn length(&self) -> u32 {
        // A packet's length has 16 bits, and so have those that the kernel has
        // put together to one; longer ones would wrap as the numbers do.
        let bytes = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
        bytes.wrapping_add(u32::from(self.flags.syn()) + u32::from(self.flags.fin()))
    }

    /// The sequence number behind it.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.length())
    }

    /// RFC 791, section 3.1.
    fn decode_v4(packet: &'a [u8], checksum: Checksum) -> Result<Self, SegmentError> {
        let fixed: &[u8; 20] = packet.first_chunk().ok_or(SegmentError::Short)?;
        let header = usize::from(fixed[0] & 0x0F) * 4;
        let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        // More fragments, or not the first one; the other bit forbids to make
        // them.
        if u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3FFF != 0 {
            return Err(SegmentError::Fragment);
        }
        if fixed[9] != TCP {
            return Err(SegmentError::Protocol(fixed[9]));
        }
        if header < fixed.len() {
            return Err(SegmentError::Length);
        }
        let bytes = body(packet, header, total)?;
        let ends = [12, 16].map(|at| address::<4>(fixed, at).map(Ipv4Addr::from).map(IpAddr::V4));
        Self::decode_tcp(bytes, ends, checksum)
    }

    /// RFC 8200, sections 3 and 4.
    fn decode_v6(packet: &'a [u8], checksum: Checksum) -> Result<Self, SegmentError> {
        let fixed: &[u8; V6_BYTES] = packet.first_chunk().ok_or(SegmentError::Short)?;
        let payload = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let total = if payload == 0 { 0 } else { payload + V6_BYTES };
        let mut bytes = body(packet, V6_BYTES, total)?;
        let mut next = fixed[6];
        for _ in 0..MAX_EXTENSIONS {
            if !matches!(next, HOP_BY_HOP | ROUTING | DESTINATION) {
                break;
            }
            let start: &[u8; 4] = bytes.first_chunk().ok_or(SegmentError::Short)?;
            // The fourth byte says how many addresses it has still to pass.
            if next == ROUTING && start[3] != 0 {
                return Err(SegmentError::Routed);
            }
            next = start[0];
            // In units of eight bytes, not counting the first.
            let length = (usize::from(start[1]) + 1) * 8;
            bytes = bytes.get(length..).ok_or(SegmentError::Short)?;
        }
        match next {
            TCP => {}
            FRAGMENT => return Err(SegmentError::Fragment),
            other => return Err(SegmentError::Protocol(other)),
        }
        let ends = [8, 24].map(|at| address::<16>(fixed, at).map(Ipv6Addr::from).map(IpAddr::V6));
        Self::decode_tcp(bytes, ends, checksum)
    }

    /// RFC 9293, section 3.1.
    fn decode_tcp(
        bytes: &'a [u8],
        ends: [Result<IpAddr, SegmentError>; 2],
        checksum: Checksum,
    ) -> Result<Self, SegmentError> {
        let [from, to] = ends;
        let (from, to) = (from?, to?);
        let fixed: &[u8; 20] = bytes.first_chunk().ok_or(SegmentError::Short)?;
        let header = usize::from(fixed[12] >> 4) * 4;
        if header < fixed.len() {
            return Err(SegmentError::Length);
        }
        let (header, data) = bytes.split_at_checked(header).ok_or(SegmentError::Short)?;
        if checksum == Checksum::Verify && !sums_up(from, to, bytes) {
            return Err(SegmentError::Checksum);
        }
        let short = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let long = |at: usize| u32::from(short(at)) << 16 | u32::from(short(at + 2));
        Ok(Self {
            from: SocketAddr::new(from, short(0)),
            to: SocketAddr::new(to, short(2)),
            sequence: long(4),
            acknowledged: long(8),
            flags: Flags(fixed[13]),
            window: short(14),
            options: Options::decode(&header[fixed.len()..]),
            data,
        })
    }
}

impl Options {
    /// As the kernel does, what is cut short ends the list, and what stood
    /// before it holds.
    fn decode(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        while let [kind, rest @ ..] = bytes {
            match *kind {
                END => break,
                NO_OPERATION => bytes = rest,
                kind => {
                    let length = usize::from(rest.first().copied().unwrap_or(0));
                    let Some(value) = bytes.get(2..length) else { break };
                    options.take(kind, value);
                    bytes = &bytes[length..];
                }
            }
        }
        options
    }

    fn take(&mut self, kind: u8, value: &[u8]) {
        match (kind, value) {
            // None at all would be no offer.
            (SEGMENT, &[high, low]) if high | low != 0 => {
                self.segment = Some(u16::from_be_bytes([high, low]));
            }
            (SCALE, &[shift]) => self.scale = Some(shift.min(MAX_SCALE)),
            (SACK_PERMITTED, []) => self.sack = true,
            (SACK, &[a, b, c, d, e, f, g, h, ..]) => {
                self.block = Some([[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes));
            }
            (TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
                let value = u32::from_be_bytes([a, b, c, d]);
                let echo = u32::from_be_bytes([e, f, g, h]);
                self.timestamps = Some(Timestamps { value, echo });
            }
            _ => {}
        }
    }
}

/// What stands behind a header, up to where the packet ends by its own account.
/// Segments that the kernel has put together to more than 64 KiB say 0.
fn body(packet: &[u8], header: usize, total: usize) -> Result<&[u8], SegmentError> {
    let total = if total == 0 { packet.len() } else { total };
    if total < header {
        return Err(SegmentError::Length);
    }
    packet.get(header..total).ok_or(SegmentError::Short)
}

fn address<const BYTES: usize>(header: &[u8], at: usize) -> Result<[u8; BYTES], SegmentError> {
    header.get(at..).and_then(<[u8]>::first_chunk).copied().ok_or(SegmentError::Short)
}

/// Whether the checksum is right: with it, everything sums up to all ones
/// (RFC 1071; the pseudo header is of RFC 9293, section 3.1, and RFC 8200, 8.1).
fn sums_up(from: IpAddr, to: IpAddr, bytes: &[u8]) -> bool {
    let end = |address| match address {
        IpAddr::V4(address) => sum(&address.octets()),
        IpAddr::V6(address) => sum(&address.octets()),
    };
    let mut total = end(from) + end(to) + u64::from(TCP) + bytes.len() as u64 + sum(bytes);
    while total > 0xFFFF {
        total = (total & 0xFFFF) + (total >> 16);
    }
    total == 0xFFFF
}

/// The sum of 16-bit words; one of a single byte is filled up with zero.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let words: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    words + rest.first().map_or(0, |last| u64::from(*last) << 8)
}

#[cfg(test)]
mod tests;
