//! Operations that need one answer: some seeds, and that the checker finds
//! what it is there for.

use sim::agree::scenario::{Report, run, run_tampered};
use sim::agree::tamper::Tamper;

#[test]
fn histories_with_partitions_and_crashes_are_linearizable() {
    let mut sum = Report::default();
    for seed in 0..20 {
        let report = run(seed);
        let report = report.unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        assert!(report.crashes > 0 && report.partitions > 0, "{report}");
        sum.add(&report);
    }
    assert!(sum.counts.answered > 1_000, "{sum}");
}

#[test]
fn where_majorities_die_requests_fail_and_tokens_grow() {
    for seed in 0..10 {
        sim::agree::losses::run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

/// Whether the checker finds what is broken, in one of some seeds.
fn check(tamper: Tamper) {
    let is_wrong = |found: &String| found.contains("Violated") || found.contains("two rosters");
    let found = (0..400).find_map(|seed| run_tampered(seed, tamper).err().filter(is_wrong));
    assert!(found.is_some(), "{tamper:?} goes unnoticed");
}

#[test]
fn acceptors_that_keep_no_promise_are_found() {
    check(Tamper::ForgetsPromises);
}

#[test]
fn a_quorum_of_one_is_found() {
    check(Tamper::QuorumOfOne);
}

#[test]
fn a_new_roster_that_asks_no_earlier_voters_is_found() {
    check(Tamper::AsksNoEarlier);
}

#[test]
fn a_node_that_takes_itself_for_the_one_before_is_found() {
    check(Tamper::KeepsIncarnation);
}

#[test]
fn nodes_that_do_not_know_how_many_they_are_are_found() {
    check(Tamper::KnowsNoFarm);
}

#[test]
fn a_start_that_does_what_another_was_asked_is_found() {
    check(Tamper::TakesWhatWasAnothers);
}
