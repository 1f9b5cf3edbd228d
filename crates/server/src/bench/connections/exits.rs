//! Servers that go away under full load, at random instants.

use std::time::Instant;

use ground::farm::{Exit, GOING_ON_BYTES, Trial};
use ground::load::{Amount, HUNG, Near, Plan};
use ground::{Farm, FarmError};
use rustls::CipherSuite;

use super::super::report::{Report, progress};
use super::tally::{Tally, report_pauses};
use super::turns::Turns;

/// A server goes away once a connection has received some of so many bytes:
/// within them are many records, and several windows.
const WITHIN_BYTES: u64 = 16 << 20;

/// A request's bytes, and its answer's.
const REQUEST_BYTES: u64 = 64;

/// A server goes away within so many requests: some tenths of a second.
const REQUESTS: u64 = 1_000;

/// What connections have when their server goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// All that goes, both ways.
    Full,
    /// One request after the other, each once the answer to the last one is there.
    Requests,
}

/// How servers go away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) exit: Exit,
    pub(super) load: Load,
    pub(super) loss: f64,
    /// What the pauses' p50 and p99 should be, in milliseconds: a pause is the longest
    /// time without a byte at the client, from when its server goes away.
    pub(super) goals: Option<[f64; 2]>,
}

/// So many times. What is left of the farm without loss is given back.
pub(super) fn measure(
    kind: &Kind,
    times: u32,
    calm: &mut Option<Farm>,
    tally: &mut Tally,
    report: &mut Report,
) {
    progress(&format!("{}, {times} times", kind.name));
    let mut pauses = Vec::new();
    let mut lossy = None;
    let farm = if kind.loss > 0.0 { &mut lossy } else { calm };
    Turns { times, loss: kind.loss }.take(farm, tally, |farm, tally| {
        let trial = once(kind, farm)?;
        trial.outcomes.iter().for_each(|outcome| tally.add(outcome));
        pauses.extend(trial.pauses);
        farm.restore(trial.server)
    });
    report_pauses(kind.name, &pauses, kind.goals, report);
}

/// Full load with nothing that happens to it: its own longest silences, beside which
/// those of connections that move are to be seen.
pub(super) fn measure_undisturbed(times: u32, calm: &mut Option<Farm>, report: &mut Report) {
    let mut pauses = Vec::new();
    let mut tally = Tally::default();
    Turns { times, loss: 0.0 }.take(calm, &mut tally, |farm, _| {
        let connections = farm.begin(&Load::Full.plans(farm))?;
        for near in &connections {
            near.until(HUNG, |account| account.received >= WITHIN_BYTES);
            near.mark(Instant::now());
            near.until(HUNG, |account| account.received >= WITHIN_BYTES + GOING_ON_BYTES);
            pauses.extend(near.pause());
        }
        connections.iter().for_each(Near::end);
        connections.iter().for_each(|near| drop(near.outcome(&farm.backend)));
        Ok(())
    });
    report_pauses("undisturbed", &pauses, None, report);
}

fn once(kind: &Kind, farm: &mut Farm) -> Result<Trial, FarmError> {
    let random = getrandom::u64()
        .map_err(|why| FarmError::System { what: "a random number".to_owned(), why: why.into() })?;
    farm.try_exit(&kind.load.plans(farm), kind.exit, random % kind.load.within_bytes())
}

impl Load {
    /// A connection without TLS and one with.
    pub(super) fn plans(self, farm: &Farm) -> [Plan; 2] {
        let (up, down) = match self {
            Self::Full => (Amount::UntilEnd, Amount::UntilEnd),
            Self::Requests => (Amount::Turns(REQUEST_BYTES), Amount::Echo),
        };
        [farm.plain(up, down), farm.tls(CipherSuite::TLS13_AES_256_GCM_SHA384, up, down)]
    }

    const fn within_bytes(self) -> u64 {
        match self {
            Self::Full => WITHIN_BYTES,
            Self::Requests => REQUEST_BYTES * REQUESTS,
        }
    }
}
