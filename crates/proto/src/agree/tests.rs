//! Three machines that hear each other at once, or not at all.

mod here;

use bytes::Bytes;

use super::members::Standing;
use super::operation::{Expect, Operation};
use super::*;
use crate::record::{KeyHash, Kind};
use crate::time::Wall;

/// When the tests begin, in milliseconds of the time of day.
const BEGINS: u64 = 1_767_225_600_000;

struct Trio {
    machines: Vec<Agree>,
    /// Who is not heard, and hears nobody.
    silent: Vec<usize>,
    /// Who do not hear each other.
    cut: Option<(usize, usize)>,
    millis: u64,
    answers: Vec<(RequestId, Result<Outcome, Failure>)>,
}

impl Trio {
    /// Three machines that have founded a farm.
    fn new() -> Self {
        let machine = |number: u8| {
            let config = Config {
                incarnation: Incarnation(number.into()),
                place: u64::from(number) << 32,
                nodes: 3,
                voters_of_key: 3,
                capacity_bytes: 1 << 20,
                patience: Config::PATIENCE,
                seed: [number; 32],
            };
            Agree::new(config, at(0))
        };
        let machines = (1..4).map(machine).collect();
        let mut trio = Self { machines, silent: vec![], cut: None, millis: 0, answers: vec![] };
        trio.run(3_000);
        assert!(trio.machines.iter().all(|it| it.roster().is_some_and(|it| it.stand.epoch == 1)));
        trio
    }

    fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.millis += 1;
            let now = at(self.millis);
            for number in 0..3 {
                let members: Vec<Member> =
                    (0..3).filter(|&it| it != number).map(|it| self.member(it, number)).collect();
                self.machines[number].handle_members(now, &members);
                self.machines[number].handle_timeout(now);
            }
            while self.deliver(now) {}
        }
    }

    fn member(&self, number: usize, seen_by: usize) -> Member {
        let hears = self.hears(seen_by, number);
        Member {
            incarnation: Incarnation(number as u128 + 1),
            place: (number as u64 + 1) << 32,
            ready: true,
            standing: if hears { Standing::Alive } else { Standing::Silent },
        }
    }

    fn hears(&self, one: usize, other: usize) -> bool {
        let cut = self.cut == Some((one, other)) || self.cut == Some((other, one));
        !cut && !self.silent.contains(&one) && !self.silent.contains(&other)
    }

    /// Delivers what each has to say; whether anybody had.
    fn deliver(&mut self, now: Now) -> bool {
        let mut any = false;
        for from in 0..3 {
            while let Some((to, bytes)) = self.machines[from].poll_transmit() {
                let to = usize::try_from(to.0 - 1).expect("below 3");
                any = true;
                if self.hears(from, to) {
                    let name = Incarnation(from as u128 + 1);
                    self.machines[to].handle_message(now, name, &bytes);
                }
            }
            while let Some(event) = self.machines[from].poll_event() {
                if let Event::Done { request, result } = event {
                    self.answers.push((request, result));
                }
            }
        }
        any
    }

    fn now(&self) -> Now {
        at(self.millis)
    }

    fn ask(&mut self, machine: usize, id: u128, operation: Operation, at: At) {
        let key = Key::new(Kind::Web, b"key").expect("short");
        let request = Request { id: RequestId(id), key, hash: KeyHash(7), operation, at };
        let now = self.now();
        self.machines[machine].submit(now, request).expect("there is room");
    }

    /// Asks, and lets the answer come.
    fn answer(
        &mut self,
        machine: usize,
        id: u128,
        operation: Operation,
    ) -> Result<Outcome, Failure> {
        self.ask(machine, id, operation, At::Home);
        self.run(6_000);
        let (answered, result) = self.answers.pop().expect("every request is answered");
        assert_eq!((answered, self.answers.len()), (RequestId(id), 0));
        result
    }
}

fn at(millis: u64) -> Now {
    let instant = Instant::from_micros(millis * 1_000);
    Now { instant, wall: Wall::from_millis(BEGINS + millis) }
}

fn increment() -> Operation {
    Operation::Increment { by: 1, deadline: Wall::MAX }
}

#[test]
fn a_request_that_is_asked_again_is_done_once() {
    let mut trio = Trio::new();
    for machine in [0, 1, 2, 0] {
        assert_eq!(trio.answer(machine, 5, increment()), Ok(Outcome::Number(1)));
    }
    assert_eq!(trio.answer(1, 6, increment()), Ok(Outcome::Number(2)));
}

#[test]
fn without_a_majority_nothing_is_done_and_the_error_says_why() {
    let mut trio = Trio::new();
    trio.silent = vec![1, 2];
    let failed = trio.answer(0, 1, increment());
    assert_eq!(failed, Err(Failure::NoQuorum { alive: 1, needed: 2 }));
    trio.silent.clear();
    trio.run(3_000);
    assert_eq!(trio.answer(1, 2, increment()), Ok(Outcome::Number(1)));
}

#[test]
fn two_of_three_go_on_and_the_third_comes_back_to_what_they_did() {
    let mut trio = Trio::new();
    assert_eq!(trio.answer(0, 1, increment()), Ok(Outcome::Number(1)));
    for (silent, number) in [(0, 2), (1, 3), (2, 4_u8)] {
        trio.silent = vec![silent];
        trio.run(20_000);
        let other = (silent + 1) % 3;
        assert_eq!(trio.machines[other].roster().map(|it| it.electorate.voters.len()), Some(2));
        assert_eq!(
            trio.answer(other, number.into(), increment()),
            Ok(Outcome::Number(number.into()))
        );
        trio.silent.clear();
        trio.run(4_000);
        let roster = trio.machines[silent].roster().expect("it goes by one");
        assert_eq!((roster.electorate.voters.len(), roster.earlier.len()), (3, 0));
    }
}

/// Two of three need each other as much as with the third, which may be heard
/// again before one of them is not.
#[test]
fn of_three_none_is_dropped_for_being_silent_a_while() {
    let mut trio = Trio::new();
    for (silent, count) in [(0, 1), (1, 2), (2, 3_u8)] {
        trio.silent = vec![silent];
        trio.run(3_000);
        // It is back, and another one cannot be reached, before a roster could change.
        trio.silent = vec![(silent + 1) % 3];
        trio.run(1);
        let asked = trio.answer((silent + 2) % 3, count.into(), increment());
        assert_eq!(asked, Ok(Outcome::Number(count.into())));
        let epochs = trio.machines.iter().map(|it| it.roster().map(|it| it.stand.epoch));
        assert_eq!(epochs.collect::<Vec<_>>(), [Some(1); 3]);
    }
}

#[test]
fn what_is_over_is_forgotten_by_all_and_can_begin_again() {
    let mut trio = Trio::new();
    let deadline = Wall::from_millis(BEGINS + 12_000);
    let put = |value: &'static [u8]| Operation::Put {
        expect: Expect::Absent,
        value: Bytes::from_static(value),
        deadline,
    };
    assert!(matches!(trio.answer(0, 1, put(b"1")), Ok(Outcome::Written(_))));
    assert!(trio.machines.iter().all(|it| it.registers() == 1));
    trio.run(20_000);
    assert!(trio.machines.iter().all(|it| it.registers() == 0));
    assert_eq!(trio.answer(1, 2, Operation::Get), Ok(Outcome::Found(None)));
    assert_eq!(trio.answer(2, 3, increment()), Ok(Outcome::Number(1)));
}
