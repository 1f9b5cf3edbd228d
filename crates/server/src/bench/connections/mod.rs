//! `segue bench connections`: connections that go on at another server, and
//! what that costs.
//!
//! Real nodes on machines of their own ([`ground`]), with clients and a backend
//! that know every byte. In reading order: [`exits`], servers that go away;
//! [`cuts`], links between servers that break; [`costs`], the hold beside none;
//! [`idle`], many connections that rest.

mod costs;
mod cuts;
mod exits;
mod idle;
mod tally;

use std::time::Duration;

use ground::farm::{Listeners, Settings};
use ground::load::{Amount, Plan};
use ground::{Farm, FarmError};
use rustls::CipherSuite;

use super::report::{Report, progress};
use crate::cli::ConnectionsBench;
use exits::Kind;
use ground::farm::Exit;

/// After how much silence a host counts as gone: the default of `[connections]
/// detect`.
const DETECTION: Duration = Duration::from_millis(100);

/// Measures, and prints what it found.
///
/// # Errors
///
/// When a farm does not come together, again and again.
pub(crate) fn run(given: &ConnectionsBench, json: bool) -> anyhow::Result<()> {
    let mut report = Report::new("connections");
    match farm(Listeners::TakenOver, 0.0) {
        Err(FarmError::Network(why)) => {
            progress(&format!("nothing is measured, since there can be no machines: {why}"));
        }
        Err(other) => return Err(other.into()),
        Ok(first) => measure(first, given, &mut report)?,
    }
    report.print(json)
}

fn measure(first: Farm, given: &ConnectionsBench, report: &mut Report) -> anyhow::Result<()> {
    let mut farm = Some(first);
    // Halves of a half each: processes and hosts, without and with loss.
    let times = given.take_overs.div_ceil(4);
    let mut tally = tally::Tally::default();
    let kinds = [
        Kind { name: "process_death", exit: Exit::Process, loss: 0.0, goals: Some([10.0, 250.0]) },
        Kind {
            name: "host_death",
            exit: Exit::Host,
            loss: 0.0,
            goals: Some([20.0, 250.0].map(|beyond| millis(DETECTION) + beyond)),
        },
        Kind { name: "process_death_1_percent_loss", exit: Exit::Process, loss: 0.01, goals: None },
        Kind { name: "host_death_1_percent_loss", exit: Exit::Host, loss: 0.01, goals: None },
    ];
    for kind in kinds {
        exits::measure(&kind, times, &mut farm, &mut tally, report)?;
    }
    tally.report("take_overs", report);
    let planned =
        Kind { name: "planned", exit: Exit::Drained, loss: 0.0, goals: Some([5.0, 50.0]) };
    let mut tally = tally::Tally::default();
    exits::measure(&planned, given.planned, &mut farm, &mut tally, report)?;
    tally.report("planned", report);
    cuts::measure(given.cuts, &mut farm, report)?;
    drop(farm);
    costs::measure(report)?;
    idle::measure(given.idle, report)
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

/// A connection without TLS and one with, full in both directions.
fn loaded(farm: &Farm) -> [Plan; 2] {
    let (up, down) = (Amount::UntilEnd, Amount::UntilEnd);
    [farm.plain(up, down), farm.tls(CipherSuite::TLS13_AES_256_GCM_SHA384, up, down)]
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
