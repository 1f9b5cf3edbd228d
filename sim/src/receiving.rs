//! The receiving side of a stream beside a plain set of numbers, as bytes have
//! it: the fuzzers and the tests call the same function.
//!
//! What must hold after every operation: the watermark has nothing missing
//! below it, what is asked for is missing, and all that is missing and within
//! the window is asked for sooner or later, unless it is recovered otherwise. That is what
//! "no silent loss" means for one stream.

use std::collections::BTreeSet;
use std::time::Duration;

use proto::nak::receiver::Receiver;
use proto::nak::rtt::Rtt;
use proto::nak::window::WINDOW_PACKETS;
use proto::rng::Rng;
use proto::time::Instant;
use proto::wire::control::{MAX_NAK_RANGES, Range};

/// Where the stream is followed from at first: somewhere in its middle.
const POSITION: u64 = 100_000;
/// Most of what happens is this near to the watermark.
const NEAR: u64 = 256;
/// As many operations as a run has at the most.
const MAX_OPERATIONS: usize = 400;
/// Longer than any gap waits until it is asked for again.
const LONG: Duration = Duration::from_millis(100);

/// Runs the operations that the bytes stand for: five bytes each.
pub fn run(bytes: &[u8]) {
    let mut pair = Pair::new();
    for operation in bytes.chunks_exact(5).take(MAX_OPERATIONS) {
        let [what, high, low, more, further] = operation else { unreachable!("chunks of five") };
        let distance = u64::from(u16::from_be_bytes([*high, *low]));
        let len = u64::from(u16::from_be_bytes([*more, *further]));
        pair.act(*what, distance, len);
        pair.check();
    }
    pair.check_that_all_is_asked_for();
}

/// A receiver, and what it should know.
struct Pair {
    receiver: Receiver,
    now: Instant,
    rng: Rng,
    rtt: Rtt,
    /// Up to here everything was taken as received at first, or has been since
    /// the stream was followed from earlier on.
    start: u64,
    /// Up to here everything has been received.
    watermark: u64,
    /// What has been received above the start.
    received: BTreeSet<u64>,
    /// The highest of it, and the highest number that is known of.
    highest: u64,
    /// What is being recovered otherwise.
    suspended: BTreeSet<u64>,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::from_micros(1_000_000);
        Self {
            receiver: Receiver::new(now, POSITION),
            now,
            rng: Rng::from_u64(1),
            rtt: Rtt::default(),
            start: POSITION,
            watermark: POSITION,
            received: BTreeSet::new(),
            highest: POSITION,
            suspended: BTreeSet::new(),
        }
    }

    fn act(&mut self, what: u8, distance: u64, len: u64) {
        let watermark = self.watermark;
        // Of every sixteen operations one reaches as far as the window, or
        // farther.
        let (distance, len) =
            if what < 0xf0 { (distance % NEAR, len % NEAR) } else { (distance, len) };
        let first = (watermark + 1).saturating_sub(len / 4) + distance;
        let range = Range { first, last: first + len };
        match what % 8 {
            // Most operations are packets, near the watermark.
            0 => self.packet(watermark + 1 + distance % 64),
            1 => self.packet(first),
            2 => {
                self.receiver.handle_high(self.now, watermark + distance, &self.rtt, LONG / 100);
            }
            3 => self.fill(range),
            4 => self.suspend(range),
            5 => {
                self.receiver.resume(self.now);
                self.suspended.clear();
            }
            6 => self.reopen(POSITION.saturating_sub(distance)),
            _ => {
                self.now += Duration::from_micros(distance);
                self.receiver.suppress(self.now, &[range], Duration::ZERO);
                self.ask();
            }
        }
    }

    fn packet(&mut self, sequence: u64) {
        let is_new = sequence > self.start && !self.received.contains(&sequence);
        let wanted = is_new && sequence <= self.watermark + WINDOW_PACKETS;
        assert_eq!(self.receiver.wants(sequence), wanted, "{sequence}");
        if wanted && self.receiver.handle_packet(self.now, sequence, &mut self.rtt, Duration::ZERO)
        {
            self.receive(Range { first: sequence, last: sequence });
        }
    }

    /// What was recovered otherwise; beyond the window it does not count.
    fn fill(&mut self, range: Range) {
        let watermark = self.watermark;
        let mut known = Range { last: range.last.min(self.receiver.high()), ..range };
        self.receiver.fill(self.now, range);
        if known.first > watermark + 1 {
            known.last = known.last.min(watermark + WINDOW_PACKETS);
        }
        if known.first <= known.last {
            self.receive(known);
        }
    }

    fn suspend(&mut self, range: Range) {
        let range = Range { last: range.last.min(self.receiver.high()), ..range };
        if range.first > range.last {
            return;
        }
        let missing: Vec<u64> = self
            .missing()
            .into_iter()
            .filter(|number| (range.first..=range.last).contains(number))
            .collect();
        let news = missing.iter().any(|number| !self.suspended.contains(number));
        assert_eq!(self.receiver.suspend(range), news, "{range:?}");
        self.suspended.extend(missing);
    }

    fn reopen(&mut self, position: u64) {
        let near = position >= self.start || self.highest - position <= WINDOW_PACKETS;
        assert_eq!(self.receiver.reopen(self.now, position, &self.rtt), near, "{position}");
        if near {
            self.start = self.start.min(position);
            self.advance(self.start);
        }
    }

    fn receive(&mut self, range: Range) {
        self.received.extend((range.first.max(self.start + 1))..=range.last);
        self.highest = self.highest.max(range.last);
        self.advance(self.watermark);
        let received = &self.received;
        self.suspended.retain(|number| !received.contains(number));
    }

    /// Everything up to `from` has been received: finds how far that goes on.
    fn advance(&mut self, from: u64) {
        let missing = (from + 1..).find(|number| !self.received.contains(number));
        self.watermark = missing.expect("numbers go on") - 1;
    }

    /// What is missing of what is known to have been sent.
    fn missing(&self) -> BTreeSet<u64> {
        let all = self.watermark + 1..=self.receiver.high();
        all.filter(|number| !self.received.contains(number)).collect()
    }

    /// Takes what is asked for by now. Gives it.
    fn ask(&mut self) -> BTreeSet<u64> {
        let missing = self.missing();
        self.ask_within(&missing)
    }

    /// The same, when it is known what is missing.
    fn ask_within(&mut self, missing: &BTreeSet<u64>) -> BTreeSet<u64> {
        let ranges =
            self.receiver.poll_nak(self.now, &mut self.rng, Duration::ZERO).unwrap_or_default();
        assert!(ranges.len() <= MAX_NAK_RANGES);
        assert!(ranges.is_sorted_by(|one, next| one.last < next.first), "{ranges:?}");
        let asked: BTreeSet<u64> =
            ranges.iter().flat_map(|range| range.first..=range.last).collect();
        assert!(asked.is_subset(missing), "what is here is not asked for");
        assert!(asked.is_disjoint(&self.suspended), "nor is what is recovered otherwise");
        let limit = self.watermark + WINDOW_PACKETS;
        assert!(asked.last().is_none_or(|&last| last <= limit), "nor what could not be taken");
        asked
    }

    fn check(&self) {
        let watermark = self.watermark;
        assert_eq!(self.receiver.watermark(), watermark);
        assert_eq!(self.receiver.start(), self.start);
        assert_eq!(self.receiver.is_complete(), watermark >= self.receiver.high());
        let remains = self.receiver.remains();
        assert_eq!(remains.through, watermark);
        let beyond = remains.beyond.iter().flat_map(|range| range.first..=range.last);
        assert!(beyond.eq(self.received.range(watermark + 1..).copied()));
    }

    fn check_that_all_is_asked_for(&mut self) {
        let all = self.missing();
        let mut missing = all.clone();
        let limit = self.watermark + WINDOW_PACKETS;
        missing.retain(|number| *number <= limit && !self.suspended.contains(number));
        // Each request names a hundred ranges, and there may be 4,096 of them.
        self.now += LONG;
        for _ in 0..50 {
            let asked = self.ask_within(&all);
            missing.retain(|number| !asked.contains(number));
            if missing.is_empty() {
                break;
            }
        }
        assert!(missing.is_empty(), "never asked for: {missing:?}");
    }
}
