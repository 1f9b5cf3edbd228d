use super::*;
use crate::agree::roster::{Electorate, Lineage, Stand, Voter};
use crate::rng::Rng;
use crate::time::Wall;

/// A roster that `founder` would like.
fn roster(founder: u128) -> Box<Roster> {
    let founder = Incarnation(founder);
    let stand = Stand {
        lineage: Lineage { generation: 1, founded: Wall::from_millis(1), founder },
        epoch: 2,
    };
    let voters = vec![Voter { incarnation: founder, place: 1 }];
    let electorate = Electorate { since: stand.term(), voters };
    Box::new(Roster { stand, voters_of_key: 3, electorate, earlier: vec![], gone: vec![] })
}

/// Lets three councils in which all propose talk, in an order and with losses
/// that the seed determines. Gives what was decided.
fn decisions(seed: u64) -> Vec<Roster> {
    let mut rng = Rng::from_u64(seed);
    let term = Term { generation: 1, epoch: 1 };
    let names: Vec<Incarnation> = (1..4).map(Incarnation).collect();
    let electors = Electors { all: names.clone(), needed: 2 };
    let mut councils: Vec<Council> = names.iter().map(|&name| Council::new(name)).collect();
    let (mut flying, mut decided) = (Vec::new(), Vec::new());
    for step in 0..400_u64 {
        let now = Instant::from_micros(step * 10_000);
        let proposer = usize::try_from(rng.below(3)).expect("below 3");
        if rng.chance(1, 8) && !councils[proposer].is_busy() {
            let value = roster(names[proposer].0);
            councils[proposer].propose(now, term, electors.clone(), value);
        }
        for (council, &from) in councils.iter_mut().zip(&names) {
            council.handle_tick(now);
            flying.extend(council.out.drain(..).map(|(to, message)| (from, to, message)));
        }
        if flying.is_empty() {
            continue;
        }
        let at = usize::try_from(rng.below(flying.len() as u64)).expect("an index");
        let (from, to, message) = flying.swap_remove(at);
        if rng.chance(1, 5) {
            continue;
        }
        let council = &mut councils[usize::try_from(to.0 - 1).expect("below 3")];
        let answer = match message {
            Message::StepPrepare(ballot) => council.prepare(ballot),
            Message::StepAccept(ballot, value) => council.accept(ballot, value),
            Message::StepPromise(ballot, accepted) => {
                council.handle_promise(now, from, ballot, accepted);
                continue;
            }
            Message::StepAccepted(ballot) => {
                decided.extend(council.handle_accepted(from, ballot).map(|roster| *roster));
                continue;
            }
            Message::StepReject(promised) => {
                council.handle_reject(promised);
                continue;
            }
            other @ (Message::Know { .. }
            | Message::Ask
            | Message::Roster(_)
            | Message::Register(..)
            | Message::Submit { .. }
            | Message::Answer { .. }) => panic!("a council says {other:?}"),
        };
        flying.push((to, from, answer));
    }
    decided
}

#[test]
fn all_who_decide_decide_the_same() {
    let mut disputed = 0;
    for seed in 0..300 {
        let decided = decisions(seed);
        disputed += usize::from(decided.len() > 1);
        assert!(decided.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}: {decided:#?}");
    }
    assert!(disputed > 50, "only {disputed} seeds had a decision to repeat");
}
