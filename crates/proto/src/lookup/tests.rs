//! Look-ups against holders that answer, are slow, lose messages or lie.

use proptest::prelude::*;

use super::query::MAX_HOLDERS;
use super::*;
use crate::transfer::page::PART_BYTES;
use crate::transfer::provider::BURST_PARTS;
use crate::wire::control::Range;

const TIMEOUT: Duration = Duration::from_millis(30);
const KEY: KeyHash = KeyHash(7);
const START: Instant = Instant::from_micros(1);

/// A message to a holder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    at: Instant,
    to: u128,
    number: u64,
    missing: Vec<Range>,
}

struct Asker {
    now: Instant,
    lookups: Lookups,
}

impl Asker {
    fn new() -> Self {
        Self { now: START, lookups: Lookups::new(TIMEOUT) }
    }

    /// Looks for a key at so many holders, 1 the home.
    fn begin(&mut self, key: KeyHash, holders: u128) -> Option<Outcome> {
        self.lookups.begin(self.now, key, (1..=holders).map(Incarnation))
    }

    /// What is to be sent at this moment.
    fn sends(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some((to, message)) = self.lookups.poll_ask(self.now) {
            let Message::Ask { number, missing, .. } = message else { panic!("{message:?}") };
            sent.push(Sent { at: self.now, to: to.0, number, missing });
        }
        sent
    }

    /// What is sent until `limit` if nobody answers.
    fn sends_until(&mut self, limit: Instant) -> Vec<Sent> {
        let mut sent = self.sends();
        while let Some(due) = self.lookups.timeout()
            && due <= limit
        {
            self.now = self.now.max(due);
            sent.extend(self.sends());
        }
        self.now = limit;
        sent
    }

    fn absent(&mut self, sent: &Sent, certain: bool) {
        self.lookups.handle_absent(self.now, Incarnation(sent.to), sent.number, certain);
    }

    /// The holder gives a record of one part.
    fn found(&mut self, sent: &Sent) -> Option<Vec<u8>> {
        self.part(sent.to, sent.number, (0, 1), b"record")
    }

    fn part(
        &mut self,
        from: u128,
        number: u64,
        (index, count): (u16, u16),
        bytes: &[u8],
    ) -> Option<Vec<u8>> {
        let part = Part { page: number, edition: 1, next: None, index, count, bytes };
        let found = self.lookups.handle_part(self.now, Incarnation(from), &part);
        found.map(|(key, bytes)| {
            self.lookups.end(key, Outcome::Here);
            bytes.to_vec()
        })
    }

    fn ended(&mut self) -> Vec<(KeyHash, Outcome)> {
        std::iter::from_fn(|| self.lookups.poll_ended()).collect()
    }

    fn wait(&mut self, pause: Duration) {
        self.now += pause;
    }

    /// Nothing is left of any query.
    fn check_idle(&self) {
        let Lookups { queries, due, numbers, ended, .. } = &self.lookups;
        assert!(queries.is_empty() && due.is_empty() && numbers.is_empty() && ended.is_empty());
    }
}

#[test]
fn the_home_answers_and_nobody_else_is_asked() {
    let mut asker = Asker::new();
    assert_eq!(asker.begin(KEY, 3), None);
    let sent = asker.sends();
    assert_eq!(sent.iter().map(|sent| sent.to).collect::<Vec<_>>(), [1]);
    asker.wait(Duration::from_micros(200));
    assert_eq!(asker.found(&sent[0]).unwrap(), b"record");
    assert_eq!(asker.ended(), [(KEY, Outcome::Here)]);
    assert_eq!(asker.lookups.counters().queries, 1);
    asker.check_idle();
}

#[test]
fn whoever_looks_for_the_same_shares_one_query() {
    let mut asker = Asker::new();
    for _ in 0..100 {
        assert_eq!(asker.begin(KEY, 3), None);
    }
    assert_eq!(asker.begin(KeyHash(8), 3), None);
    let sent = asker.sends();
    assert_eq!(sent.len(), 2, "one message for each key");
    sent.iter().for_each(|sent| drop(asker.found(sent)));
    assert_eq!(asker.ended().len(), 2);
    asker.check_idle();
}

#[test]
fn the_next_holder_is_asked_when_the_answer_is_late() {
    let mut asker = Asker::new();
    // Answers of 100 us: rounded up to a bucket's bound, 128.
    for key in 100..200 {
        asker.begin(KeyHash(key), 1);
        let sent = asker.sends();
        asker.wait(Duration::from_micros(100));
        asker.found(&sent[0]);
    }
    asker.ended();
    let began = asker.now;
    asker.begin(KEY, 3);
    let sent = asker.sends_until(began + Duration::from_millis(1));
    let late = |sent: &Sent| (sent.to, (sent.at - began).as_micros());
    assert_eq!(sent.iter().map(late).collect::<Vec<_>>(), [(1, 0), (2, 128), (3, 256)]);
    assert_eq!(asker.lookups.counters().hedged, 2);
    // Who answers first is believed; the home's answer comes too late, and
    // says how slow it was.
    assert!(asker.found(&sent[1]).is_some() && asker.found(&sent[0]).is_none());
    assert_eq!(asker.lookups.counters().strays, 0);
    assert_eq!(asker.ended(), [(KEY, Outcome::Here)]);
    asker.check_idle();
}

#[test]
fn a_lost_question_is_asked_again_at_doubling_pauses_until_time_is_up() {
    let mut asker = Asker::new();
    asker.begin(KEY, 1);
    let sent = asker.sends_until(START + TIMEOUT * 2);
    let at: Vec<u128> = sent.iter().map(|sent| (sent.at - START).as_millis()).collect();
    assert_eq!(at, [0, 2, 6, 14], "2 ms are taken for the 95th percentile at first");
    assert_eq!(asker.lookups.counters().repeated, 3);
    assert_eq!(asker.ended(), [(KEY, Outcome::Unanswered)]);
    assert_eq!(asker.lookups.counters().unanswered, 1);
    asker.check_idle();
    // That nobody has answered is no absence: it is asked for again.
    assert_eq!(asker.begin(KEY, 1), None);
}

#[test]
fn it_is_absent_once_every_holder_has_said_so() {
    let mut asker = Asker::new();
    asker.begin(KEY, 3);
    let home = asker.sends();
    asker.absent(&home[0], true);
    let second = asker.sends();
    assert_eq!((second[0].to, second[0].at), (2, START), "at once");
    asker.absent(&second[0], true);
    let third = asker.sends();
    assert!(asker.ended().is_empty());
    asker.absent(&third[0], true);
    assert_eq!(asker.ended(), [(KEY, Outcome::Absent)]);
    assert_eq!(asker.lookups.counters().hedged, 0);
    asker.check_idle();
}

#[test]
fn a_record_is_found_at_the_last_holder_too() {
    let mut asker = Asker::new();
    asker.begin(KEY, 3);
    for _ in 0..2 {
        let sent = asker.sends();
        asker.absent(&sent[0], true);
    }
    let sent = asker.sends();
    assert!(asker.found(&sent[0]).is_some());
    assert_eq!(asker.ended(), [(KEY, Outcome::Here)]);
}

#[test]
fn what_is_absent_for_certain_is_not_asked_for_again_for_a_while() {
    let mut asker = Asker::new();
    let miss = |asker: &mut Asker, certain: bool| {
        assert_eq!(asker.begin(KEY, 1), None);
        let sent = asker.sends();
        asker.absent(&sent[0], certain);
        assert_eq!(asker.ended(), [(KEY, Outcome::Absent)]);
    };
    miss(&mut asker, false);
    miss(&mut asker, true);
    assert_eq!(asker.begin(KEY, 1), Some(Outcome::Absent));
    assert_eq!(asker.lookups.counters().known_absent, 1);
    // A record of that key that comes by says otherwise.
    assert!(asker.lookups.watches() && !asker.lookups.passed(KEY));
    miss(&mut asker, true);
    asker.wait(absences::BELIEVED);
    miss(&mut asker, true);
}

#[test]
fn of_a_record_that_comes_by_meanwhile_no_absence_is_believed() {
    let mut asker = Asker::new();
    asker.begin(KEY, 2);
    let first = asker.sends();
    assert!(asker.lookups.passed(KEY) && !asker.lookups.passed(KeyHash(8)));
    asker.absent(&first[0], true);
    let second = asker.sends();
    assert!(asker.ended().is_empty(), "it may be older than what the next one has");
    asker.absent(&second[0], true);
    assert_eq!(asker.ended(), [(KEY, Outcome::Absent)]);
    assert_eq!(asker.begin(KEY, 2), None, "answers from before are no absence");
}

#[test]
fn a_holder_that_dies_is_not_waited_for() {
    let mut asker = Asker::new();
    asker.begin(KEY, 2);
    asker.sends();
    asker.lookups.lost(asker.now, Incarnation(3));
    assert!(asker.sends().is_empty());
    asker.lookups.lost(asker.now, Incarnation(1));
    let sent = asker.sends();
    assert_eq!((sent[0].to, sent[0].at), (2, START));
    asker.absent(&sent[0], true);
    assert_eq!(asker.ended(), [(KEY, Outcome::Absent)]);
    assert_eq!(asker.begin(KEY, 2), None, "the dead one may have had it");
}

#[test]
fn answers_of_others_and_to_nothing_change_nothing() {
    let mut asker = Asker::new();
    asker.begin(KEY, 2);
    let sent = asker.sends();
    let forged = Sent { to: 2, ..sent[0].clone() };
    asker.absent(&forged, true);
    assert!(asker.found(&forged).is_none());
    asker.absent(&Sent { number: 99, ..sent[0].clone() }, true);
    assert_eq!(asker.lookups.counters().strays, 3);
    assert!(asker.sends().is_empty() && asker.ended().is_empty());
    assert!(asker.found(&sent[0]).is_some());
    // Twice the same: the second is for nobody.
    assert!(asker.found(&sent[0]).is_none());
    assert_eq!(asker.ended().len(), 1);
    assert_eq!(asker.lookups.counters().strays, 4);
}

#[test]
fn where_nobody_is_to_be_asked_nothing_is_waited_for() {
    let mut asker = Asker::new();
    assert_eq!(asker.begin(KEY, 0), Some(Outcome::Absent));
    asker.check_idle();
}

#[test]
fn everything_has_a_limit() {
    let mut asker = Asker::new();
    for key in 0..MAX_QUERIES as u64 {
        assert_eq!(asker.begin(KeyHash(key), 100), None);
    }
    assert_eq!(asker.begin(KeyHash(u64::MAX), 1), Some(Outcome::Refused));
    assert_eq!(asker.begin(KeyHash(0), 1), None, "it joins the query that runs");
    asker.now = START;
    let sent = asker.sends_until(START + TIMEOUT);
    assert!(sent.iter().all(|sent| sent.to <= MAX_HOLDERS as u128));
    for load in asker.lookups.loads() {
        assert!(load.used <= load.limit, "{load:?}");
    }
    asker.ended();
    asker.check_idle();
}

/// A record of so many full parts but the last.
fn record(parts: usize) -> Vec<u8> {
    (0..=250).cycle().take(parts * PART_BYTES - 100).collect()
}

/// Gives the parts that a message asks for, in bursts as holders do; those of
/// which `lost` says so do not come.
fn give(
    asker: &mut Asker,
    sent: &Sent,
    bytes: &[u8],
    lost: &mut impl FnMut() -> bool,
) -> Option<Vec<u8>> {
    let count = bytes.chunks(PART_BYTES).count();
    let all = Range { first: 0, last: count as u64 - 1 };
    let ranges = if sent.missing.is_empty() { vec![all] } else { sent.missing.clone() };
    let wanted = ranges.iter().flat_map(|range| range.first..=range.last).take(BURST_PARTS);
    let mut whole = None;
    for index in wanted.filter(|_| !lost()).collect::<Vec<_>>() {
        let part = bytes.chunks(PART_BYTES).nth(usize::try_from(index).unwrap()).unwrap();
        let place = (u16::try_from(index).unwrap(), u16::try_from(count).unwrap());
        whole = asker.part(sent.to, sent.number, place, part).or(whole);
    }
    whole
}

#[test]
fn a_large_record_comes_in_bursts_that_follow_at_once() {
    let mut asker = Asker::new();
    let bytes = record(100);
    asker.begin(KEY, 2);
    let mut bursts = 0;
    loop {
        let sent = asker.sends();
        assert_eq!((sent.len(), sent[0].to), (1, 1), "the giver is asked for the rest");
        bursts += 1;
        asker.wait(Duration::from_micros(300));
        if let Some(whole) = give(&mut asker, &sent[0], &bytes, &mut || false) {
            assert!(whole == bytes);
            break;
        }
    }
    assert_eq!(bursts, 100_usize.div_ceil(BURST_PARTS));
    assert_eq!(asker.ended(), [(KEY, Outcome::Here)]);
    asker.check_idle();
}

#[test]
fn no_more_large_records_are_put_together_than_there_is_room_for() {
    let mut asker = Asker::new();
    let bytes = record(40);
    let keys = MAX_ASSEMBLED as u64 + 1;
    (0..keys).for_each(|key| drop(asker.begin(KeyHash(key), 1)));
    for sent in asker.sends() {
        assert!(give(&mut asker, &sent, &bytes, &mut || false).is_none());
    }
    let assembled = asker.lookups.queries.values().filter(|query| query.assembles()).count();
    assert_eq!((assembled, asker.lookups.counters().refused), (MAX_ASSEMBLED, BURST_PARTS as u64));
}

#[test]
fn a_holder_that_gives_parts_for_ever_is_given_up() {
    let mut asker = Asker::new();
    asker.begin(KEY, 1);
    let part = vec![0; PART_BYTES];
    let mut index = 0;
    while asker.lookups.queries.contains_key(&KEY) {
        for sent in asker.sends() {
            asker.part(1, sent.number, (index % 800, 800), &part);
            index += 1;
        }
        asker.wait(Duration::from_millis(1));
        assert!(asker.now - START <= TIMEOUT * 11);
    }
    assert_eq!(asker.ended(), [(KEY, Outcome::Unanswered)]);
    asker.check_idle();
}

proptest! {
    /// Whatever is lost or late, every query ends once and within its time, and
    /// what is found is what a holder has.
    #[test]
    fn every_query_ends_once(
        holders in 1_u128..4,
        has in prop::collection::vec(any::<bool>(), 4),
        fates in prop::collection::vec((0_u8..4, 0_u64..4_000), 1..40),
        parts in 1_usize..40,
    ) {
        let mut asker = Asker::new();
        let bytes = record(parts);
        asker.begin(KEY, holders);
        let mut flights: BTreeMap<(Instant, usize), Sent> = BTreeMap::new();
        let mut fates = fates.iter().cycle();
        let mut found = None;
        for flight in 0.. {
            for sent in asker.sends() {
                let &(fate, late) = fates.next().unwrap();
                let arrives = asker.now + Duration::from_micros(10 + late);
                // One in four is lost, one in four comes twice.
                for copy in 0..usize::from(fate.min(2)) {
                    flights.insert((arrives, flight * 2 + copy), sent.clone());
                }
            }
            let timeout = asker.lookups.timeout();
            let Some(at) = flights.keys().next().map(|key| key.0).into_iter().chain(timeout).min()
            else {
                break;
            };
            asker.now = asker.now.max(at);
            while let Some(entry) = flights.first_entry()
                && entry.key().0 <= asker.now
            {
                let sent = entry.remove();
                if has[usize::try_from(sent.to).unwrap()] {
                    let &(seed, _) = fates.next().unwrap();
                    let mut at = u64::from(seed);
                    let mut lost = || { at += 1; at % 7 == 0 };
                    found = give(&mut asker, &sent, &bytes, &mut lost).or(found);
                } else {
                    asker.absent(&sent, true);
                }
            }
        }
        let ended = asker.ended();
        prop_assert_eq!(ended.len(), 1);
        let some_has = (1..=holders).any(|holder| has[usize::try_from(holder).unwrap()]);
        match &ended[0].1 {
            Outcome::Here => prop_assert!(found == Some(bytes)),
            Outcome::Absent => prop_assert!(!some_has),
            Outcome::Unanswered => prop_assert!(found.is_none()),
            outcome @ (Outcome::Carried(_) | Outcome::Refused) => {
                prop_assert!(false, "{:?}", outcome);
            }
        }
        prop_assert!(asker.now <= START + TIMEOUT * 10 + Duration::from_millis(5));
        asker.check_idle();
    }
}
