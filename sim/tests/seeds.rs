//! Seeds that every change runs; `cargo run --release -p sim -- 0 100000` runs
//! many more.

use sim::scenario;

/// How many seeds each of these tests runs.
const SEEDS: u64 = 60;

fn check(first: u64) {
    let mut repairs = 0;
    let mut unrecovered = 0;
    let mut clocks_ahead = 0;
    for seed in first..first + SEEDS {
        match scenario::run(seed) {
            Ok(summary) => {
                repairs += summary.repairs;
                unrecovered += summary.unrecovered;
                clocks_ahead += summary.clocks_ahead;
            }
            Err(what) => panic!(
                "seed {seed}: {what}\nreplay: cargo run --release -p sim -- {seed} 1\ncommit: {}",
                option_env!("GITHUB_SHA").unwrap_or("see `git rev-parse HEAD`"),
            ),
        }
    }
    assert!(repairs > 0 && unrecovered > 0, "the seeds put repair and recovery to work");
    assert!(clocks_ahead > 0, "and set clocks ahead");
}

#[test]
fn replicas_converge_and_nothing_confirmed_is_lost() {
    check(0);
}

#[test]
fn a_seed_replays_its_run() {
    assert_eq!(scenario::run(11), scenario::run(11));
}
