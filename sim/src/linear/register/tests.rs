use super::*;
use crate::linear::{Verdict, check as judge};

const MODEL: Register = Register { skew: 0, patience: 1_000 };

fn call(began: u64, ended: u64, asked: Asked, answer: Answer) -> Call<Operation> {
    let operation = Operation { asked, answer: Some(answer) };
    Call { began, ended: Some(ended), operation }
}

fn unknown(began: u64, asked: Asked) -> Call<Operation> {
    Call { began, ended: None, operation: Operation { asked, answer: None } }
}

fn check(calls: &[Call<Operation>], expected: Verdict) {
    assert_eq!(judge(&MODEL, calls), expected, "{calls:#?}");
}

#[test]
fn two_winners_are_none() {
    let won = |began, ended| call(began, ended, Asked::PutAbsent(1), Answer::Done);
    let lost = |began, ended| call(began, ended, Asked::PutAbsent(1), Answer::Unexpected);
    check(&[won(0, 10), lost(5, 15)], Verdict::Linearizable);
    check(&[won(0, 10), lost(0, 5)], Verdict::Linearizable);
    check(&[won(0, 10), won(5, 15)], Verdict::Violated);
    check(&[lost(0, 4), won(5, 15)], Verdict::Violated);
}

#[test]
fn what_is_read_was_written_last() {
    let put = call(0, 10, Asked::Put(1), Answer::Done);
    let read = |began, ended, found| call(began, ended, Asked::Get, Answer::Found(found));
    check(&[put.clone(), read(11, 12, Some(1))], Verdict::Linearizable);
    check(&[put.clone(), read(11, 12, None)], Verdict::Violated);
    check(&[put.clone(), read(5, 12, None)], Verdict::Linearizable);
    // Two reads while it is written: not the new value and then the old one.
    check(&[put.clone(), read(1, 2, Some(1)), read(3, 4, None)], Verdict::Violated);
    check(&[put, read(1, 2, None), read(3, 4, Some(1))], Verdict::Linearizable);
}

#[test]
fn what_is_unknown_happens_late_or_never_and_once() {
    let read = |began, found| call(began, began + 1, Asked::Get, Answer::Found(found));
    let add = unknown(0, Asked::Increment(1));
    check(&[add.clone(), read(10, None)], Verdict::Linearizable);
    check(&[add.clone(), read(10, None), read(20, Some(1))], Verdict::Linearizable);
    check(&[add.clone(), read(10, Some(1)), read(20, None)], Verdict::Violated);
    check(&[add, read(10, Some(1)), read(20, Some(2))], Verdict::Violated);
    check(&[read(0, Some(1)), unknown(10, Asked::Put(1))], Verdict::Violated);
}

#[test]
fn a_lock_has_one_holder_until_its_lease_ends() {
    let acquire = |millis: u64, token| {
        let at = millis * 1_000;
        call(at, at + 1, Asked::Acquire(100), Answer::Locked(token, millis + 100))
    };
    let free = |millis: u64, token, answer| {
        call(millis * 1_000, millis * 1_000 + 1, Asked::Release(token), answer)
    };
    check(&[acquire(0, 7), acquire(50, 8)], Verdict::Violated);
    check(&[acquire(0, 7), acquire(200, 8)], Verdict::Linearizable);
    check(&[acquire(0, 7), free(10, 7, Answer::Done), acquire(50, 8)], Verdict::Linearizable);
    check(&[acquire(0, 7), free(10, 6, Answer::Done), acquire(50, 8)], Verdict::Violated);
    let taken = free(250, 7, Answer::NotHeld);
    check(&[acquire(0, 7), acquire(200, 8), taken], Verdict::Linearizable);
}

#[test]
fn tokens_grow() {
    let acquire = |millis: u64, token| {
        let at = millis * 1_000;
        call(at, at + 1, Asked::Acquire(100), Answer::Locked(token, millis + 100))
    };
    check(&[acquire(0, 8), acquire(200, 8)], Verdict::Violated);
    check(&[acquire(0, 8), acquire(200, 7)], Verdict::Violated);
}
