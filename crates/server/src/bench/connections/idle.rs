//! Many protected connections that rest: what each costs its owner and its
//! understudy.

use std::thread;
use std::time::Duration;

use anyhow::ensure;
use ground::farm::{Listeners, SERVERS};
use ground::load::{Amount, Near, Outcome};
use ground::{Farm, FarmError};

use super::super::report::{Better, Figure, Report, progress};

/// How long they are watched while they rest.
const WATCHED: Duration = Duration::from_secs(5);

/// Files that a process has beside its connections' two sockets each. Of a limit
/// of 20,000, nodes protect 9,300 connections and not 9,500; this leaves more.
const OTHER_FILES: u64 = 2_000;

/// How many of the connections are judged at the end: every so many.
const SAMPLE: usize = 100;

pub(super) fn measure(count: u32, report: &mut Report) -> anyhow::Result<()> {
    let count = allowed(count)?;
    progress(&format!("{count} idle connections"));
    let figure = Figure::median("idle", &mut [count.into()], "connections", Better::Higher);
    report.add(figure);
    let farm = super::farm(Listeners::TakenOver, 0.0)?;
    let owner = farm.until_owner(|_| true)?;
    let before = memory(&farm)?;
    let plan = farm.plain(Amount::Nothing, Amount::Nothing);
    let connections = (0..count).map(|_| farm.connect(&plan));
    let connections = connections.collect::<Result<Vec<Near>, _>>()?;
    farm.until_protected(owner, count.into())?;
    let after = memory(&farm)?;
    let grown = |server: u8| {
        let server = usize::from(server);
        after[server].saturating_sub(before[server]) as f64 / 1024.0 / f64::from(count)
    };
    let understudy = (0..SERVERS).filter(|&server| server != owner).map(grown);
    let understudy = understudy.reduce(f64::max).unwrap_or_default();
    for (name, kilobytes) in [("owner", grown(owner)), ("understudy", understudy)] {
        let name = format!("idle_memory_{name}");
        let figure = Figure::median(name, &mut [kilobytes], "KiB", Better::Lower);
        report.add(figure.with_goal(64.0));
    }
    let spent = |server| farm.node(server).processor();
    let begun = (0..SERVERS).map(spent).sum::<Result<Duration, FarmError>>()?;
    thread::sleep(WATCHED);
    let spent = (0..SERVERS).map(spent).sum::<Result<Duration, FarmError>>()?.saturating_sub(begun);
    let each = spent.as_secs_f64() * 1e6 / WATCHED.as_secs_f64() / f64::from(count);
    report.add(Figure::median("idle_processor", &mut [each], "us/s", Better::Lower));
    for near in connections.iter().step_by(SAMPLE) {
        let outcome = near.outcome(&farm.backend);
        ensure!(outcome == Outcome::Right, "an idle connection did not come right: {outcome:?}");
    }
    Ok(())
}

/// So many connections, or as many as this process may have both ends of.
fn allowed(count: u32) -> anyhow::Result<u32> {
    let files = sys::process::allow_open_files(2 * u64::from(count) + OTHER_FILES)?;
    let most = u32::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap_or(u32::MAX);
    ensure!(most > 0, "a process may open {files} files only (RLIMIT_NOFILE)");
    if most < count {
        progress(&format!("a process may open {files} files only (RLIMIT_NOFILE)"));
    }
    Ok(count.min(most))
}

/// The servers' memory, in bytes.
fn memory(farm: &Farm) -> Result<Vec<u64>, FarmError> {
    (0..SERVERS).map(|server| farm.node(server).memory_bytes()).collect()
}
