//! Look-ups at other nodes, under loss and crashes.

use sim::lookups::{self, Summary};

/// How many seeds each change runs.
const SEEDS: u64 = 60;

#[test]
fn nothing_older_than_what_all_confirmed_is_found() {
    let mut sum = Summary::default();
    for seed in 0..SEEDS {
        match lookups::run(seed) {
            Ok(summary) => sum += summary,
            Err(what) => panic!("seed {seed}: {what}"),
        }
    }
    let Summary { found, absent, hedged, repeated, known_absent, .. } = sum;
    for (count, what) in [
        (found, "found"),
        (absent, "found nothing"),
        (hedged, "asked a second holder"),
        (repeated, "asked again"),
        (known_absent, "answered from memory"),
    ] {
        assert!(count > 0, "no look-up {what}: {sum:?}");
    }
}
