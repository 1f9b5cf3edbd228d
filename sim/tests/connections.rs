//! Live connections: one fault at each step, some seeds, and that the checker
//! finds what it is there for.

use sim::connections::fault::{Fault, Tamper};
use sim::connections::scenario::{run, run_tampered, short};
use sim::connections::world::Report;

#[test]
fn no_fault_at_any_step_loses_a_byte() {
    let undisturbed = short(None).unwrap();
    assert!(undisturbed.steps > 100 && undisturbed.taken_over == 0, "{undisturbed}");
    let mut sum = Report::default();
    for step in 1..=undisturbed.steps {
        for fault in Fault::ALL {
            let report = short(Some((step, fault)));
            sum.add(&report.unwrap_or_else(|what| panic!("step {step}: {what}")));
        }
    }
    assert!(sum.taken_over > undisturbed.steps, "{sum}");
}

#[test]
fn several_faults_and_a_register_that_may_not_answer_change_no_byte() {
    let mut sum = Report::default();
    for seed in 0..300 {
        sum.add(&run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}")));
    }
    assert!(sum.taken_over > 100, "too few to judge: {sum}");
}

/// Whether the checker finds what is broken, as that, in one of some seeds: a node
/// that stood still asks before it acts, so it takes thousands until an understudy
/// that goes on acknowledging does harm.
fn check(tamper: Tamper, as_what: &str) {
    let found = (0..5_000)
        .find_map(|seed| run_tampered(seed, tamper).err().filter(|found| found.contains(as_what)));
    assert!(found.is_some(), "{tamper:?} goes unnoticed");
}

#[test]
fn a_packet_that_is_released_before_it_is_held_is_found() {
    check(Tamper::ReleasesBeforeHeld, "acknowledged, and only");
}

#[test]
fn output_that_is_written_before_it_is_held_is_found() {
    check(Tamper::WritesBeforeHeld, "were sent, and only");
}

#[test]
fn acting_without_a_term_is_found() {
    check(Tamper::ActsWithoutTerm, "which it has not won");
}

#[test]
fn an_understudy_that_does_not_stop_to_acknowledge_is_found() {
    check(Tamper::KeepsAcknowledging, "acknowledged, and only");
}

#[test]
fn numbers_that_do_not_come_with_what_they_count_are_found() {
    check(Tamper::ForgetsNumbers, "frame");
}
