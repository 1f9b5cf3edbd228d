//! Frames that are larger than a packet, put together from their fragments.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::load::Load;
use crate::record::MAX_PAYLOAD_BYTES;
use crate::wire::MAX_BODY_BYTES;
use crate::wire::codec::{Malformed, Reader};
use crate::wire::control::Range;

/// A fragment's index and count, in front of its bytes.
pub const FRAGMENT_OVERHEAD_BYTES: usize = 4;
/// The bytes of a frame in each fragment but the last.
pub const FRAGMENT_BYTES: usize = MAX_BODY_BYTES - FRAGMENT_OVERHEAD_BYTES;
/// The most fragments of one frame: the largest payload, and a packet's worth
/// for all else in the frame.
const MAX_FRAGMENTS: usize = MAX_PAYLOAD_BYTES / FRAGMENT_BYTES + 2;
/// What the unfinished frames of one peer may take.
const MAX_BYTES: usize = 8 << 20;

/// One fragment of a frame, as a packet carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Which fragment this is, from 0.
    pub index: u16,
    /// How many there are.
    pub count: u16,
    /// Its share of the frame's bytes.
    pub bytes: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Appends the fragment to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.index.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(self.bytes);
    }

    /// Reads a packet's body as a fragment.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when it is none, or one of a frame that is too large.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let (index, count) = (reader.u16("fragment index")?, reader.u16("fragment count")?);
        let bytes = reader.rest();
        let full = bytes.len() == FRAGMENT_BYTES;
        if usize::from(count) > MAX_FRAGMENTS {
            return Err(Malformed::Invalid("fragment count"));
        }
        if index >= count || (index + 1 < count && !full) || bytes.len() > FRAGMENT_BYTES {
            return Err(Malformed::Invalid("fragment"));
        }
        Ok(Self { index, count, bytes })
    }
}

/// An unfinished frame.
#[derive(Debug)]
struct Partial {
    bytes: Zeroizing<Vec<u8>>,
    /// Which fragments are here, a bit each.
    here: Vec<u64>,
    missing: usize,
    /// Known when the last fragment is here.
    len: Option<usize>,
}

/// What became of a fragment.
#[derive(Debug)]
pub enum Assembled {
    /// Others are still missing.
    Unfinished,
    /// The frame is whole.
    Frame(Zeroizing<Vec<u8>>),
    /// There is no room for another unfinished frame, or the fragment does
    /// not fit the others: it counts as not received.
    Refused,
}

/// The unfinished frames of one stream, by the number of their first packet.
#[derive(Debug, Default)]
pub struct Reassembly {
    partials: BTreeMap<u64, Partial>,
    bytes: usize,
}

impl Reassembly {
    /// Takes a fragment in that came in packet `sequence`.
    pub fn insert(&mut self, sequence: u64, fragment: &Fragment<'_>) -> Assembled {
        let Some(first) = sequence.checked_sub(fragment.index.into()) else {
            return Assembled::Refused;
        };
        let count = usize::from(fragment.count);
        if !self.partials.contains_key(&first) {
            let size = count * FRAGMENT_BYTES;
            if self.bytes + size > MAX_BYTES {
                return Assembled::Refused;
            }
            self.bytes += size;
            self.partials.insert(first, Partial::new(count));
        }
        let partial = self.partials.get_mut(&first).expect("just put there");
        if !partial.insert(fragment) {
            return Assembled::Refused;
        }
        if partial.missing > 0 {
            return Assembled::Unfinished;
        }
        let partial = self.partials.remove(&first).expect("just looked at");
        self.bytes -= partial.bytes.len();
        Assembled::Frame(partial.finish())
    }

    /// How many bytes the unfinished frames take.
    pub(crate) const fn load(&self) -> Load {
        Load::new("bytes of unfinished frames", self.bytes, MAX_BYTES)
    }

    /// The packets of each unfinished frame, in the order of their first.
    pub fn unfinished(&self) -> impl Iterator<Item = Range> + '_ {
        self.partials.iter().map(|(&first, partial)| partial.packets(first))
    }

    /// Drops the frames all of whose packets are at or below `watermark`: they
    /// have come in another way, or will not come.
    pub fn forget_through(&mut self, watermark: u64) {
        while let Some(entry) = self.partials.first_entry()
            && entry.get().packets(*entry.key()).last <= watermark
        {
            self.bytes -= entry.remove().bytes.len();
        }
    }

    /// Drops the frames that have packets in `range`: they have come in
    /// another way.
    pub fn forget(&mut self, range: Range) {
        let bytes = &mut self.bytes;
        self.partials.retain(|&first, partial| {
            let packets = partial.packets(first);
            let keep = packets.last < range.first || range.last < packets.first;
            *bytes -= if keep { 0 } else { partial.bytes.len() };
            keep
        });
    }
}

impl Partial {
    fn new(count: usize) -> Self {
        Self {
            bytes: Zeroizing::new(vec![0; count * FRAGMENT_BYTES]),
            here: vec![0; count.div_ceil(64)],
            missing: count,
            len: None,
        }
    }

    /// The packets of the frame whose first packet is `first`.
    fn packets(&self, first: u64) -> Range {
        let count = (self.bytes.len() / FRAGMENT_BYTES) as u64;
        Range { first, last: first + count - 1 }
    }

    fn insert(&mut self, fragment: &Fragment<'_>) -> bool {
        let index = usize::from(fragment.index);
        if self.bytes.len() != usize::from(fragment.count) * FRAGMENT_BYTES {
            return false;
        }
        let (word, bit) = (index / 64, 1 << (index % 64));
        if self.here[word] & bit == 0 {
            self.here[word] |= bit;
            self.missing -= 1;
        }
        let start = index * FRAGMENT_BYTES;
        let end = start + fragment.bytes.len();
        self.bytes[start..end].copy_from_slice(fragment.bytes);
        if fragment.index + 1 == fragment.count {
            self.len = Some(end);
        }
        true
    }

    fn finish(mut self) -> Zeroizing<Vec<u8>> {
        self.bytes.truncate(self.len.expect("all fragments are here, the last one too"));
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragments(frame: &[u8]) -> Vec<Fragment<'_>> {
        let count = u16::try_from(frame.len().div_ceil(FRAGMENT_BYTES)).unwrap();
        let chunks = frame.chunks(FRAGMENT_BYTES);
        (0..count).zip(chunks).map(|(index, bytes)| Fragment { index, count, bytes }).collect()
    }

    #[test]
    fn a_frame_is_put_together_in_any_order() {
        let frame: Vec<u8> = (0..=250).cycle().take(MAX_PAYLOAD_BYTES + 100).collect();
        let fragments = fragments(&frame);
        assert!(fragments.len() <= MAX_FRAGMENTS);
        let mut reassembly = Reassembly::default();
        let last = fragments.len() - 1;
        for (at, fragment) in fragments.iter().enumerate().rev() {
            let sequence = 100 + u64::from(fragment.index);
            match reassembly.insert(sequence, fragment) {
                Assembled::Frame(whole) => assert!(at == 0 && *whole == frame),
                Assembled::Unfinished => assert!(at > 0 && at <= last),
                Assembled::Refused => panic!("refused fragment {at}"),
            }
        }
        assert_eq!(reassembly.bytes, 0);
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let bytes = [0; FRAGMENT_BYTES];
        let fragment = Fragment { index: 0, count: 700, bytes: &bytes };
        let mut reassembly = Reassembly::default();
        let mut kept = 0;
        while let Assembled::Unfinished = reassembly.insert(kept * 1_000 + 1, &fragment) {
            kept += 1;
        }
        assert!(reassembly.bytes <= MAX_BYTES);
        reassembly.forget_through(kept * 1_000);
        assert_eq!((reassembly.bytes, reassembly.partials.len()), (0, 0));
    }

    #[test]
    fn fragments_that_contradict_each_other_are_refused() {
        let bytes = [0; FRAGMENT_BYTES];
        let mut reassembly = Reassembly::default();
        let one = Fragment { index: 0, count: 3, bytes: &bytes };
        let other = Fragment { index: 1, count: 2, bytes: &bytes[..5] };
        assert!(matches!(reassembly.insert(7, &one), Assembled::Unfinished));
        assert!(matches!(reassembly.insert(8, &other), Assembled::Refused));
        assert!(Fragment::decode(&[0, 2, 0, 2]).is_err(), "index at count");
        assert!(Fragment::decode(&[0, 0, 0, 2, 1]).is_err(), "short, and not the last");
        assert!(Fragment::decode(&[0, 0, 0xff, 0xff]).is_err(), "too many");
    }
}
