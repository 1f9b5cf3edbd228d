//! Asking other nodes for a record, and being asked.

use zeroize::Zeroizing;

use super::{Event, Node};
use crate::lookup::{Carried, Outcome};
use crate::record::{KeyHash, Record, Version};
use crate::table::{Applied, Refusal};
use crate::time::{Instant, Now};
use crate::transfer::page::{PART_BYTES, parts_of};
use crate::transfer::provider::BURST_PARTS;
use crate::wire::codec::{Malformed, Reader};
use crate::wire::control::{Message, Part, Range};
use crate::wire::frame::Frame;
use crate::wire::header::Incarnation;

/// How many packets of answers one node is sent between two rounds of
/// housekeeping, which is each 50 ms: 80,000 small records a second, or 100 MB
/// of large ones. What is beyond it looks lost to who asks, and is asked for
/// again.
pub(super) const MAX_ANSWERS: u32 = 4_096;

impl Node {
    /// Finds the record of a key that is not held here, and says by
    /// [`Event::LookedUp`] what came of it.
    pub fn look_up(&mut self, now: Now, key: KeyHash) {
        let outcome = if self.holdings.answer(key, now.wall, |_| ()).is_some() {
            // It has come since it was missed.
            Some(Outcome::Here)
        } else if self.is_certain_of(key) {
            Some(Outcome::Absent)
        } else {
            let holders = self.holders(key);
            self.lookups.begin(now.instant, key, holders.into_iter())
        };
        match outcome {
            Some(outcome) => self.event(Event::LookedUp(key, outcome)),
            None => self.send_asks(now.instant),
        }
    }

    /// Sends the questions that are due, and says what has ended.
    pub(super) fn send_asks(&mut self, now: Instant) {
        while let Some((to, ask)) = self.lookups.poll_ask(now) {
            if let Some(peer) = self.peers.get(&to) {
                self.outbox.push_to_node(peer.address, &ask);
            }
        }
        while let Some((key, outcome)) = self.lookups.poll_ended() {
            self.event(Event::LookedUp(key, outcome));
        }
    }

    /// Another node asks for the record of a key.
    pub(super) fn handle_ask(
        &mut self,
        now: Now,
        sender: Incarnation,
        (number, key): (u64, KeyHash),
        missing: &[Range],
    ) {
        let certain = self.is_certain_of(key);
        // What a node holds that is still fetching may be older than what was
        // acknowledged without it.
        let held = if self.is_ready() { self.answer(now, key) } else { None };
        let Some(peer) = self.peers.get_mut(&sender) else { return };
        let Some((edition, frame)) = held else {
            if peer.answers < MAX_ANSWERS {
                peer.answers += 1;
                let absent = Message::Absent { number, certain };
                self.outbox.push_to_node(peer.address, &absent);
            }
            return;
        };
        let count = parts_of(&frame);
        let all = Range { first: 0, last: u64::from(count) - 1 };
        let wanted = if missing.is_empty() { &[all][..] } else { missing };
        let wanted = wanted.iter().flat_map(|range| range.first..=range.last.min(all.last));
        for index in wanted.take(BURST_PARTS) {
            if peer.answers >= MAX_ANSWERS {
                return;
            }
            peer.answers += 1;
            let index = u16::try_from(index).expect("below the count");
            let bytes = frame.chunks(PART_BYTES).nth(index.into()).expect("below the count");
            let part = Part { page: number, edition, next: None, index, count, bytes };
            self.outbox.push_found(peer.address, &part);
        }
    }

    /// A holder has no record of what we asked for.
    pub(super) fn handle_absent(
        &mut self,
        now: Instant,
        sender: Incarnation,
        number: u64,
        certain: bool,
    ) {
        self.lookups.handle_absent(now, sender, number, certain);
        self.send_asks(now);
    }

    /// A part of a record that we asked for.
    pub(super) fn handle_found(
        &mut self,
        now: Now,
        sender: Incarnation,
        part: &Part<'_>,
    ) -> Result<(), Malformed> {
        if let Some((key, bytes)) = self.lookups.handle_part(now.instant, sender, part) {
            let frame = Frame::decode(&mut Reader::new(&bytes), now.wall)?;
            let Some(Frame::Record(record)) = frame else {
                return Err(Malformed::Invalid("found frame"));
            };
            if self.holdings.hash(&record.key) != key {
                return Err(Malformed::Invalid("found key"));
            }
            self.observe_times(now, sender, std::iter::once(record.version.time));
            let outcome = outcome(self.holdings.remember(&record, now.wall))
                .unwrap_or(Outcome::Carried(Carried(bytes)));
            self.lookups.end(key, outcome);
        }
        self.send_asks(now.instant);
        Ok(())
    }

    /// Records are about to be taken in, or passed over: one that is being
    /// looked for is held.
    pub(super) fn notice<'r>(&mut self, now: Now, records: impl Iterator<Item = &'r Record<'r>>) {
        if !self.lookups.watches() {
            return;
        }
        for record in records {
            let key = self.holdings.hash(&record.key);
            // What is kept is taken in anyway, and whoever watches told of it.
            if self.lookups.passed(key) && !self.holdings.kept().keeps(key) {
                self.holdings.remember(record, now.wall);
            }
        }
    }

    /// Whether a record of this key would be here if it were anywhere.
    pub(super) fn is_certain_of(&self, key: KeyHash) -> bool {
        self.is_ready() && self.holdings.has_all(key)
    }

    /// The frame of what is held under a key, and a number that no other
    /// version of it has.
    fn answer(&self, now: Now, key: KeyHash) -> Option<(u64, Zeroizing<Vec<u8>>)> {
        self.holdings.answer(key, now.wall, |record| {
            let frame = Frame::Record(*record);
            let mut bytes = Zeroizing::new(Vec::with_capacity(frame.encoded_len()));
            frame.encode(&mut bytes);
            (edition(record.version), bytes)
        })
    }
}

/// What came of a look-up, by what became of the record that was found; `None`
/// when there is no room for it.
const fn outcome(remembered: Option<Applied>) -> Option<Outcome> {
    match remembered {
        None | Some(Applied::Refused(Refusal::TooLarge)) => None,
        Some(Applied::Refused(Refusal::Expired | Refusal::Forgotten)) => Some(Outcome::Absent),
        Some(Applied::New | Applied::Replaced | Applied::Touched | Applied::Kept) => {
            Some(Outcome::Here)
        }
    }
}

/// A version as 64 bits, which parts of two versions will not share: times that
/// are near one another differ in low bits, and writers are spread by the
/// golden ratio's.
const fn edition(version: Version) -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    version.time.0 ^ (version.writer.0 as u64).wrapping_mul(GOLDEN)
}
