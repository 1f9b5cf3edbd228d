//! What the hold costs: throughput, latency and processor time, beside the same
//! farm without it, in turns.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use ground::farm::{Listeners, PATIENCE, SERVERS};
use ground::load::{Amount, Backend, Clients, HUNG, Near, Outcome, Plan, Security};
use ground::{Farm, FarmError, Network};

use super::super::report::{Better, Figure, Report, progress};

/// How often each figure is measured, in turns with what it is compared with: the
/// median is then right though the machine is busy with something else for a
/// third of the time.
const ROUNDS: usize = 7;

/// How often other farms are made.
const FAILURES: u32 = 3;

/// What a connection moves before it is measured: more than the buffers on the way
/// hold.
const WARM_BYTES: u64 = 4 << 20;

/// How long throughput is measured: some thousand windows.
const THROUGHPUT: Duration = Duration::from_secs(1);

/// How many turns of request and response a latency is the median of.
const TURNS: usize = 500;

/// A request's bytes, and its answer's.
const REQUEST_BYTES: u64 = 64;

/// A direction that is full, or both.
const WAYS: [(&str, Amount, Amount); 3] = [
    ("two_way", Amount::UntilEnd, Amount::UntilEnd),
    ("download", Amount::Nothing, Amount::UntilEnd),
    ("upload", Amount::UntilEnd, Amount::Nothing),
];

/// What one run moved.
struct Run {
    megabytes_a_second: f64,
    /// Of all servers, for each megabyte.
    processor_micros: f64,
}

pub(super) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let mut farms = Farms::new()?;
    for way in WAYS {
        measure_way(way, &mut farms, report)?;
    }
    measure_latency(&mut farms, report)
}

/// A farm that holds, and one that does not.
struct Farms {
    held: Farm,
    free: Farm,
    failures: u32,
}

impl Farms {
    fn new() -> Result<Self, FarmError> {
        let held = super::farm(Listeners::TakenOver, 0.0)?;
        Ok(Self { held, free: super::farm(Listeners::MovedByPlan, 0.0)?, failures: 0 })
    }

    /// Has `measure` do it so often. Where a connection stands still, since it has
    /// moved on a busy machine, it is done again with other farms.
    fn rounds(
        &mut self,
        mut measure: impl FnMut(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut done = 0;
        while done < ROUNDS {
            match measure(self) {
                Ok(()) => done += 1,
                Err(why) if self.failures < FAILURES => {
                    progress(&format!("another farm is made: {}", super::brief(&why)));
                    *self = Self { failures: self.failures + 1, ..Self::new()? };
                }
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }
}

fn measure_way(
    (way, up, down): (&str, Amount, Amount),
    farms: &mut Farms,
    report: &mut Report,
) -> anyhow::Result<()> {
    progress(&format!("throughput, {way}"));
    let (mut rates, mut free_rates, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut spent, mut free_spent) = (Vec::new(), Vec::new());
    farms.rounds(|Farms { held, free, .. }| {
        let with = throughput(held, &held.plain(up, down))?;
        let without = throughput(free, &free.plain(up, down))?;
        ratios.push(with.megabytes_a_second / without.megabytes_a_second);
        rates.push(with.megabytes_a_second);
        free_rates.push(without.megabytes_a_second);
        spent.push(with.processor_micros);
        free_spent.push(without.processor_micros);
        Ok(())
    })?;
    for (name, values) in [("held", &mut rates), ("not_held", &mut free_rates)] {
        report.add(Figure::median(format!("{way}_{name}"), values, "MB/s", Better::Higher));
    }
    let ratio = format!("{way}_held_vs_not_held");
    report.add(Figure::median(ratio, &mut ratios, "ratio", Better::Higher).with_goal(0.7));
    for (name, values) in [("held", &mut spent), ("not_held", &mut free_spent)] {
        let name = format!("{way}_processor_{name}");
        report.add(Figure::median(name, values, "us/MB", Better::Lower));
    }
    Ok(())
}

fn throughput(farm: &Farm, plan: &Plan) -> anyhow::Result<Run> {
    let near = begin(farm, plan)?;
    let far = farm.backend.end(near.id(), PATIENCE).expect("it has begun");
    let moved = || near.account().received + far.account().received;
    ensure!(
        near.until(HUNG, |account| account.sent + account.received >= WARM_BYTES),
        "a connection under load moves nothing: {:?}",
        near.account().state
    );
    let (begun, bytes, spent) = (Instant::now(), moved(), processor(farm)?);
    std::thread::sleep(THROUGHPUT);
    let (seconds, bytes) = (begun.elapsed().as_secs_f64(), moved() - bytes);
    let spent = processor(farm)?.saturating_sub(spent);
    finish(farm, &near)?;
    let megabytes = bytes as f64 / 1e6;
    ensure!(megabytes > 0.0, "a connection under load moves nothing");
    Ok(Run {
        megabytes_a_second: megabytes / seconds,
        processor_micros: spent.as_secs_f64() * 1e6 / megabytes,
    })
}

fn measure_latency(farms: &mut Farms, report: &mut Report) -> anyhow::Result<()> {
    progress("latency of requests");
    let (mut with, mut without, mut trips) = (Vec::new(), Vec::new(), Vec::new());
    farms.rounds(|Farms { held, free, .. }| {
        let (one, other) = (latency(held)?, latency(free)?);
        trips.push(round_trip(&held.network)?);
        with.push(one);
        without.push(other);
        Ok(())
    })?;
    let mut added: Vec<_> = with.iter().zip(&without).map(|(one, other)| one - other).collect();
    let mut ratios: Vec<_> = added.iter().zip(&trips).map(|(added, trip)| added / trip).collect();
    for (name, values) in [
        ("request_held", &mut with),
        ("request_not_held", &mut without),
        ("replication_round_trip", &mut trips),
        ("request_added", &mut added),
    ] {
        report.add(Figure::median(name, values, "us", Better::Lower));
    }
    let ratio = Figure::median("request_added_vs_round_trip", &mut ratios, "ratio", Better::Lower);
    report.add(ratio);
    // A request and its answer pass one after the other, and by the rule each of
    // them waits for the understudy: less than two round trips cannot be.
    let mut passages: Vec<_> = ratios.iter().map(|ratio| ratio / 2.0).collect();
    let name = "passage_added_vs_round_trip";
    report.add(Figure::median(name, &mut passages, "ratio", Better::Lower).with_goal(1.5));
    Ok(())
}

/// The median time of a request over a farm, in microseconds.
fn latency(farm: &Farm) -> anyhow::Result<f64> {
    let near = begin(farm, &farm.plain(Amount::Turns(REQUEST_BYTES), Amount::Echo))?;
    let median = median_turn(&near)?;
    finish(farm, &near)?;
    Ok(median)
}

/// The same between two servers without anything between them: what one round
/// trip from process to process takes.
fn round_trip(network: &Network) -> anyhow::Result<f64> {
    let (from, to) = (0, 1);
    let any = SocketAddr::from((Network::address(to), 0));
    let backend = network.on(to, || Backend::start(any))?;
    let clients = Clients::start()?;
    let plan = Plan {
        to: backend.address(),
        security: Security::Plain,
        upload: Amount::Turns(REQUEST_BYTES),
        download: Amount::Echo,
    };
    let near = network.on(from, || clients.connect(&plan))?;
    median_turn(&near)
}

fn median_turn(near: &Near) -> anyhow::Result<f64> {
    let enough = near.until(HUNG, |account| account.turns.len() >= TURNS);
    ensure!(enough, "requests are not answered: {:?}", near.account().state);
    let mut turns = near.account().turns;
    turns.sort_unstable();
    Ok(turns[turns.len() / 2].as_secs_f64() * 1e6)
}

/// Begins a connection; one of a farm that holds has to be protected.
fn begin(farm: &Farm, plan: &Plan) -> anyhow::Result<Near> {
    let near = if farm.holds() {
        farm.begin(std::slice::from_ref(plan))?.remove(0)
    } else {
        farm.connect(plan)?
    };
    ensure!(farm.backend.end(near.id(), PATIENCE).is_some(), "the backend is not reached");
    Ok(near)
}

fn finish(farm: &Farm, near: &Near) -> anyhow::Result<()> {
    let outcome = near.outcome(&farm.backend);
    ensure!(outcome == Outcome::Right, "a connection did not come right: {outcome:?}");
    Ok(())
}

/// The processor time of all servers.
fn processor(farm: &Farm) -> Result<Duration, FarmError> {
    (0..SERVERS).map(|server| farm.node(server).processor()).sum()
}
