//! Servers that go away under full load, at random instants.

use ground::farm::{Exit, Trial};
use ground::{Farm, FarmError};

use super::super::report::{Report, progress};
use super::tally::{Tally, report_pauses};
use super::turns::Turns;

/// A server goes away once a connection has received some of so many bytes:
/// within them are many records, and several windows.
const WITHIN_BYTES: u64 = 16 << 20;

/// How servers go away.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) exit: Exit,
    pub(super) loss: f64,
    /// What the pauses' p50 and p99 should be, in milliseconds.
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

fn once(kind: &Kind, farm: &mut Farm) -> Result<Trial, FarmError> {
    let random = getrandom::u64()
        .map_err(|why| FarmError::System { what: "a random number".to_owned(), why: why.into() })?;
    farm.try_exit(&super::loaded(farm), kind.exit, random % WITHIN_BYTES)
}
