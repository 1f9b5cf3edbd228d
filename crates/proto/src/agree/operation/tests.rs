use super::*;

const NOW: Wall = Wall::from_millis(1_000);
const LATER: Wall = Wall::from_millis(2_000);

fn value(bytes: &'static [u8]) -> State {
    let content = Content::Value { bytes: Bytes::from_static(bytes), deadline: LATER };
    State { version: Hlc::at(NOW), content, last: None }
}

fn put(expect: Expect) -> Operation {
    Operation::Put { expect, value: Bytes::from_static(b"new"), deadline: LATER }
}

fn run(operation: &Operation, state: &State, wall: Wall) -> (Option<State>, Outcome) {
    let Applied { state, outcome } = apply(operation, RequestId(9), state, wall);
    (state, outcome)
}

/// Whether a write with that expectation happens.
fn check(expect: Expect, state: &State, expected: bool) {
    let (changed, outcome) = run(&put(expect.clone()), state, NOW);
    assert_eq!(changed.is_some(), expected, "{expect:?} of {state:?}");
    assert_eq!(matches!(outcome, Outcome::Written(_)), expected, "{expect:?} of {state:?}");
}

#[test]
fn a_write_happens_where_what_is_expected_is_there() {
    let (nothing, old) = (State::default(), value(b"old"));
    let is = |bytes: &'static [u8]| Expect::Value(Bytes::from_static(bytes));
    for (expect, of_nothing, of_old) in [
        (Expect::Anything, true, true),
        (Expect::Absent, true, false),
        (Expect::Present, false, true),
        (is(b"old"), false, true),
        (is(b"other"), false, false),
        (Expect::Version(Hlc::at(NOW)), false, true),
        (Expect::Version(Hlc(1)), false, false),
    ] {
        check(expect.clone(), &nothing, of_nothing);
        check(expect, &old, of_old);
    }
}

#[test]
fn what_has_ended_is_not_there() {
    let (changed, _) = run(&put(Expect::Absent), &value(b"old"), LATER);
    assert!(changed.is_some());
    assert_eq!(run(&Operation::Get, &value(b"old"), LATER).1, Outcome::Found(None));
}

#[test]
fn versions_grow_even_when_the_clock_goes_back() {
    let state = State { version: Hlc::at(LATER), ..value(b"old") };
    let (changed, outcome) = run(&put(Expect::Anything), &state, NOW);
    let version = Hlc(Hlc::at(LATER).0 + 1);
    assert_eq!(outcome, Outcome::Written(version));
    assert_eq!(changed.unwrap().last, Some((RequestId(9), outcome)));
}

#[test]
fn increments_count_from_nothing_and_refuse_what_is_no_number() {
    let add = |by| Operation::Increment { by, deadline: LATER };
    assert_eq!(run(&add(3), &State::default(), NOW).1, Outcome::Number(3));
    assert_eq!(run(&add(-3), &value(b"1"), NOW).1, Outcome::Number(-2));
    assert_eq!(run(&add(1), &value(b"x"), NOW), (None, Outcome::NotANumber));
    assert_eq!(run(&add(1), &value(b"9223372036854775807"), NOW), (None, Outcome::NotANumber));
}

#[test]
fn a_take_leaves_nothing() {
    let (changed, outcome) = run(&Operation::Take, &value(b"old"), NOW);
    assert!(matches!(outcome, Outcome::Found(Some(held)) if held.value == "old"));
    let (again, outcome) = run(&Operation::Take, &changed.unwrap(), NOW);
    assert_eq!((again, outcome), (None, Outcome::Found(None)));
}

#[test]
fn a_lock_has_one_holder_until_its_lease_ends_and_tokens_grow() {
    let lease = Duration::from_millis(100);
    let acquire = Operation::Acquire { owner: Bytes::from_static(b"a"), lease };
    let (held, outcome) = run(&acquire, &State::default(), NOW);
    let (held, Outcome::Locked { token, until }) = (held.unwrap(), outcome) else { panic!() };
    assert_eq!(run(&acquire, &held, NOW), (None, Outcome::Occupied(until)));
    assert_eq!(run(&Operation::Get, &held, NOW).1, Outcome::WrongKind);
    let wrong = Operation::Release { token: Hlc(token.0 + 1) };
    assert_eq!(run(&wrong, &held, NOW), (None, Outcome::NotHeld));
    let (renewed, _) = run(&Operation::Renew { token, lease }, &held, NOW + lease / 2);
    assert_eq!(
        run(&acquire, &renewed.clone().unwrap(), until).1,
        Outcome::Occupied(until + lease / 2)
    );
    let (free, outcome) = run(&Operation::Release { token }, &renewed.unwrap(), until);
    assert_eq!(outcome, Outcome::Released);
    for state in [free.unwrap(), held] {
        let (_, outcome) = run(&acquire, &state, until);
        assert!(matches!(outcome, Outcome::Locked { token: next, .. } if next > token));
    }
}

#[test]
fn only_what_is_long_over_is_retired() {
    let state = value(b"old");
    assert_eq!(run(&Operation::Retire, &state, LATER).0, None);
    let (changed, outcome) = run(&Operation::Retire, &state, LATER + RETIRED_AFTER);
    assert_eq!((changed.unwrap().content, outcome), (Content::Absent, Outcome::Retired));
}
