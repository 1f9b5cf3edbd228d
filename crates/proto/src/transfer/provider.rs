//! Making the pages that others pull.

use std::collections::BTreeMap;

use super::page::{Draft, Page, Position};
use crate::cluster::slots::{Slot, SlotSet};
use crate::holdings::Holdings;
use crate::load::Load;
use crate::nak::log::KeyLog;
use crate::record::{KeyHash, Record};
use crate::table::{Cursor, KeyRanges};
use crate::wire::control::{Part, Range, Source};
use crate::wire::frame::Frame;
use crate::wire::header::Incarnation;

/// How many pullers' pages are kept, so that lost parts can be sent again. A
/// puller beyond them has its page made anew.
const MAX_PAGES: usize = 16;
/// How many parts are sent for one request: half of what a socket with the
/// kernel's default buffer holds.
pub const BURST_PARTS: usize = 32;
/// How many bytes of records one request looks at, when few of them match.
const SCAN_BYTES: usize = 4 << 20;

/// A request for a page.
#[derive(Debug)]
pub struct Request<'a> {
    /// The puller's number for the page.
    pub page: u64,
    /// What is pulled.
    pub source: &'a Source,
    /// Where the page begins.
    pub cursor: u64,
    /// The parts that are missing; empty at the first request.
    pub missing: &'a [Range],
}

/// What pages are made from.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The node's records.
    pub holdings: &'a Holdings,
    /// The keys of the node's own packets.
    pub log: &'a KeyLog,
    /// What the puller keeps of everything that it asks for: where it asks for
    /// a table it is spared the rest. `None` when it keeps all.
    pub kept: Option<&'a SlotSet>,
    /// The slots that the node has everything of; `None` when it has all.
    pub has: Option<&'a SlotSet>,
}

impl View<'_> {
    /// Whether the puller keeps such a record.
    fn wants(&self, record: &Record<'_>) -> bool {
        let hash = || self.holdings.hash(&record.key);
        self.kept.is_none_or(|kept| kept.contains(Slot::of(hash())))
    }

    /// What of `wanted` is not here, or not as a whole.
    fn lacks(&self, wanted: impl FnOnce() -> SlotSet) -> SlotSet {
        self.has.map_or_else(SlotSet::none, |has| wanted().without(has))
    }
}

/// The pages that are being pulled from this node.
#[derive(Debug, Default)]
pub struct Provider {
    /// The current page of each puller, and the puller's number for it.
    pages: BTreeMap<Incarnation, (u64, Page)>,
    /// How many pages were made.
    editions: u64,
}

impl Provider {
    /// The parts that answer a request, at most [`BURST_PARTS`].
    pub fn handle_pull(
        &mut self,
        puller: Incarnation,
        request: &Request<'_>,
        view: View<'_>,
        positions: impl FnOnce() -> Vec<Position>,
    ) -> Vec<Part<'_>> {
        if self.pages.get(&puller).is_none_or(|(page, _)| *page != request.page) {
            let follows =
                matches!(request.source, Source::Table | Source::Slots { positions: true, .. });
            let first = request.cursor == 0 && follows;
            let positions = if first { positions() } else { Vec::new() };
            self.editions += 1;
            let mut draft = Draft::default();
            let next = fill(&mut draft, request, view);
            let page = Page::new(self.editions, &positions, &draft, next);
            self.insert(puller, request.page, page);
        }
        let (number, page) = &self.pages[&puller];
        let all = Range { first: 0, last: page.parts().saturating_sub(1).into() };
        let wanted = if request.missing.is_empty() { &[all][..] } else { request.missing };
        wanted
            .iter()
            .flat_map(|range| range.first..=range.last.min(all.last))
            .take(BURST_PARTS)
            .filter_map(|index| page.part(*number, u16::try_from(index).ok()?))
            .collect()
    }

    /// How many pages are kept.
    pub(crate) fn load(&self) -> Load {
        Load::new("pages", self.pages.len(), MAX_PAGES)
    }

    /// Drops a puller's page.
    pub fn forget(&mut self, puller: Incarnation) {
        self.pages.remove(&puller);
    }

    fn insert(&mut self, puller: Incarnation, number: u64, page: Page) {
        if !self.pages.contains_key(&puller) && self.pages.len() >= MAX_PAGES {
            let oldest = self.pages.iter().min_by_key(|(_, (_, page))| page.edition());
            let oldest = oldest.map(|(&puller, _)| puller);
            oldest.and_then(|puller| self.pages.remove(&puller));
        }
        self.pages.insert(puller, (number, page));
    }
}

/// Fills a page with what is requested. Gives where the next one begins.
fn fill(page: &mut Draft, request: &Request<'_>, view: View<'_>) -> Option<u64> {
    match request.source {
        Source::Table => {
            page.lacks = view.lacks(|| view.kept.cloned().unwrap_or_else(SlotSet::all));
            let wants = |record: &Record<'_>| view.wants(record);
            scan(page, request.cursor, (view.holdings, KeyRanges::ALL), wants)
        }
        Source::Ranges(ranges) => scan(page, request.cursor, (view.holdings, *ranges), |_| true),
        Source::Since(time) => {
            let since = |record: &Record<'_>| record.version.time >= *time && view.wants(record);
            scan(page, request.cursor, (view.holdings, KeyRanges::ALL), since)
        }
        Source::Slots { runs, .. } => {
            let slots: SlotSet = runs.iter().collect();
            page.lacks = view.lacks(|| slots.clone());
            let ranges = slots.iter().map(Slot::range).collect();
            let wants =
                |record: &Record<'_>| slots.contains(Slot::of(view.holdings.hash(&record.key)));
            scan(page, request.cursor, (view.holdings, ranges), wants)
        }
        Source::Log(range) => follow(page, *range, request.cursor, view),
        Source::Keys(keys) => look_up(page, keys, request.cursor, view.holdings),
    }
}

/// Fills the page with the records of some ranges of a table that are wanted.
fn scan(
    page: &mut Draft,
    cursor: u64,
    (holdings, ranges): (&Holdings, KeyRanges),
    wants: impl Fn(&Record<'_>) -> bool,
) -> Option<u64> {
    /// A step of a scan holds a shard's lock; this keeps it short.
    const STEP_BYTES: usize = 16 << 10;
    let mut cursor = Cursor::from_u64(cursor);
    for _ in 0..SCAN_BYTES / STEP_BYTES {
        let next = holdings.scan(cursor, ranges, STEP_BYTES, |record| {
            if wants(record) {
                page.push(&Frame::Record(*record));
            }
        })?;
        cursor = next;
        if page.is_full() {
            break;
        }
    }
    Some(cursor.to_u64())
}

/// Fills the page with the current values of the keys that packets were
/// about. The cursor is a packet's number, and how many of its keys earlier
/// pages had: one packet may be about more than a page has room for.
fn follow(page: &mut Draft, range: Range, cursor: u64, view: View<'_>) -> Option<u64> {
    /// Far more keys than a packet has room for.
    const KEYS_BITS: u32 = 16;
    /// Entries looked at for one page, when few of their keys are held.
    const MAX_ENTRIES: usize = 16_384;
    let (from, passed) = (cursor >> KEYS_BITS, cursor & ((1 << KEYS_BITS) - 1));
    let (from, passed) = if from < range.first { (range.first, 0) } else { (from, passed) };
    let start = view.log.position(from) + usize::try_from(passed).expect("16 bits");
    let mut before = None;
    for position in start.. {
        let (sequence, key) = view.log.entry(position)?;
        if sequence > range.last {
            return None;
        }
        // The fragments of one record name its key once each.
        if before != Some(key) {
            if page.is_full() || position - start >= MAX_ENTRIES {
                let passed = (position - view.log.position(sequence)) as u64;
                return Some(sequence << KEYS_BITS | passed);
            }
            if !push(page, view.holdings, key) && view.has.is_some() {
                page.lacks.insert(Slot::of(key));
            }
        }
        before = Some(key);
    }
    None
}

/// Fills the page with the records of `keys`. The cursor counts those that
/// earlier pages had.
fn look_up(page: &mut Draft, keys: &[KeyHash], cursor: u64, holdings: &Holdings) -> Option<u64> {
    for (at, &key) in (0..).zip(keys) {
        if at >= cursor {
            if page.is_full() {
                return Some(at);
            }
            push(page, holdings, key);
        }
    }
    None
}

/// Whether there is such a record.
fn push(page: &mut Draft, holdings: &Holdings, key: KeyHash) -> bool {
    holdings.peek_hash(key, |record| page.push(&Frame::Record(*record))).is_some()
}
