//! Packets that wait for a verdict: a queue of the kernel's firewall
//! (netfilter queue), to which rules send packets ([`crate::rules`]).
//!
//! Packets are read in batches into one buffer and stand there until the next
//! batch; a verdict names its packet by the kernel's number, in any order and at
//! any time, and verdicts go out many at once. What a packet says is not read
//! here. Without a reader the kernel drops what is queued, and that is wanted:
//! what nobody has replicated must not be acknowledged.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{setsockopt, sockopt};

use crate::call::{CallError, Named};
use crate::netlink::{Message, Netlink, Received, attributes, messages};

/// How a queue is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many packets may wait for a verdict; the kernel drops what comes
    /// beyond, unless `fail_open`.
    pub packets: u32,
    /// How many bytes of packets may wait to be read.
    pub bytes: usize,
    /// Whether packets that do not fit are let through, and not dropped.
    pub fail_open: bool,
}

/// A queue that this process reads.
#[derive(Debug)]
pub struct Queue {
    netlink: Netlink,
    number: u16,
    buffer: Vec<u8>,
    packets: Vec<Place>,
    verdicts: Vec<u8>,
    overruns: u64,
    unknown: u64,
}

/// What waits in a queue whose reader is gone, for a process that shares it. Dropping
/// this drops the packets.
#[derive(Debug)]
pub struct Leftover(Queue);

/// The kernel's number of a packet that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(pub u32);

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, as if it had not waited.
    Accept,
    /// It was lost.
    Drop,
}

/// A packet that waits.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// By this a verdict names it.
    pub id: PacketId,
    /// The packet from its IP header on. The kernel may have put several
    /// segments together to one.
    pub bytes: &'a [u8],
    /// Whether `bytes` is all of it.
    pub whole: bool,
    /// Whether it leaves this machine; else it arrives.
    pub leaves: bool,
    /// What is known of its checksum.
    pub checksum: Checksum,
}

/// What the kernel knows of a packet's TCP checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// It is right, or it is of this machine and not yet made: there is
    /// nothing to check.
    Right,
    /// Nobody has looked: check it before believing a byte. (The kernel checks
    /// it only behind the queue.)
    Unknown,
}

#[derive(Debug)]
struct Place {
    id: PacketId,
    bytes: Range<usize>,
    whole: bool,
    leaves: bool,
    checksum: Checksum,
}

/// Packets a batch takes at most.
const BATCH_PACKETS: usize = 32;

/// Batches that hold more than any queue has (65,536 packets are what the kernel takes
/// by default, and twice what ours may have).
const MOST_BATCHES: usize = 2_048;

/// Room for one message: a packet of 64 KiB, as segments that were put
/// together are, and a few attributes of 8 to 20 bytes.
const MESSAGE_BYTES: usize = (64 << 10) + 512;

/// How much of a packet is asked for: all that the kernel can give.
const COPY_BYTES: u32 = 0xFFFF;

/// So many verdicts go out at the latest: 32 bytes each, far below what a
/// socket takes.
const MAX_VERDICTS_BYTES: usize = 32 << 10;

/// Commands (`nfnetlink_queue.h`).
const BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
/// The rules are gone through again, and the packet ends up in the queue again.
const NF_REPEAT: u32 = 4;

/// Numbers that between them are beyond those of all packets: the kernel compares by
/// the sign of a difference of 32 bits.
const ALL: [u32; 2] = [u32::MAX / 2, u32::MAX];
const NF_INET_LOCAL_OUT: u8 = 3;

/// `struct nfgenmsg` in front of attributes.
const FIXED_BYTES: usize = 4;

impl Queue {
    /// Reads the queue of that number from here on. Dropping this ends it.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_ADMIN, EBUSY if another process reads it.
    pub fn open(number: u16, limits: Limits) -> Result<Self, CallError> {
        let netlink = Netlink::open(libc::NETLINK_NETFILTER, 0)?;
        // For the kernel's own overhead it is doubled, in 31 bits.
        let bytes = limits.bytes.min(1 << 29);
        setsockopt(netlink.socket(), sockopt::RcvBufForce, &bytes)
            .of("setsockopt SO_RCVBUFFORCE")?;
        let flags = |on: u32, bit: i32| on * bit.unsigned_abs();
        let wanted = flags(1, libc::NFQA_CFG_F_GSO)
            | flags(u32::from(limits.fail_open), libc::NFQA_CFG_F_FAIL_OPEN);
        let mask = libc::NFQA_CFG_F_GSO | libc::NFQA_CFG_F_FAIL_OPEN;
        // What nobody reads: a command and padding, and the protocol family.
        let bind = configure(number).attribute(libc::NFQA_CFG_CMD, &[BIND, 0, 0, 0]);
        netlink.request(bind, "netlink NFQNL_CFG_CMD_BIND", |_| ())?;
        let copy = [COPY_BYTES.to_be_bytes().as_slice(), &[COPY_PACKET]].concat();
        let rest = configure(number)
            .attribute(libc::NFQA_CFG_PARAMS, &copy)
            .attribute(libc::NFQA_CFG_QUEUE_MAXLEN, &limits.packets.to_be_bytes())
            .attribute(libc::NFQA_CFG_MASK, &mask.to_be_bytes())
            .attribute(libc::NFQA_CFG_FLAGS, &wanted.to_be_bytes());
        netlink.request(rest, "netlink NFQNL_MSG_CONFIG", |_| ())?;
        Ok(Self::over(netlink, number))
    }

    fn over(netlink: Netlink, number: u16) -> Self {
        Self {
            netlink,
            number,
            buffer: vec![0; BATCH_PACKETS * MESSAGE_BYTES],
            packets: Vec::with_capacity(BATCH_PACKETS),
            verdicts: Vec::with_capacity(MAX_VERDICTS_BYTES + 64),
            overruns: 0,
            unknown: 0,
        }
    }

    /// Reads the next packets in place of the last ones; says whether there may
    /// be more.
    ///
    /// # Errors
    ///
    /// `recv`'s.
    pub fn receive(&mut self) -> Result<bool, CallError> {
        self.packets.clear();
        for turn in 0..BATCH_PACKETS {
            let start = turn * MESSAGE_BYTES;
            match self.netlink.receive(&mut self.buffer[start..start + MESSAGE_BYTES]) {
                Ok(length) => self.take(start..start + length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                // Packets were dropped, as the socket's buffer was full. What
                // is in it can still be read.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.overruns += 1,
                Err(error) => return Err(error).of("recv NETLINK_NETFILTER"),
            }
        }
        Ok(true)
    }

    /// What the last call read, in order.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.packets.iter().map(|place| Packet {
            id: place.id,
            bytes: &self.buffer[place.bytes.clone()],
            whole: place.whole,
            leaves: place.leaves,
            checksum: place.checksum,
        })
    }

    /// Decides about a packet. It goes with the next [`Queue::flush`], or before
    /// when many have gathered.
    ///
    /// # Errors
    ///
    /// `send`'s.
    pub fn decide(&mut self, id: PacketId, verdict: Verdict) -> Result<(), CallError> {
        let verdict = match verdict {
            Verdict::Accept => NF_ACCEPT,
            Verdict::Drop => NF_DROP,
        };
        let kind = kind(libc::NFQNL_MSG_VERDICT);
        Message::append(&mut self.verdicts, kind, &fixed(self.number), |message| {
            message.attribute(libc::NFQA_VERDICT_HDR, &verdict_of(verdict, id.0))
        });
        if self.verdicts.len() >= MAX_VERDICTS_BYTES { self.flush() } else { Ok(()) }
    }

    /// Sends the verdicts that were decided.
    ///
    /// # Errors
    ///
    /// `send`'s; they are kept then.
    pub fn flush(&mut self) -> Result<(), CallError> {
        if !self.verdicts.is_empty() {
            self.netlink.send(&self.verdicts).of("send NETLINK_NETFILTER")?;
            self.verdicts.clear();
        }
        Ok(())
    }

    /// Decides about all packets up to that number.
    fn decide_up_to(&mut self, last: u32, verdict: u32) -> Result<(), CallError> {
        let kind = kind(libc::NFQNL_MSG_VERDICT_BATCH);
        Message::append(&mut self.verdicts, kind, &fixed(self.number), |message| {
            message.attribute(libc::NFQA_VERDICT_HDR, &verdict_of(verdict, last))
        });
        self.flush()
    }

    /// How often the socket's buffer was full, each time for one packet or
    /// more.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.overruns
    }

    /// How many verdicts were about packets that the kernel did not have.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    fn take(&mut self, bytes: Range<usize>) {
        let base = self.buffer.as_ptr().addr();
        for message in messages(&self.buffer[bytes]) {
            if message.outcome().is_some_and(|error| error != 0) {
                self.unknown += 1;
            } else if message.kind == kind(libc::NFQNL_MSG_PACKET)
                && let Some(place) = read(message, base)
            {
                self.packets.push(place);
            }
        }
    }
}

impl Leftover {
    /// What is in the queue of that number and file ([`Queue`]'s), which nobody else
    /// reads any more: all that has no verdict, whether it was read or not.
    ///
    /// # Errors
    ///
    /// `recv`'s and `send`'s: ENOTSOCK where no queue was shared.
    pub fn of(number: u16, file: OwnedFd) -> Result<Self, CallError> {
        let mut queue = Queue::over(Netlink::shared(file), number);
        // What was not read comes again with the rest.
        for _ in 0..MOST_BATCHES {
            if !queue.receive()? {
                break;
            }
        }
        for all in ALL {
            queue.decide_up_to(all, NF_REPEAT)?;
        }
        Ok(Self(queue))
    }

    /// As [`Queue::receive`].
    ///
    /// # Errors
    ///
    /// `recv`'s.
    pub fn receive(&mut self) -> Result<bool, CallError> {
        self.0.receive()
    }

    /// As [`Queue::packets`].
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.0.packets()
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}

/// `struct nfqnl_msg_verdict_hdr`.
fn verdict_of(verdict: u32, packet: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&verdict.to_be_bytes());
    bytes[4..].copy_from_slice(&packet.to_be_bytes());
    bytes
}

/// Reads the attributes of a packet that stands in a buffer at that address.
fn read(message: Received<'_>, base: usize) -> Option<Place> {
    let (mut header, mut bytes, mut whole, mut info) = (None, 0..0, true, 0);
    for (kind, value) in attributes(message.body.get(FIXED_BYTES..)?) {
        match kind {
            libc::NFQA_PACKET_HDR => header = Some(value),
            libc::NFQA_PAYLOAD => {
                let start = value.as_ptr().addr() - base;
                bytes = start..start + value.len();
            }
            // The length that it had before it was cut.
            libc::NFQA_CAP_LEN => whole = false,
            libc::NFQA_SKB_INFO => info = u32::from_be_bytes(value.try_into().ok()?),
            _ => {}
        }
    }
    // `struct nfqnl_msg_packet_hdr`: number, protocol (16 bits), hook.
    let header = header?;
    let id = PacketId(u32::from_be_bytes(header.get(..4)?.try_into().ok()?));
    let leaves = *header.get(6)? == NF_INET_LOCAL_OUT;
    let unverified = info & libc::NFQA_SKB_CSUM_NOTVERIFIED.unsigned_abs() != 0;
    let checksum = if unverified { Checksum::Unknown } else { Checksum::Right };
    Some(Place { id, bytes, whole, leaves, checksum })
}

fn configure(number: u16) -> Message {
    Message::request(kind(libc::NFQNL_MSG_CONFIG), 0, &fixed(number))
}

/// `struct nfgenmsg`: no family, version 0, and the queue's number.
fn fixed(number: u16) -> [u8; FIXED_BYTES] {
    let [high, low] = number.to_be_bytes();
    [0, 0, high, low]
}

/// A message of the queue's part of netfilter.
fn kind(message: i32) -> u16 {
    u16::try_from(libc::NFNL_SUBSYS_QUEUE << 8 | message).expect("both have 8 bits")
}

#[cfg(test)]
mod tests;
