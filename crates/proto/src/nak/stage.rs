//! Frames on their way into packets.
//!
//! Writers fill a stage while the sender may be busy: what they append lies in
//! packets at once, with room for header and tag, so that the sender has only
//! to number and seal it. A stage knows no numbers, keys of packets or time.

use std::ops::Range;

use zeroize::Zeroize;

use crate::nak::acks::{Ack, WriteId};
use crate::nak::reassembly::{FRAGMENT_BYTES, Fragment};
use crate::record::KeyHash;
use crate::wire::frame::Frame;
use crate::wire::header::{FLAG_FRAGMENT, FLAG_WAITED, HEADER_BYTES};
use crate::wire::{MAX_BODY_BYTES, MAX_PACKET_BYTES, TAG_BYTES};

/// A write that waits, and the place in the stage of its last packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// The place of the packet.
    pub packet: usize,
    /// The caller's number for the write.
    pub write: WriteId,
    /// What it waits for.
    pub ack: Ack,
    /// The first and the last key that it is about.
    pub keys: [KeyHash; 2],
}

/// Packets that are being filled, and filled ones that wait for the sender.
#[derive(Default)]
pub struct Stage {
    /// Slots of [`MAX_PACKET_BYTES`], one for each packet; the last one ends
    /// where the packet that is being filled does.
    bytes: Vec<u8>,
    ended: Vec<Ended>,
    /// The keys that the packets are about, in their order.
    keys: Vec<KeyHash>,
    waits: Vec<Waits>,
    /// The flags of the packet that is being filled.
    open_flags: u8,
}

/// A packet that takes no more frames.
#[derive(Debug)]
struct Ended {
    flags: u8,
    /// Which fragment of a frame it is, from 0.
    fragment: u16,
    /// Its length, with header and tag.
    len: usize,
    /// Where its keys stand.
    keys: Range<usize>,
}

/// A packet to be numbered and sealed.
#[derive(Debug)]
pub struct Staged<'a> {
    /// Its header's flags.
    pub flags: u8,
    /// Which fragment of a frame it is, from 0; 0 when it has whole frames.
    pub fragment: u16,
    /// Room for the header, the body, room for the tag.
    pub packet: &'a mut [u8],
    /// The keys that it is about.
    pub keys: &'a [KeyHash],
}

impl Stage {
    /// How many packets take no more frames.
    #[must_use]
    pub const fn ended(&self) -> usize {
        self.ended.len()
    }

    /// Whether a packet is being filled.
    #[must_use]
    pub const fn has_open(&self) -> bool {
        self.bytes.len() > self.ended.len() * MAX_PACKET_BYTES
    }

    /// Whether nothing waits for the sender.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The writes that wait.
    #[must_use]
    pub fn waits(&self) -> &[Waits] {
        &self.waits
    }

    /// Appends a frame about `keys`, whose write waits for `ack`.
    pub fn push(&mut self, frame: &Frame<'_>, keys: &[KeyHash], ack: Ack, write: WriteId) {
        if frame.encoded_len() > MAX_BODY_BYTES {
            self.push_fragments(frame, keys);
        } else {
            self.push_whole(frame, keys);
        }
        if ack != Ack::Local {
            // Of fragments, the packet that the last one went into.
            let packet = self.ended.len() - usize::from(!self.has_open());
            let flags = match self.ended.get_mut(packet) {
                Some(ended) => &mut ended.flags,
                None => &mut self.open_flags,
            };
            *flags |= FLAG_WAITED;
            let [first, last] = [keys.first(), keys.last()];
            let keys = [first, last].map(|key| key.copied().unwrap_or_default());
            self.waits.push(Waits { packet, write, ack, keys });
        }
    }

    /// Ends the packet that is being filled, so that it can be sent.
    pub fn end_packet(&mut self) {
        if self.has_open() {
            let len = self.open_len() + TAG_BYTES;
            self.end(len, 0, 0);
        }
    }

    /// Gives what takes no more frames to `other`, which is empty, and keeps
    /// the packet that is being filled.
    pub fn give(&mut self, other: &mut Self) {
        debug_assert!(other.is_empty(), "what is there would come later than what follows");
        std::mem::swap(self, other);
        self.open_flags = std::mem::take(&mut other.open_flags);
        let ended = other.ended.len();
        let open = other.bytes.split_at(ended * MAX_PACKET_BYTES).1;
        if !open.is_empty() {
            // What follows fits the same packet.
            self.reserve(MAX_PACKET_BYTES);
        }
        self.bytes.extend_from_slice(open);
        let open_len = open.len();
        self.keys.extend(other.keys.drain(other.ended_keys()..));
        let waits = other.waits.partition_point(|waits| waits.packet < ended);
        let open_waits = other.waits.drain(waits..);
        self.waits.extend(open_waits.map(|waits| Waits { packet: waits.packet - ended, ..waits }));
        let kept = other.bytes.len() - open_len;
        other.bytes[kept..].zeroize();
        other.bytes.truncate(kept);
    }

    /// The packets that take no more frames, in order.
    pub fn packets(&mut self) -> impl Iterator<Item = Staged<'_>> {
        let Self { bytes, ended, keys, .. } = self;
        ended.iter().zip(bytes.chunks_mut(MAX_PACKET_BYTES)).map(|(ended, slot)| Staged {
            flags: ended.flags,
            fragment: ended.fragment,
            packet: &mut slot[..ended.len],
            keys: &keys[ended.keys.clone()],
        })
    }

    /// Forgets everything, once it was sealed: so that nothing is left in the
    /// clear.
    pub fn clear(&mut self) {
        debug_assert!(!self.has_open(), "a packet that is being filled is in the clear");
        self.bytes.clear();
        self.ended.clear();
        self.keys.clear();
        self.waits.clear();
    }

    fn push_whole(&mut self, frame: &Frame<'_>, keys: &[KeyHash]) {
        if self.has_open() && self.open_len() + frame.encoded_len() > HEADER_BYTES + MAX_BODY_BYTES
        {
            // Padded to the full size, so that it can be part of a run.
            self.end(MAX_PACKET_BYTES, 0, 0);
        }
        self.begin();
        frame.encode(&mut self.bytes);
        self.keys.extend_from_slice(keys);
    }

    fn push_fragments(&mut self, frame: &Frame<'_>, keys: &[KeyHash]) {
        self.end_packet();
        let mut whole = Vec::with_capacity(frame.encoded_len());
        frame.encode(&mut whole);
        let count = u16::try_from(whole.len().div_ceil(FRAGMENT_BYTES))
            .expect("a payload has at most 1 MiB");
        for (index, bytes) in (0..count).zip(whole.chunks(FRAGMENT_BYTES)) {
            self.begin();
            Fragment { index, count, bytes }.encode(&mut self.bytes);
            // Every fragment leads to the keys: whichever is gone.
            self.keys.extend_from_slice(keys);
            let len = self.open_len() + TAG_BYTES;
            self.end(len, FLAG_FRAGMENT, index);
        }
        whole.zeroize();
    }

    /// Makes sure that a packet is being filled.
    fn begin(&mut self) {
        if !self.has_open() {
            self.reserve(MAX_PACKET_BYTES);
            self.bytes.resize(self.bytes.len() + HEADER_BYTES, 0);
        }
    }

    fn end(&mut self, len: usize, flags: u8, fragment: u16) {
        debug_assert!(len <= MAX_PACKET_BYTES, "a packet's size");
        let keys = self.ended_keys()..self.keys.len();
        let flags = flags | std::mem::take(&mut self.open_flags);
        self.ended.push(Ended { flags, fragment, len, keys });
        self.bytes.resize(self.ended.len() * MAX_PACKET_BYTES, 0);
    }

    const fn open_len(&self) -> usize {
        self.bytes.len() - self.ended.len() * MAX_PACKET_BYTES
    }

    /// How many keys the packets have that take no more frames.
    fn ended_keys(&self) -> usize {
        self.ended.last().map_or(0, |last| last.keys.end)
    }

    /// Makes room for so many bytes more. What moves leaves nothing behind.
    fn reserve(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let mut larger = Vec::with_capacity(needed.max(2 * self.bytes.capacity()));
            larger.extend_from_slice(&self.bytes);
            self.bytes.zeroize();
            self.bytes = larger;
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stage({} packets, open: {})", self.ended(), self.has_open())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Body, Deadlines, Hlc, Key, Kind, Record, Touch, Version};
    use crate::time::Wall;
    use crate::wire::frame::TOUCH_BYTES;

    /// How many touches fill a packet.
    const TOUCHES: usize = MAX_BODY_BYTES / TOUCH_BYTES;

    fn touch(number: usize) -> (Frame<'static>, KeyHash) {
        let hash = KeyHash(number as u64);
        (Frame::Touch(Touch { hash, time: Hlc(1), idle: Wall::MAX }), hash)
    }

    /// A stage with so many touches, each of which waits under its number.
    fn touched(count: usize) -> Stage {
        let mut stage = Stage::default();
        for number in 0..count {
            let (frame, hash) = touch(number);
            stage.push(&frame, &[hash], Ack::All, WriteId(hash.0));
        }
        stage
    }

    fn keys(stage: &mut Stage) -> Vec<Vec<u64>> {
        stage.packets().map(|staged| staged.keys.iter().map(|key| key.0).collect()).collect()
    }

    #[test]
    fn a_packet_ends_when_the_next_frame_does_not_fit() {
        let mut stage = touched(TOUCHES);
        assert_eq!((stage.ended(), stage.has_open()), (0, true));
        let (frame, hash) = touch(TOUCHES);
        stage.push(&frame, &[hash], Ack::Local, WriteId(0));
        assert_eq!((stage.ended(), stage.has_open()), (1, true));
        let lens: Vec<_> = stage.packets().map(|staged| staged.packet.len()).collect();
        assert_eq!(lens, [MAX_PACKET_BYTES]);
        stage.end_packet();
        let lens: Vec<_> = stage.packets().map(|staged| staged.packet.len()).collect();
        assert_eq!(lens, [MAX_PACKET_BYTES, HEADER_BYTES + TOUCH_BYTES + TAG_BYTES]);
        assert_eq!(keys(&mut stage)[1], [TOUCHES as u64]);
        // Nobody waits for the last one.
        let flags: Vec<_> = stage.packets().map(|staged| staged.flags).collect();
        assert_eq!(flags, [FLAG_WAITED, 0]);
    }

    #[test]
    fn the_packet_that_is_being_filled_stays() {
        let mut stage = touched(TOUCHES + 3);
        let mut given = Stage::default();
        stage.give(&mut given);
        assert_eq!((given.ended(), given.has_open()), (1, false));
        assert_eq!((stage.ended(), stage.has_open()), (0, true));
        assert_eq!((given.waits().len(), stage.waits().len()), (TOUCHES, 3));
        assert!(stage.waits().iter().all(|waits| waits.packet == 0));
        stage.end_packet();
        let rest: Vec<u64> = (0..3).map(|more| TOUCHES as u64 + more).collect();
        assert_eq!(keys(&mut stage), [rest]);
        for stage in [&mut stage, &mut given] {
            assert!(stage.packets().all(|staged| staged.flags == FLAG_WAITED));
        }
    }

    #[test]
    fn a_large_frame_waits_for_its_last_fragment() {
        let payload = vec![7; 3 * FRAGMENT_BYTES];
        let record = Record {
            key: Key::new(Kind::Web, b"large").unwrap(),
            version: Version::default(),
            deadlines: Deadlines::at(Wall::MAX),
            body: Body::Value(&payload),
        };
        let mut stage = touched(1);
        stage.push(&Frame::Record(record), &[KeyHash(9)], Ack::One, WriteId(5));
        assert_eq!((stage.ended(), stage.has_open()), (5, false));
        let (packet, write) = (4, WriteId(5));
        let last = Waits { packet, write, ack: Ack::One, keys: [KeyHash(9); 2] };
        assert_eq!(stage.waits().last(), Some(&last));
        let fragments: Vec<_> =
            stage.packets().map(|staged| (staged.flags, staged.fragment)).collect();
        assert_eq!(fragments, [(2, 0), (1, 0), (1, 1), (1, 2), (3, 3)]);
        assert_eq!(keys(&mut stage)[1..], vec![vec![9]; 4]);
    }

    #[test]
    fn what_was_sealed_is_forgotten() {
        let mut stage = touched(2);
        stage.end_packet();
        stage.clear();
        assert!(stage.is_empty() && stage.waits().is_empty() && stage.ended() == 0);
        let (frame, hash) = touch(5);
        stage.push(&frame, &[hash], Ack::Local, WriteId(0));
        stage.end_packet();
        assert_eq!(keys(&mut stage), [[5]]);
    }
}
