//! What is asked at the node itself: it waits for nobody in particular.

use super::*;

/// How long a message is under way here.
const HOP: Duration = Duration::from_micros(100);

impl Trio {
    /// Has all messages that are under way arrive, and no others.
    fn hop(&mut self, now: Now) {
        let mut flights = Vec::new();
        for (from, machine) in self.machines.iter_mut().enumerate() {
            while let Some((to, bytes)) = machine.poll_transmit() {
                flights.push((from, usize::try_from(to.0 - 1).expect("below 3"), bytes));
            }
        }
        for (from, to, bytes) in flights {
            if self.hears(from, to) {
                let name = Incarnation(from as u128 + 1);
                self.machines[to].handle_message(now, name, &bytes);
            }
        }
        for machine in &mut self.machines {
            while let Some(event) = machine.poll_event() {
                if let Event::Done { request, result } = event {
                    self.answers.push((request, result));
                }
            }
        }
    }

    /// The key's home.
    fn home(&self) -> usize {
        let roster = self.machines[0].roster().expect("it was founded");
        usize::try_from(roster.voters_of(KeyHash(7))[0].0 - 1).expect("below 3")
    }

    fn ask_next(&mut self, round: u8, duellist: u8) {
        let id = u128::from(round) * 2 + u128::from(duellist) + 1_000;
        self.ask(duellist.into(), id, next(round, duellist), At::Here);
    }

    /// Two nodes that do not hear each other ask for the next value, one so many
    /// hops after the other. Gives their answers, first come first, and when
    /// they came.
    fn duel(&mut self, round: u8) -> Vec<(RequestId, Result<Outcome, Failure>, Duration)> {
        let (first, later) = (round % 2, u32::from(round / 2 % 5));
        self.ask_next(round, first);
        let began = self.now();
        let (mut answers, mut passed) = (Vec::new(), Duration::ZERO);
        while answers.len() < 2 {
            if passed == HOP * later {
                self.ask_next(round, 1 - first);
            }
            passed += HOP;
            assert!(passed < Config::PATIENCE, "both are answered");
            let now = Now { instant: began.instant + passed, wall: began.wall };
            for machine in &mut self.machines {
                if machine.poll_timeout() <= now.instant {
                    machine.handle_timeout(now);
                }
            }
            self.hop(now);
            answers.extend(self.answers.drain(..).map(|(id, result)| (id, result, passed)));
        }
        answers
    }
}

/// From the value of this round to the next one's, by that node.
fn next(round: u8, duellist: u8) -> Operation {
    let expect = if round == 0 { Expect::Absent } else { Expect::Value(Bytes::from(vec![round])) };
    let value = Bytes::from(vec![round + 1, duellist]);
    Operation::Put { expect, value, deadline: Wall::MAX }
}

#[test]
fn a_silent_home_costs_nothing_who_asks_here() {
    let mut trio = Trio::new();
    trio.answer(0, 1, increment()).unwrap();
    let home = trio.home();
    trio.silent = vec![home];
    for (id, other) in [(2_u8, (home + 1) % 3), (3, (home + 2) % 3)] {
        trio.ask(other, id.into(), increment(), At::Here);
        let now = trio.now();
        for hops in 0..4 {
            assert_eq!(trio.answers, [], "two round trips, and {hops} hops are over");
            trio.hop(now);
        }
        let answer = (RequestId(id.into()), Ok(Outcome::Number(id.into())));
        assert_eq!(std::mem::take(&mut trio.answers), [answer]);
    }
    trio.ask((home + 1) % 3, 4, increment(), At::Home);
    let now = trio.now();
    (0..8).for_each(|_| trio.hop(now));
    assert_eq!(trio.answers, [], "who asks the home waits for it");
}

#[test]
fn of_two_that_do_not_hear_each_other_one_wins_soon() {
    let mut trio = Trio::new();
    let mut slowest = Duration::ZERO;
    for round in 0..100 {
        trio.cut = Some((0, 1));
        let answers = trio.duel(round);
        let is_winner = |result: &Result<_, _>| matches!(result, Ok(Outcome::Written(_)));
        let winners: Vec<_> = answers.iter().filter(|(_, result, _)| is_winner(result)).collect();
        let [(winner, _, passed)] = winners[..] else { panic!("{round}: {answers:?}") };
        slowest = slowest.max(*passed);
        // The other may not know what became of its own.
        let loses = |result: &Result<Outcome, Failure>| {
            matches!(result, Ok(Outcome::Unexpected(_)) | Err(Failure::Unknown))
        };
        assert!(answers.iter().any(|(_, result, _)| loses(result)), "{round}: {answers:?}");
        trio.cut = None;
        let found = trio.answer(2, u128::from(round) + 5_000, Operation::Get);
        let by = u8::try_from((winner.0 - 1_000) % 2).expect("0 or 1");
        let Ok(Outcome::Found(Some(held))) = found else { panic!("{round}: {found:?}") };
        assert_eq!(held.value, [round + 1, by][..], "{round}");
        let plain = Operation::Put {
            expect: Expect::Value(held.value),
            value: Bytes::from(vec![round + 1]),
            deadline: Wall::MAX,
        };
        let plain = trio.answer(2, u128::from(round) + 6_000, plain);
        assert!(is_winner(&plain), "{round}: {plain:?}");
    }
    // The pauses after three conflicts come to 14 ms at the most, the hops to 2.
    assert!(slowest < Duration::from_millis(20), "{slowest:?}");
}
