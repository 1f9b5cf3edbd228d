//! `segue bench connections`: connections that go on at another server, and
//! what that costs.
//!
//! Real nodes on machines of their own ([`ground`]), with clients and a backend
//! that know every byte. In reading order: [`exits`], servers that go away;
//! [`cuts`], links between servers that break; [`costs`], the hold beside none;
//! [`idle`], many connections that rest. What fails is counted, and does not keep
//! the rest from being measured.

mod costs;
mod cuts;
mod exits;
mod idle;
mod tally;
mod turns;

use std::time::Duration;

use ground::farm::{Listeners, Settings};
use ground::{Farm, FarmError};

use super::report::{Better, Figure, Report, progress};
use crate::cli::{ConnectionsBench, ConnectionsPart};
use exits::{Kind, Load};
use ground::farm::Exit;
use tally::Tally;

/// After how much silence a host counts as gone: the default of `[connections]
/// detect`.
const DETECTION: Duration = Duration::from_millis(100);

/// All of it, in this order.
const PARTS: [ConnectionsPart; 5] = [
    ConnectionsPart::TakeOvers,
    ConnectionsPart::Planned,
    ConnectionsPart::Cuts,
    ConnectionsPart::Costs,
    ConnectionsPart::Idle,
];

/// Measures, and prints what it found.
///
/// # Errors
///
/// Those of writing to standard output.
pub(crate) fn run(given: &ConnectionsBench, json: bool) -> anyhow::Result<()> {
    let mut report = Report::new("connections");
    let mut calm = match farm(Listeners::TakenOver, 0.0) {
        Err(FarmError::Network(why)) => {
            progress(&format!("nothing is measured, since there can be no machines: {why}"));
            return report.print(json);
        }
        Err(why) => {
            progress(&format!("another farm is made: {}", brief(&why)));
            None
        }
        Ok(farm) => Some(farm),
    };
    let parts = PARTS.into_iter().filter(|part| given.only.is_empty() || given.only.contains(part));
    let mut failed = 0;
    for part in parts {
        if let Err(why) = measure(part, given, &mut calm, &mut report) {
            progress(&format!("{part:?} was not measured to its end: {}", brief(&why)));
            failed += 1;
        }
    }
    let mut failed = [f64::from(failed)];
    report.add(Figure::median("parts_failed", &mut failed, "parts", Better::Lower).with_goal(0.0));
    report.print(json)
}

/// Measures a part. What is left of the farm without loss is given back.
fn measure(
    part: ConnectionsPart,
    given: &ConnectionsBench,
    calm: &mut Option<Farm>,
    report: &mut Report,
) -> anyhow::Result<()> {
    match part {
        ConnectionsPart::TakeOvers => take_overs(given.take_overs, calm, report),
        ConnectionsPart::Planned => {
            let full = Kind {
                name: "planned",
                exit: Exit::Drained,
                load: Load::Full,
                loss: 0.0,
                goals: Some([5.0, 50.0]),
            };
            let mut tally = Tally::default();
            for kind in [Kind { name: "planned_requests", load: Load::Requests, ..full }, full] {
                exits::measure(&kind, given.planned, calm, &mut tally, report);
            }
            tally.report("planned", report);
            exits::measure_undisturbed(given.planned, calm, report);
        }
        ConnectionsPart::Cuts => cuts::measure(given.cuts, calm, report),
        // A farm that rests would take its share of the processors.
        ConnectionsPart::Costs => {
            *calm = None;
            costs::measure(report)?;
        }
        ConnectionsPart::Idle => {
            *calm = None;
            idle::measure(given.idle, report)?;
        }
    }
    Ok(())
}

/// Processes and hosts by turns: between requests, under full load with loss, and
/// under full load without.
fn take_overs(times: u32, calm: &mut Option<Farm>, report: &mut Report) {
    let times = times.div_ceil(6);
    let mut tally = Tally::default();
    let process = Kind {
        name: "process_death",
        exit: Exit::Process,
        load: Load::Full,
        loss: 0.0,
        goals: Some([10.0, 250.0]),
    };
    let host = Kind {
        name: "host_death",
        exit: Exit::Host,
        goals: Some([20.0, 250.0].map(|beyond| millis(DETECTION) + beyond)),
        ..process
    };
    let requests = |name, kind: &Kind| Kind { name, load: Load::Requests, ..*kind };
    let lossy = |name, kind: &Kind| Kind { name, loss: 0.01, goals: None, ..*kind };
    let kinds = [
        requests("process_death_requests", &process),
        requests("host_death_requests", &host),
        lossy("process_death_1_percent_loss", &process),
        lossy("host_death_1_percent_loss", &host),
        process,
        host,
    ];
    for kind in kinds {
        exits::measure(&kind, times, calm, &mut tally, report);
    }
    tally.report("take_overs", report);
}

/// The first line of why something failed: behind it are the nodes' logs.
fn brief(why: &impl ToString) -> String {
    why.to_string().lines().next().unwrap_or_default().to_owned()
}

/// A farm of this program that loses so much of what is sent.
fn farm(listeners: Listeners, loss: f64) -> Result<Farm, FarmError> {
    let program = std::env::current_exe()
        .map_err(|why| FarmError::System { what: "this program".to_owned(), why })?;
    let mut farm = Farm::new(program, Settings { listeners, ..Settings::default() })?;
    if loss > 0.0 {
        farm.network.lose_everywhere(loss)?;
    }
    farm.start()?;
    Ok(farm)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
