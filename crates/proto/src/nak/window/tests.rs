use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::wire::header::MAX_SEQUENCE;

/// The same by a plain set of numbers.
struct Model {
    watermark: u64,
    beyond: BTreeSet<u64>,
}

impl Model {
    fn insert(&mut self, sequence: u64) -> Arrival {
        let new = sequence > self.watermark && self.beyond.insert(sequence);
        while self.beyond.remove(&(self.watermark + 1)) {
            self.watermark += 1;
        }
        if new { Arrival::New } else { Arrival::Duplicate }
    }

    fn missing(&self, to: u64) -> Vec<u64> {
        (self.watermark + 1..=to).filter(|sequence| !self.beyond.contains(sequence)).collect()
    }
}

fn numbers(ranges: impl Iterator<Item = Range>) -> Vec<u64> {
    ranges.flat_map(|range| range.first..=range.last).collect()
}

proptest! {
    #[test]
    fn agrees_with_a_set(start in 0u64..200, steps in prop::collection::vec(0u64..400, 0..300)) {
        let mut window = Window::new(start);
        let mut model = Model { watermark: start, beyond: BTreeSet::new() };
        for step in steps {
            prop_assert_eq!(window.insert(step), model.insert(step));
            prop_assert_eq!(window.watermark(), model.watermark);
            let highest = window.highest();
            prop_assert_eq!(numbers(window.missing(0, highest)), model.missing(highest));
            let beyond: Vec<u64> = model.beyond.iter().copied().collect();
            prop_assert_eq!(numbers(window.beyond()), beyond);
        }
    }

    #[test]
    fn reopening_makes_only_the_older_numbers_missing(
        start in 100u64..300,
        back in 1u64..100,
        steps in prop::collection::vec(100u64..500, 0..100),
    ) {
        let mut window = Window::new(start);
        let mut received = BTreeSet::new();
        for step in steps.into_iter().filter(|&step| step > start) {
            window.insert(step);
            received.insert(step);
        }
        window.reopen(start - back);
        let highest = window.highest();
        let expected: Vec<u64> =
            (start - back + 1..=highest).filter(|number| !received.contains(number)).collect();
        prop_assert_eq!(numbers(window.missing(0, highest)), expected);
    }

    #[test]
    fn a_replay_is_seen(
        start in 0u64..100,
        steps in prop::collection::vec(prop_oneof![0u64..300, 0u64..5_000], 0..400),
    ) {
        let mut replay = Replay::new(start);
        let mut seen = BTreeSet::new();
        let mut highest = start;
        for step in steps {
            if replay.seen(step) {
                let excusable = step + REPLAY_PACKETS - 64 <= highest || step <= start;
                prop_assert!(seen.contains(&step) || excusable, "{} was never received", step);
            } else {
                prop_assert!(!seen.contains(&step), "{} was taken twice", step);
                replay.insert(step);
                seen.insert(step);
                highest = highest.max(step);
            }
        }
    }
}

#[test]
fn filling_closes_a_gap() {
    let mut window = Window::new(0);
    window.insert(10);
    window.fill(Range { first: 2, last: 9 });
    assert_eq!((window.watermark(), window.highest()), (0, 10));
    window.insert(1);
    assert_eq!(window.watermark(), 10);
}

#[test]
fn filling_from_the_watermark_on_reaches_past_the_window() {
    let mut window = Window::new(0);
    window.insert(70);
    let far = Range { first: 1, last: 10 * WINDOW_PACKETS };
    assert_eq!(window.fill(far), Some(far));
    assert_eq!(window.watermark(), far.last);
    window.insert(far.last + 2);
    assert_eq!(numbers(window.missing(0, far.last + 2)), [far.last + 1]);
}

#[test]
fn filling_beyond_a_gap_stays_in_the_window() {
    let mut window = Window::new(0);
    let filled = window.fill(Range { first: 5, last: 10 * WINDOW_PACKETS });
    assert_eq!(filled, Some(Range { first: 5, last: WINDOW_PACKETS }));
    let beyond = Range { first: WINDOW_PACKETS + 1, last: WINDOW_PACKETS + 9 };
    assert_eq!(window.fill(beyond), None);
    assert_eq!((window.watermark(), window.highest()), (0, WINDOW_PACKETS));
}

#[test]
fn the_highest_numbers_there_are_do_no_harm() {
    let mut window = Window::new(MAX_SEQUENCE - 5);
    window.insert(MAX_SEQUENCE);
    window.fill(Range { first: 1, last: MAX_SEQUENCE - 3 });
    assert_eq!(numbers(window.missing(0, MAX_SEQUENCE)), [MAX_SEQUENCE - 2, MAX_SEQUENCE - 1]);
    assert!(!window.reopen(1), "too far back");
}
