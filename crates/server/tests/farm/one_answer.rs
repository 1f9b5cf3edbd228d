//! Operations that need one answer, asked at real processes on machines that
//! are parted by their firewalls, and killed: what all of them were answered
//! is linearizable. The checker is the simulator's.

mod member;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use proto::rng::Rng;
use sim::linear::register::{Answer, Asked, Operation, Register};
use sim::linear::{Call, Verdict, check};

use crate::patience::{say, until};
use ground::{Network, or_skip};
use member::{Member, Outcome};

const MACHINES: u8 = 5;
/// The last of these is a lock.
const KEYS: usize = 3;
/// How often each member asks between two events.
const ASKED_AT_A_TIME: usize = 3;
/// The clock is one, and read before it is told: a millisecond to round.
const MODEL: Register = Register { skew: 2, patience: 20_000 };

/// Members on machines of their own, and what they were answered.
struct Ground {
    network: Network,
    members: Vec<Option<Member>>,
    history: Vec<Vec<Call<Operation>>>,
    tokens: BTreeMap<usize, u64>,
    rng: Rng,
    failed: usize,
}

/// An operation that a member is to ask for, and what came of it.
struct Asking {
    machine: usize,
    key: usize,
    asked: Asked,
    call: Call<Operation>,
    failed: bool,
}

impl Ground {
    fn new() -> Option<Self> {
        let network = or_skip(Network::new(MACHINES))?;
        let members = (0..MACHINES).map(|it| Some(Member::start(&network, it, MACHINES)));
        let members = members.collect();
        let history = (0..KEYS).map(|_| Vec::new()).collect();
        let rng = Rng::from_u64(1);
        Some(Self { network, members, history, tokens: BTreeMap::new(), rng, failed: 0 })
    }

    /// Waits until a member goes by a roster of so many voters.
    fn until_voters(&mut self, machine: usize, voters: u64) {
        let member = self.members[machine].as_mut().expect("it runs");
        let mut found = None;
        until(
            || {
                found = member.voters();
                found.is_some_and(|(count, _)| count == voters).then_some(())
            },
            || format!("machine {machine} does not go by {voters} voters"),
        );
    }

    /// Has all members ask at once, one thing after another.
    fn ask(&mut self) {
        let plans: Vec<Vec<(usize, Asked)>> =
            (0..self.members.len()).map(|machine| self.plan(machine)).collect();
        let members = self.members.iter_mut().enumerate().zip(plans);
        let asked: Vec<Asking> = std::thread::scope(|scope| {
            let asking: Vec<_> = members
                .filter_map(|((machine, member), plan)| {
                    let member = member.as_mut()?;
                    Some(scope.spawn(move || ask_all(machine, member, &plan)))
                })
                .collect();
            asking.into_iter().flat_map(|it| it.join().expect("it asks")).collect()
        });
        for Asking { machine, key, asked, call, failed } in asked {
            if let (Asked::Acquire(_), Some(Answer::Locked(token, _))) =
                (asked, call.operation.answer)
            {
                self.tokens.insert(machine, token);
            }
            self.failed += usize::from(failed);
            if !failed {
                self.history[key].push(call);
            }
        }
    }

    fn plan(&mut self, machine: usize) -> Vec<(usize, Asked)> {
        let token = self.tokens.remove(&machine);
        let rng = &mut self.rng;
        (0..ASKED_AT_A_TIME)
            .map(|at| {
                let number = i64::try_from(rng.below(4)).expect("below 4");
                let key = usize::try_from(rng.below(KEYS as u64)).expect("below 3");
                let until = micros() / 1_000 + rng.below(2_000);
                let asked = match (key + 1 == KEYS, token.filter(|_| at == 0), rng.below(8)) {
                    (true, Some(token), 0..=2) => Asked::Release(token),
                    (true, Some(token), _) => Asked::Renew(token, 2_000),
                    (true, None, _) => Asked::Acquire(500 + rng.below(1_500)),
                    (false, _, 0) => Asked::Put(number),
                    (false, _, 1) => Asked::PutAbsent(number),
                    (false, _, 2) => Asked::Exchange(number, number + 1),
                    (false, _, 3) => Asked::Increment(1),
                    (false, _, 4) => Asked::Take,
                    (false, _, 5) => Asked::PutUntil(number, until),
                    (false, _, 6) => Asked::PutAbsentUntil(number, until),
                    (false, ..) => Asked::Get,
                };
                (key, asked)
            })
            .collect()
    }

    /// Has the machines of one side get nothing from those of the other.
    fn part(&self, side: &[u8]) {
        let sides = |machine| side.contains(&machine);
        for machine in 0..MACHINES {
            for other in (0..MACHINES).filter(|&other| sides(machine) != sides(other)) {
                self.network.part(machine, other).unwrap();
            }
        }
    }

    fn heal(&self) {
        (0..MACHINES).for_each(|machine| self.network.lose_nothing(machine).unwrap());
    }

    fn kill(&mut self, machine: usize) {
        self.members[machine].take().expect("it runs").kill();
    }

    fn restart(&mut self, machine: u8) {
        let member = Member::start(&self.network, machine, MACHINES);
        self.members[usize::from(machine)] = Some(member);
    }

    fn judge(&self) {
        let unknown = |call: &&Call<Operation>| call.ended.is_none();
        for (key, calls) in self.history.iter().enumerate() {
            say(&format!(
                "key {key}: {} operations, {} of them unknown",
                calls.len(),
                calls.iter().filter(unknown).count()
            ));
            assert!(calls.len() > 20, "too few were answered to tell");
            assert_eq!(check(&MODEL, calls), Verdict::Linearizable, "key {key}: {calls:#?}");
        }
        say(&format!("{} operations failed with an error", self.failed));
    }
}

fn ask_all(machine: usize, member: &mut Member, plan: &[(usize, Asked)]) -> Vec<Asking> {
    let ask = |&(key, asked): &(usize, Asked)| {
        let began = micros();
        let outcome = member.ask(key, asked);
        let ended = micros();
        let (answer, ended, failed) = match outcome {
            Outcome::Answered(answer) => (Some(answer), Some(ended), false),
            Outcome::Unknown => (None, None, false),
            Outcome::Failed => (None, None, true),
        };
        let call = Call { began, ended, operation: Operation { asked, answer } };
        Asking { machine, key, asked, call, failed }
    };
    plan.iter().map(ask).collect()
}

/// The time of day, which leases are told in.
fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(since.as_micros()).expect("it is before the year 500,000")
}

#[test]
fn real_processes_that_are_parted_and_killed_give_one_answer() {
    let Some(mut ground) = Ground::new() else { return };
    (0..usize::from(MACHINES)).for_each(|machine| ground.until_voters(machine, 5));
    ground.ask();
    // Two are parted from three: at first nobody has noticed, then the three
    // go on by themselves.
    ground.part(&[0, 1]);
    ground.ask();
    ground.until_voters(3, 3);
    ground.ask();
    assert!(ground.failed > 0, "two of five get no answer");
    ground.heal();
    ground.ask();
    (0..usize::from(MACHINES)).for_each(|machine| ground.until_voters(machine, 5));
    ground.ask();
    // One loses all that it knew, and comes back as another voter.
    ground.kill(4);
    ground.ask();
    ground.until_voters(0, 4);
    ground.restart(4);
    ground.ask();
    (0..usize::from(MACHINES)).for_each(|machine| ground.until_voters(machine, 5));
    // One hears another no more, but is heard by it.
    ground.network.part(1, 2).unwrap();
    ground.ask();
    ground.ask();
    ground.heal();
    // One is alone, and one of the others dies meanwhile.
    ground.part(&[2]);
    ground.ask();
    ground.until_voters(0, 4);
    ground.kill(3);
    ground.ask();
    ground.heal();
    ground.restart(3);
    (0..usize::from(MACHINES)).for_each(|machine| ground.until_voters(machine, 5));
    ground.ask();
    most_start_again_where_they_do_not_hear_the_rest(&mut ground);
    ground.judge();
}

/// They know nothing, and may not think that they are the farm: the rest goes
/// on, and they with it once they hear it.
fn most_start_again_where_they_do_not_hear_the_rest(ground: &mut Ground) {
    for (dead, left) in [(4, 4), (3, 3)] {
        ground.kill(dead);
        ground.until_voters(0, left);
    }
    ground.part(&[0, 1]);
    ground.kill(2);
    ground.until_voters(0, 2);
    (2..MACHINES).for_each(|machine| ground.restart(machine));
    let failed = ground.failed;
    // What is asked of them takes as long as they would need to meet.
    ground.ask();
    assert!(ground.failed > failed, "three that know nothing answer nothing");
    ground.heal();
    (0..usize::from(MACHINES)).for_each(|machine| ground.until_voters(machine, 5));
    ground.ask();
}
