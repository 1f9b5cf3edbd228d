//! Servers that go away under full load, at random instants.

use ground::farm::{Exit, Listeners, Trial};
use ground::{Farm, FarmError};

use super::super::report::{Report, progress};
use super::tally::{Tally, report_pauses};

/// A server goes away once a connection has received some of so many bytes:
/// within them are many records, and several windows.
const WITHIN_BYTES: u64 = 16 << 20;

/// How often in a row a farm may fail to come together.
const FAILURES: u32 = 3;

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
) -> anyhow::Result<()> {
    progress(&format!("{}, {times} times", kind.name));
    let mut pauses = Vec::new();
    let mut farm = if kind.loss > 0.0 { None } else { calm.take() };
    let mut in_a_row = 0;
    let mut done = 0;
    while done < times {
        match once(kind, &mut farm) {
            Ok(trial) => {
                trial.outcomes.iter().for_each(|outcome| tally.add(outcome));
                pauses.extend(trial.pauses);
                (in_a_row, done) = (0, done + 1);
            }
            Err(error) => {
                progress(&format!("another farm is made: {error}"));
                farm = None;
                tally.farms_failed += 1;
                in_a_row += 1;
                if in_a_row == FAILURES {
                    return Err(error.into());
                }
            }
        }
    }
    if kind.loss == 0.0 {
        *calm = farm;
    }
    report_pauses(kind.name, &pauses, kind.goals, report);
    Ok(())
}

fn once(kind: &Kind, farm: &mut Option<Farm>) -> Result<Trial, FarmError> {
    let farm = match farm {
        Some(farm) => farm,
        None => farm.insert(super::farm(Listeners::TakenOver, kind.loss)?),
    };
    let random = getrandom::u64()
        .map_err(|why| FarmError::System { what: "a random number".to_owned(), why: why.into() })?;
    let trial = farm.try_exit(&super::loaded(farm), kind.exit, random % WITHIN_BYTES)?;
    farm.restore(trial.server)?;
    Ok(trial)
}
