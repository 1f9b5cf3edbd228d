//! Putting parts together that come in any order, some of them twice.

use zeroize::Zeroizing;

use super::page::{MAX_PARTS, PART_BYTES};
use crate::wire::control::{MAX_NAK_RANGES, Part, Range};

/// The parts of a page that are here.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    edition: u64,
    bytes: Zeroizing<Vec<u8>>,
    pub(crate) here: Vec<bool>,
    pub(crate) missing: usize,
    pub(crate) next: Option<u64>,
    len: usize,
}

impl Parts {
    /// Takes a part in; false when it does not fit the others or is here.
    pub(crate) fn insert(&mut self, part: &Part<'_>) -> bool {
        let (index, count) = (usize::from(part.index), usize::from(part.count));
        let last = index + 1 == count;
        let fits = part.bytes.len() == PART_BYTES || (last && part.bytes.len() <= PART_BYTES);
        if !fits || count > MAX_PARTS {
            return false;
        }
        if self.here.is_empty() || self.edition != part.edition {
            self.edition = part.edition;
            self.bytes = Zeroizing::new(vec![0; count * PART_BYTES]);
            self.here = vec![false; count];
            self.missing = count;
            self.next = part.next;
        }
        if count != self.here.len() || part.next != self.next || self.here[index] {
            return false;
        }
        self.here[index] = true;
        self.missing -= 1;
        let start = index * PART_BYTES;
        self.bytes[start..start + part.bytes.len()].copy_from_slice(part.bytes);
        if last {
            self.len = start + part.bytes.len();
        }
        true
    }

    /// Whether any is here.
    pub(crate) const fn has_begun(&self) -> bool {
        !self.here.is_empty()
    }

    /// The bytes of the complete page.
    pub(crate) fn take(&mut self) -> Zeroizing<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(self.len);
        bytes
    }

    pub(crate) fn missing_ranges(&self) -> Vec<Range> {
        let mut ranges: Vec<Range> = Vec::new();
        for index in (0..self.here.len()).filter(|&index| !self.here[index]) {
            let index = index as u64;
            if let Some(range) = ranges.last_mut()
                && range.last + 1 == index
            {
                range.last = index;
            } else if ranges.len() < MAX_NAK_RANGES {
                ranges.push(Range { first: index, last: index });
            } else {
                break;
            }
        }
        ranges
    }
}
