//! A puller and a provider on a way that loses parts.

use std::time::Duration;

use super::page::Contents;
use super::provider::{Provider, Request, View};
use super::puller::{Pull, Pulled, Puller, Purpose};
use crate::holdings::Holdings;
use crate::nak::log::KeyLog;
use crate::record::{
    Body, Deadlines, Hlc, Key, KeyHash, Kind, MAX_PAYLOAD_BYTES, Record, Version, Writer,
};
use crate::table::{self, KeyRange, Table};
use crate::time::{Instant, Wall};
use crate::wire::control::{Message, Part, Range, Source};
use crate::wire::frame::Frame;
use crate::wire::header::Incarnation;

const PULLER: Incarnation = Incarnation(1);
const PROVIDER: Incarnation = Incarnation(2);
const WALL: Wall = Wall::from_millis(1_000);

struct Pair {
    now: Instant,
    holdings: Holdings,
    log: KeyLog,
    provider: Provider,
    puller: Puller,
    /// Every so many parts one is lost; none when 0.
    lose_every: usize,
    sent: usize,
    /// What has come: each record's number and length.
    pulled: Vec<(u64, usize)>,
    requests: usize,
}

impl Pair {
    fn new(lose_every: usize) -> Self {
        let config = table::Config {
            capacity_bytes: 64 << 20,
            placement_secret: [1; 32],
            own_secret: [2; 32],
        };
        Self {
            now: Instant::from_micros(1),
            holdings: Holdings::new(Table::new(config)),
            log: KeyLog::default(),
            provider: Provider::default(),
            puller: Puller::default(),
            lose_every,
            sent: 0,
            pulled: Vec::new(),
            requests: 0,
        }
    }

    fn hold(&self, number: u64, len: usize) -> KeyHash {
        let key = Key::new(Kind::Web, &number.to_be_bytes()).unwrap();
        let version = Version { time: Hlc(number), writer: Writer(1) };
        let payload = vec![7; len];
        let body = Body::Value(&payload);
        self.holdings
            .apply(&Record { key, version, deadlines: Deadlines::at(Wall::MAX), body }, WALL);
        self.holdings.hash(&key)
    }

    /// Pulls until it has all, or has failed. Whether it has all.
    fn pull(&mut self, source: Source) -> bool {
        let pull = Pull { from: PROVIDER, source, purpose: Purpose::Join };
        assert!(self.puller.push(pull));
        while let Some(due) = self.puller.poll_timeout() {
            self.now = self.now.max(due);
            if self.puller.poll_failed(self.now).is_some() {
                return false;
            }
            if let Some((_, message)) = self.puller.poll_request(self.now)
                && self.answer(&message)
            {
                return true;
            }
        }
        unreachable!("a pull ends by having all or by failing");
    }

    /// Answers a request. Whether the pull has all with it.
    fn answer(&mut self, message: &Message) -> bool {
        let Message::Pull { page, source, cursor, missing } = message else {
            panic!("{message:?}");
        };
        self.requests += 1;
        let request = Request { page: *page, source, cursor: *cursor, missing };
        let view = View { holdings: &self.holdings, log: &self.log, kept: None, has: None };
        let parts = self.provider.handle_pull(PULLER, &request, view, Vec::new);
        let mut done = false;
        for part in parts {
            self.sent += 1;
            if self.lose_every > 0 && self.sent.is_multiple_of(self.lose_every) {
                continue;
            }
            self.now += Duration::from_micros(10);
            match self.puller.handle_part(self.now, PROVIDER, &part) {
                Pulled::Nothing => {}
                Pulled::Page(page) => take(&mut self.pulled, &page),
                Pulled::Last(page, _) => {
                    take(&mut self.pulled, &page);
                    done = true;
                }
                Pulled::Failed(pull) => panic!("{pull:?}"),
            }
        }
        done
    }

    fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.pulled.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    }
}

fn take(pulled: &mut Vec<(u64, usize)>, page: &[u8]) {
    let mut contents = Contents::decode(page).unwrap();
    while let Some(frame) = contents.next_frame(WALL).unwrap() {
        let Frame::Record(Record { version, body: Body::Value(payload), .. }) = frame else {
            panic!("{frame:?}");
        };
        pulled.push((version.time.0, payload.len()));
    }
}

#[test]
fn a_table_comes_as_a_whole_whatever_parts_are_lost() {
    for lose_every in [0, 2, 3, 10] {
        let mut pair = Pair::new(lose_every);
        (1..=2_000).for_each(|number| {
            pair.hold(number, 200);
        });
        assert!(pair.pull(Source::Table));
        assert_eq!(pair.numbers(), (1..=2_000).collect::<Vec<_>>(), "one in {lose_every} lost");
    }
}

#[test]
fn a_provider_that_does_not_answer_fails_the_pull() {
    let mut pair = Pair::new(1);
    pair.hold(1, 1);
    let began = pair.now;
    assert!(!pair.pull(Source::Table));
    assert!(pair.now - began < Duration::from_secs(3));
}

#[test]
fn the_largest_record_comes_in_parts() {
    let mut pair = Pair::new(7);
    let key = pair.hold(1, MAX_PAYLOAD_BYTES);
    pair.hold(2, 10);
    assert!(pair.pull(Source::Keys(vec![key])));
    assert_eq!(pair.pulled, [(1, MAX_PAYLOAD_BYTES)]);
}

#[test]
fn what_one_packet_was_about_may_need_many_pages() {
    let mut pair = Pair::new(0);
    for number in 1..=20 {
        let key = pair.hold(number, 30_000);
        pair.log.push(5, key);
    }
    let other = pair.hold(21, 10);
    pair.log.push(6, other);
    assert!(pair.pull(Source::Log(Range { first: 5, last: 5 })));
    assert_eq!(pair.numbers(), (1..=20).collect::<Vec<_>>());
    assert!(pair.requests >= 10, "{} requests", pair.requests);
}

#[test]
fn the_fragments_of_a_record_bring_it_once() {
    let mut pair = Pair::new(0);
    let key = pair.hold(1, 50_000);
    (1..=40).for_each(|sequence| pair.log.push(sequence, key));
    let other = pair.hold(2, 10);
    pair.log.push(41, other);
    assert!(pair.pull(Source::Log(Range { first: 1, last: 41 })));
    assert_eq!(pair.numbers(), [1, 2]);
}

#[test]
fn only_what_was_written_since_is_pulled() {
    let mut pair = Pair::new(0);
    (1..=20).for_each(|number| {
        pair.hold(number, 10);
    });
    assert!(pair.pull(Source::Since(Hlc(15))));
    assert_eq!(pair.numbers(), (15..=20).collect::<Vec<_>>());
}

#[test]
fn the_records_of_a_range_and_no_others_are_pulled() {
    let mut pair = Pair::new(0);
    let range = KeyRange::of(pair.hold(1, 10));
    let others = (2..=20).filter(|&number| KeyRange::of(pair.hold(number, 10)) == range);
    let expected: Vec<u64> = std::iter::once(1).chain(others).collect();
    assert!(pair.pull(Source::Ranges(range.into())));
    assert_eq!(pair.numbers(), expected);
}

#[test]
fn parts_of_two_makings_of_a_page_do_not_mix() {
    let mut puller = Puller::default();
    let pull = Pull { from: PROVIDER, source: Source::Table, purpose: Purpose::Merge };
    puller.push(pull);
    let now = Instant::from_micros(1);
    let Some((_, Message::Pull { page, .. })) = puller.poll_request(now) else { panic!() };
    let full = vec![0; super::page::PART_BYTES];
    let part = |edition, index, bytes| Part { page, edition, next: None, index, count: 2, bytes };
    let mut take = |part| puller.handle_part(now, PROVIDER, &part);
    assert!(matches!(take(part(1, 0, &full)), Pulled::Nothing));
    assert!(matches!(take(part(2, 1, &[])), Pulled::Nothing), "the first part was of another");
    assert!(matches!(take(part(2, 0, &full)), Pulled::Last(..)));
}

#[test]
fn a_page_that_leads_nowhere_fails_the_pull() {
    let mut puller = Puller::default();
    let pull = Pull { from: PROVIDER, source: Source::Table, purpose: Purpose::Merge };
    puller.push(pull.clone());
    let now = Instant::from_micros(1);
    let mut take = |next| {
        let Some((_, Message::Pull { page, .. })) = puller.poll_request(now) else { panic!() };
        let part = Part { page, edition: 1, next: Some(next), index: 0, count: 1, bytes: &[] };
        puller.handle_part(now, PROVIDER, &part)
    };
    assert!(matches!(take(1), Pulled::Page(_)));
    assert!(matches!(take(2), Pulled::Page(_)));
    let Pulled::Failed(failed) = take(2) else { panic!("it has that page") };
    assert_eq!(failed, pull);
    assert!(puller.poll_timeout().is_none());
}

#[test]
fn what_merely_differs_is_pulled_after_what_is_missing() {
    let mut puller = Puller::default();
    let pull = |from, purpose| Pull { from: Incarnation(from), source: Source::Table, purpose };
    puller.push(pull(1, Purpose::Differs));
    puller.push(pull(2, Purpose::Touched));
    puller.push(pull(3, Purpose::Merge));
    assert!(puller.has(&Purpose::Differs) && !puller.has(&Purpose::Join));
    let mut order = Vec::new();
    let now = Instant::from_micros(1);
    while let Some((from, _)) = puller.poll_request(now) {
        order.push(from.0);
        puller.give_up(from);
    }
    assert_eq!(order, [2, 3, 1]);
}
