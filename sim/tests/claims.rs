//! Claims on tickets while packets are lost, doubled and late, nodes are parted
//! and start anew: the early data of a ticket is accepted once at the most.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, there and then")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto::claims::{Answer, Claimant, Claims};
use proto::node::{CLAIM_PATIENCE, Event};
use proto::record::KeyHash;
use proto::wire::header::Incarnation;
use sim::farm::{Farm, Layout};
use sim::weather::{Loss, Weather};

const NODES: usize = 4;
/// How many tickets a seed has.
const TICKETS: u64 = 8;
const SEEDS: u64 = 1_000;

/// What a seed came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Claims that were granted, taken and refused, and those that nobody
    /// answered.
    granted: u64,
    taken: u64,
    unable: u64,
    unanswered: u64,
    /// Tickets whose early data was accepted more than once.
    twice: u64,
}

/// What may go wrong with a node besides its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    Keeps,
    /// It forgets, between two claims, what it has granted.
    Forgets,
}

/// The claims of a run that wait for an answer, and what was accepted.
#[derive(Debug, Default)]
struct Claiming {
    last: u64,
    /// Whose ticket, by who claims it and under which number.
    waiting: BTreeMap<(Incarnation, u64), KeyHash>,
    accepted: BTreeMap<KeyHash, u64>,
    outcome: Outcome,
}

impl Claiming {
    /// Has a node claim a ticket, as a front does when a client offers it.
    fn claim(&mut self, farm: &mut Farm, number: usize, issuer: Incarnation, ticket: KeyHash) {
        let now = farm.now();
        let Some(running) = &mut farm.nodes[number] else { return };
        self.last += 1;
        let claimant = Claimant { node: running.incarnation(), number: self.last };
        self.waiting.insert((claimant.node, claimant.number), ticket);
        if claimant.node == issuer {
            let answer = running.claims.claim(now, ticket, claimant);
            self.answered(claimant, Some(answer));
        } else {
            running.node.claim(now, self.last, (issuer, ticket), CLAIM_PATIENCE);
        }
    }

    fn answered(&mut self, claimant: Claimant, answer: Option<Answer>) {
        let Some(ticket) = self.waiting.remove(&(claimant.node, claimant.number)) else {
            panic!("an answer to what nobody asked, or the second to one claim");
        };
        let counter = match answer {
            Some(Answer::Granted) => {
                *self.accepted.entry(ticket).or_default() += 1;
                &mut self.outcome.granted
            }
            Some(Answer::Taken) => &mut self.outcome.taken,
            Some(Answer::Unable) => &mut self.outcome.unable,
            None => &mut self.outcome.unanswered,
        };
        *counter += 1;
    }

    fn listen(&mut self, farm: &mut Farm) {
        for running in farm.nodes.iter_mut().flatten() {
            let node = running.incarnation();
            for (event, _) in std::mem::take(&mut running.events) {
                if let Event::Claimed(number, answer) = event {
                    self.answered(Claimant { node, number }, answer);
                }
            }
        }
    }
}

/// Lets a seed have its way with a farm whose tickets are replayed.
fn run(seed: u64, memory: Memory) -> Outcome {
    let weather = Weather {
        loss: Loss::Independent(200),
        doubled: 200,
        jitter: Duration::from_millis(8),
        ..Weather::calm(Duration::from_micros(50))
    };
    let layout = Layout { audited: false, table_bytes: 1 << 20, ..Layout::of(NODES, weather) };
    let mut farm = Farm::new(layout, seed);
    farm.run(Duration::from_secs(2)).unwrap();
    let mut claiming = Claiming::default();
    for ticket in 0..TICKETS {
        let mut draw = |below: usize| usize::try_from(farm.rng.below(below as u64)).unwrap();
        let (issuer, ticket) = (draw(NODES), KeyHash(ticket));
        let trouble = draw(4);
        let sides: Vec<u8> = (0..NODES).map(|_| u8::from(draw(2) == 0)).collect();
        let offers: Vec<(usize, u64)> = (0..6).map(|_| (draw(NODES), draw(40) as u64)).collect();
        let incarnation = farm.nodes[issuer].as_ref().unwrap().incarnation();
        for (at, (claimant, pause)) in offers.into_iter().enumerate() {
            match (at, trouble) {
                (2, 1) => farm.network.part(Vec::clone(&sides)),
                (2, 2) => farm.crash(issuer),
                (4, 2) => farm.start(issuer),
                _ => {}
            }
            if memory == Memory::Forgets
                && let Some(running) = &mut farm.nodes[issuer]
            {
                running.claims = Arc::new(Claims::new(1 << 10));
                running.node.keep_claims(Arc::clone(&running.claims));
            }
            claiming.claim(&mut farm, claimant, incarnation, ticket);
            farm.run(Duration::from_millis(pause)).unwrap();
            claiming.listen(&mut farm);
        }
        farm.run(CLAIM_PATIENCE).unwrap();
        claiming.listen(&mut farm);
        let crashed = farm.nodes[issuer].as_ref().unwrap().incarnation();
        if crashed != incarnation {
            claiming.waiting.retain(|&(node, _), _| node != incarnation);
        }
        assert!(claiming.waiting.is_empty(), "every claim is answered in time: {claiming:?}");
        farm.network.heal();
        farm.run(Duration::from_millis(700)).unwrap();
    }
    let twice = claiming.accepted.values().filter(|&&times| times > 1).count();
    Outcome { twice: twice as u64, ..claiming.outcome }
}

#[test]
fn early_data_is_accepted_at_most_once_whatever_the_network_does() {
    let mut all = Outcome::default();
    for seed in 0..SEEDS {
        let outcome = run(seed, Memory::Keeps);
        assert_eq!(outcome.twice, 0, "seed {seed}: {outcome:?}");
        all.granted += outcome.granted;
        all.taken += outcome.taken;
        all.unable += outcome.unable;
        all.unanswered += outcome.unanswered;
    }
    // All of it happened, and a good network is no condition for a claim.
    let tickets = SEEDS * TICKETS;
    assert!(all.granted > tickets / 2, "{all:?}");
    assert!(all.taken > tickets && all.unanswered > tickets / 10, "{all:?}");
}

#[test]
fn an_issuer_that_forgets_is_caught() {
    assert!((0..20).any(|seed| run(seed, Memory::Forgets).twice > 0));
}
