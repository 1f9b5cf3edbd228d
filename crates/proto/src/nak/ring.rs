//! The sealed packets of the node's own stream, kept for repair.

use crate::nak::sender::Destination;
use crate::time::Instant;
use crate::wire::MAX_PACKET_BYTES;

/// What is known of a packet in the ring beside its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slot {
    len: u16,
    /// When it was sent first.
    pub sent: Option<Instant>,
    /// Which fragment of a frame it is, from 0; 0 when it has whole frames.
    pub fragment: u16,
    /// When it was last sent again, and to whom.
    pub repaired: Option<(Instant, Destination)>,
}

/// A ring of sealed packets, numbered without holes.
pub struct Ring {
    /// Slots of [`MAX_PACKET_BYTES`], one behind the other: full packets that
    /// follow each other are one run of bytes, which segmentation offload
    /// takes as it is.
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    high: u64,
    /// The first number that is still there; `high + 1` when none is.
    floor: u64,
}

impl Ring {
    /// A ring of at most `bytes` bytes, at least one packet. The numbers begin
    /// after `high`.
    #[must_use]
    pub fn new(bytes: usize, high: u64) -> Self {
        let count = (bytes / MAX_PACKET_BYTES).max(1);
        Self {
            bytes: vec![0; count * MAX_PACKET_BYTES],
            slots: vec![Slot::default(); count],
            high,
            floor: high + 1,
        }
    }

    /// How many packets it holds at the most.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }

    /// The last number, 0 when there was none.
    #[must_use]
    pub const fn high(&self) -> u64 {
        self.high
    }

    /// The first number that is still there.
    #[must_use]
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    /// Lets every packet up to `last` go.
    pub fn let_go(&mut self, last: u64) {
        self.floor = self.floor.max(last.min(self.high) + 1);
    }

    /// Appends a packet, which is that fragment of its frame. The oldest one
    /// goes when the ring is full.
    pub fn push(&mut self, packet: &[u8], fragment: u16) -> u64 {
        if self.high + 1 - self.floor == self.capacity() {
            self.floor += 1;
        }
        self.high += 1;
        let index = self.index(self.high);
        let start = index * MAX_PACKET_BYTES;
        self.bytes[start..start + packet.len()].copy_from_slice(packet);
        let len = u16::try_from(packet.len()).expect("a packet has at most 1,400 bytes");
        self.slots[index] = Slot { len, fragment, ..Slot::default() };
        self.high
    }

    /// A packet's bytes, if it is still there.
    #[must_use]
    pub fn packet(&self, sequence: u64) -> Option<&[u8]> {
        let len = usize::from(self.slot(sequence)?.len);
        let start = self.index(sequence) * MAX_PACKET_BYTES;
        Some(&self.bytes[start..start + len])
    }

    /// The packets from `first` on that are one run of bytes: at most `most`,
    /// all but the last of [`MAX_PACKET_BYTES`]. Gives the last one's number.
    #[must_use]
    pub fn run(&self, first: u64, most: u64) -> Option<(&[u8], u64)> {
        let mut last = first;
        let full = |sequence| {
            self.slot(sequence).is_some_and(|slot| usize::from(slot.len) == MAX_PACKET_BYTES)
        };
        while last + 1 - first < most
            && full(last)
            && last < self.high
            && self.index(last + 1) > self.index(last)
        {
            last += 1;
        }
        let len = usize::from(self.slot(last)?.len);
        let start = self.index(first) * MAX_PACKET_BYTES;
        let end = self.index(last) * MAX_PACKET_BYTES + len;
        Some((&self.bytes[start..end], last))
    }

    /// What is known of a packet, if it is still there.
    #[must_use]
    pub fn slot(&self, sequence: u64) -> Option<&Slot> {
        self.holds(sequence).then(|| &self.slots[self.index(sequence)])
    }

    /// The same, to be changed.
    pub fn slot_mut(&mut self, sequence: u64) -> Option<&mut Slot> {
        let index = self.index(sequence);
        self.holds(sequence).then(|| &mut self.slots[index])
    }

    const fn holds(&self, sequence: u64) -> bool {
        self.floor <= sequence && sequence <= self.high
    }

    fn index(&self, sequence: u64) -> usize {
        usize::try_from(sequence % self.capacity()).expect("below the number of slots")
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({}..={} of {})", self.floor, self.high, self.slots.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ring: &mut Ring, len: usize) -> u64 {
        let next = u8::try_from(ring.high() + 1).unwrap();
        ring.push(&vec![next; len], 0)
    }

    #[test]
    fn the_oldest_packet_goes() {
        let mut ring = Ring::new(3 * MAX_PACKET_BYTES, 0);
        assert_eq!((ring.high(), ring.floor()), (0, 1));
        for _ in 0..5 {
            push(&mut ring, 10);
        }
        assert_eq!((ring.high(), ring.floor()), (5, 3));
        assert!(ring.packet(2).is_none());
        assert_eq!(ring.packet(3), Some(&[3; 10][..]));
        assert_eq!(ring.packet(5), Some(&[5; 10][..]));
        assert!(ring.packet(6).is_none());
    }

    #[test]
    fn full_packets_that_follow_each_other_are_one_run() {
        let mut ring = Ring::new(8 * MAX_PACKET_BYTES, 0);
        for len in [MAX_PACKET_BYTES, MAX_PACKET_BYTES, 50, MAX_PACKET_BYTES] {
            push(&mut ring, len);
        }
        let check = |first: u64, most: u64, last: u64, len: usize| {
            let (bytes, end) = ring.run(first, most).unwrap();
            assert_eq!((end, bytes.len()), (last, len));
        };
        check(1, 16, 3, 2 * MAX_PACKET_BYTES + 50);
        check(1, 2, 2, 2 * MAX_PACKET_BYTES);
        check(3, 16, 3, 50);
        check(4, 16, 4, MAX_PACKET_BYTES);
        assert!(ring.run(5, 16).is_none());
    }

    #[test]
    fn a_run_ends_where_the_ring_wraps() {
        let mut ring = Ring::new(4 * MAX_PACKET_BYTES, 0);
        for _ in 0..6 {
            push(&mut ring, MAX_PACKET_BYTES);
        }
        let (bytes, last) = ring.run(3, 16).unwrap();
        assert_eq!((bytes.len(), last), (MAX_PACKET_BYTES, 3));
        assert_eq!(ring.run(4, 16).unwrap().1, 6);
    }
}
