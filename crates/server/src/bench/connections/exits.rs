//! Servers that go away under full load, at random instants.

use std::time::Instant;

use ground::farm::{Exit, GOING_ON_BYTES, Trial};
use ground::load::{HUNG, Near};
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
    /// What the pauses' p50 and p99 should be, in milliseconds: a pause is the time
    /// until the next byte, and of a server that hands over, the longest without one.
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
    let longest: Vec<_> = pauses.iter().map(|pause| pause.longest).collect();
    if kind.exit == Exit::Drained {
        return report_pauses(kind.name, &longest, kind.goals, report);
    }
    let next: Vec<_> = pauses.iter().filter_map(|pause| pause.next).collect();
    report_pauses(kind.name, &next, kind.goals, report);
    report_pauses(&format!("{}_longest", kind.name), &longest, None, report);
}

/// The same load with nothing that happens to it: its own longest silences, beside
/// which those of connections that move are to be seen.
pub(super) fn measure_undisturbed(times: u32, calm: &mut Option<Farm>, report: &mut Report) {
    let mut pauses = Vec::new();
    let mut tally = Tally::default();
    Turns { times, loss: 0.0 }.take(calm, &mut tally, |farm, _| {
        let connections = farm.begin(&super::loaded(farm))?;
        for near in &connections {
            near.until(HUNG, |account| account.received >= WITHIN_BYTES);
            near.mark(Instant::now());
            near.until(HUNG, |account| account.received >= WITHIN_BYTES + GOING_ON_BYTES);
            pauses.extend(near.pause().map(|pause| pause.longest));
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
    farm.try_exit(&super::loaded(farm), kind.exit, random % WITHIN_BYTES)
}
