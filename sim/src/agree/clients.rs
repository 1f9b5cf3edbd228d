//! What is asked, and what was answered: the history.
//!
//! One client at each node asks for one thing at a time. A request that failed
//! for certain is in no history; one whose node died, or that is unknown, may
//! have been done at any time since.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proto::agree::message::Failure;
use proto::agree::operation::{Expect, Operation, Outcome};
use proto::agree::state::RequestId;
use proto::agree::{At, Config, Event, Request};
use proto::record::{Hlc, Key, KeyHash, Kind};
use proto::rng::Rng;
use proto::time::Wall;

use super::world::World;
use crate::linear::register::{self, Answer, Asked, Register};
use crate::linear::{Call, MAX_CALLS, Verdict, check};

/// How far nodes' clocks may be from the world's, in milliseconds.
pub const SKEW: i64 = 250;

/// A request under way.
#[derive(Debug)]
struct Pending {
    id: RequestId,
    key: usize,
    asked: Asked,
    began: u64,
}

/// What has come of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answered.
    pub answered: u64,
    /// Failed for certain.
    pub failed: u64,
    /// It is not known.
    pub unknown: u64,
}

/// The clients of a world, and their history.
#[derive(Debug)]
pub struct Clients {
    pending: BTreeMap<usize, Pending>,
    history: Vec<Vec<Call<register::Operation>>>,
    /// The last token that each client was given of a lock.
    tokens: BTreeMap<(usize, usize), u64>,
    rng: Rng,
    asked: u128,
    /// What has come of requests.
    pub counts: Counts,
}

impl Clients {
    /// Clients of so many keys; the last of these is a lock.
    #[must_use]
    pub fn new(keys: usize, rng: Rng) -> Self {
        Self {
            pending: BTreeMap::new(),
            history: (0..keys).map(|_| Vec::new()).collect(),
            tokens: BTreeMap::new(),
            rng,
            asked: 0,
            counts: Counts::default(),
        }
    }

    /// Whether a node's client waits for an answer.
    #[must_use]
    pub fn waits(&self, slot: usize) -> bool {
        self.pending.contains_key(&slot)
    }

    /// Has a node's client ask for something.
    pub fn ask_any(&mut self, world: &mut World, slot: usize) {
        let key = usize::try_from(self.rng.below(self.history.len() as u64)).expect("a key");
        // A search for an order takes no more; some are left for the end.
        if self.history[key].len() + self.pending.len() >= MAX_CALLS - 16 {
            return;
        }
        let number = i64::try_from(self.rng.below(5)).expect("below 5");
        let asked = if key + 1 == self.history.len() {
            let token = self.tokens.get(&(slot, key)).copied();
            match (self.rng.below(4), token) {
                (0, Some(token)) => Asked::Renew(token, 1_000),
                (1 | 2, Some(token)) => Asked::Release(token),
                _ => Asked::Acquire(500 + self.rng.below(3_000)),
            }
        } else {
            // Some end within the history, as by the clocks of some nodes they
            // may have before they are written.
            let until = world.wall() + self.rng.below(3_000);
            match self.rng.below(10) {
                0 => Asked::Put(number),
                1 => Asked::PutAbsent(number),
                8 => Asked::PutUntil(number, until),
                9 => Asked::PutAbsentUntil(number, until),
                2 => Asked::Exchange(number, number + 1),
                3 | 4 => Asked::Increment(1),
                5 => Asked::Take,
                6 => Asked::Delete,
                _ => Asked::Get,
            }
        };
        // A history has both kinds: they get in each other's way.
        let at = if self.rng.chance(1, 3) { At::Here } else { At::Home };
        self.ask_at(world, slot, (key, asked), at);
    }

    /// Has a node's client ask for this, at the key's home.
    pub fn ask(&mut self, world: &mut World, slot: usize, key: usize, asked: Asked) {
        self.ask_at(world, slot, (key, asked), At::Home);
    }

    fn ask_at(&mut self, world: &mut World, slot: usize, (key, asked): (usize, Asked), at: At) {
        self.asked += 1;
        let id = RequestId(self.asked);
        let began = micros(world);
        self.pending.insert(slot, Pending { id, key, asked, began });
        let hash = KeyHash((key as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let key = Key::new(Kind::Web, &[u8::try_from(key).expect("few keys")]).expect("short");
        let request = Request { id, key, hash, operation: operation(asked), at };
        if world.with(slot, |agree, now| agree.submit(now, request)) != Some(Ok(())) {
            self.ended(world, slot, Err(Failure::Busy));
        }
    }

    /// Takes note of what machines have answered since.
    pub fn listen(&mut self, world: &mut World) {
        for (slot, event) in std::mem::take(&mut world.events) {
            if let Event::Done { request, result } = event
                && self.pending.get(&slot).is_some_and(|pending| pending.id == request)
            {
                self.ended(world, slot, result);
            }
        }
    }

    /// A node has died: nobody answers its client.
    pub fn died(&mut self, world: &World, slot: usize) {
        if self.waits(slot) {
            self.ended(world, slot, Err(Failure::Unknown));
        }
    }

    fn ended(&mut self, world: &World, slot: usize, result: Result<Outcome, Failure>) {
        let Some(Pending { key, asked, began, .. }) = self.pending.remove(&slot) else { return };
        let (answer, ended) = match result {
            Ok(outcome) => {
                self.counts.answered += 1;
                (Some(answer(&outcome)), Some(micros(world)))
            }
            Err(Failure::Unknown) => {
                self.counts.unknown += 1;
                (None, None)
            }
            Err(_) => {
                self.counts.failed += 1;
                return;
            }
        };
        match (asked, answer) {
            (Asked::Acquire(_), Some(Answer::Locked(token, _))) => {
                self.tokens.insert((slot, key), token);
            }
            (Asked::Release(_), _) | (Asked::Renew(..), Some(Answer::NotHeld)) => {
                self.tokens.remove(&(slot, key));
            }
            _ => {}
        }
        let operation = register::Operation { asked, answer };
        self.history[key].push(Call { began, ended, operation });
    }

    /// The last token that was given of any lock.
    #[must_use]
    pub fn last_token(&self) -> Option<u64> {
        let calls = self.history.iter().flatten();
        let tokens = calls.filter_map(|call| match (call.operation.asked, call.operation.answer) {
            (Asked::Acquire(_), Some(Answer::Locked(token, _))) => Some(token),
            _ => None,
        });
        tokens.max()
    }

    /// Judges the history, key by key.
    ///
    /// # Errors
    ///
    /// When there is no order in which it could have been.
    pub fn judge(&self) -> Result<(), String> {
        let patience = u64::try_from(Config::PATIENCE.as_millis()).expect("seconds");
        let model = Register { skew: SKEW.unsigned_abs() + 1, patience: 4 * patience };
        for (key, calls) in self.history.iter().enumerate() {
            match check(&model, calls) {
                Verdict::Linearizable => {}
                verdict @ (Verdict::Violated | Verdict::Unjudged) => {
                    let mut calls = calls.clone();
                    calls.sort_by_key(|call| call.began);
                    let lines: Vec<String> = calls
                        .iter()
                        .map(|call| {
                            let register::Operation { asked, answer } = call.operation;
                            format!("{} to {:?}: {asked:?} {answer:?}", call.began, call.ended)
                        })
                        .collect();
                    return Err(format!("key {key}: {verdict:?}\n{}", lines.join("\n")));
                }
            }
        }
        Ok(())
    }
}

/// Microseconds of the world's time of day.
fn micros(world: &World) -> u64 {
    world.wall() * 1_000 + world.now().as_micros() % 1_000
}

fn bytes(number: i64) -> Bytes {
    Bytes::from(number.to_string())
}

fn operation(asked: Asked) -> Operation {
    let put = |expect, number, deadline| {
        let value = bytes(number);
        Operation::Put { expect, value, deadline }
    };
    match asked {
        Asked::Get => Operation::Get,
        Asked::Put(number) => put(Expect::Anything, number, Wall::MAX),
        Asked::PutUntil(number, until) => put(Expect::Anything, number, Wall::from_millis(until)),
        Asked::PutAbsent(number) => put(Expect::Absent, number, Wall::MAX),
        Asked::PutAbsentUntil(number, until) => {
            put(Expect::Absent, number, Wall::from_millis(until))
        }
        Asked::Exchange(old, new) => put(Expect::Value(bytes(old)), new, Wall::MAX),
        Asked::Increment(by) => Operation::Increment { by, deadline: Wall::MAX },
        Asked::Take => Operation::Take,
        Asked::Delete => Operation::Delete { expect: Expect::Anything },
        Asked::Acquire(lease) => Operation::Acquire {
            owner: Bytes::from_static(b"client"),
            lease: Duration::from_millis(lease),
        },
        Asked::Renew(token, lease) => {
            Operation::Renew { token: Hlc(token), lease: Duration::from_millis(lease) }
        }
        Asked::Release(token) => Operation::Release { token: Hlc(token) },
    }
}

fn answer(outcome: &Outcome) -> Answer {
    match outcome {
        Outcome::Found(held) => Answer::Found(held.as_ref().map(|held| {
            std::str::from_utf8(&held.value).ok().and_then(|text| text.parse().ok()).unwrap_or(-1)
        })),
        Outcome::Written(_) | Outcome::Released => Answer::Done,
        Outcome::Unexpected(_) => Answer::Unexpected,
        Outcome::Number(number) => Answer::Number(*number),
        Outcome::Locked { token, until } => Answer::Locked(token.0, until.as_millis()),
        Outcome::Occupied(_) => Answer::Occupied,
        Outcome::NotHeld => Answer::NotHeld,
        // No client of ours can get these: the checker finds no order.
        Outcome::NotANumber | Outcome::WrongKind | Outcome::Retired => Answer::Number(i64::MIN),
    }
}
