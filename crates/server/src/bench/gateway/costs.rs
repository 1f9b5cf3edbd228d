//! What an operation costs a server by itself, and how long clients wait.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::report::{Better, Figure, Report, progress};
use super::load::{Keys, Load, Work};
use super::servers::{Engine, MEMORY_BYTES, Server};
use super::speech::Operation;
use super::{CONNECTIONS, KEYS, Options, VALUE_BYTES};

/// What is measured: an operation, and how many are sent together.
type Case = (Operation, usize);

const CASES: [Case; 4] =
    [(Operation::Get, 1), (Operation::Get, 16), (Operation::Set, 1), (Operation::Set, 16)];

/// One slice of one case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// The server's processor time for an operation, in microseconds.
    pub(super) cost: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// Operations a second.
    pub(super) rate: f64,
}

/// Measures servers by themselves.
pub(super) fn measure(
    options: &Options,
    directory: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut stage = Vec::new();
    for engine in Engine::ALL {
        let Some(server) = Server::alone(engine, directory, MEMORY_BYTES)? else {
            report.miss(engine.name());
            continue;
        };
        let mut load = Load::connect(server.address, engine.protocol(), CONNECTIONS)?;
        load.work(&Work { keys: Keys::Each(KEYS), ..work(options, (Operation::Set, 16)) })?;
        stage.push((server, load));
    }
    let mut samples: BTreeMap<(Case, Engine), Vec<Sample>> = BTreeMap::new();
    for round in 0..options.rounds {
        progress(&format!("round {} of {}", round + 1, options.rounds));
        for case in CASES {
            for (server, load) in &mut stage {
                let sample = slice(&[server], load, &work(options, case))?.0;
                samples.entry((case, server.engine)).or_default().push(sample);
            }
        }
        // Whoever follows whom is another one in the next round.
        stage.rotate_left(1);
        stage.swap(0, 1);
    }
    for case in CASES {
        tell(case, &samples, report);
    }
    Ok(())
}

fn work(options: &Options, (operation, pipeline): Case) -> Work {
    let keys = Keys::Any(KEYS, options.slice);
    Work { operation, pipeline, value_bytes: VALUE_BYTES, keys }
}

/// Has some work done by the first of these servers, and gives what it cost
/// that one, and then what it cost each.
pub(super) fn slice(
    servers: &[&Server],
    load: &mut Load,
    work: &Work,
) -> anyhow::Result<(Sample, Vec<f64>)> {
    let times =
        || servers.iter().map(|server| server.processor_time()).collect::<Result<Vec<_>, _>>();
    let before = times()?;
    let mut outcome = load.work(work)?;
    let each = |(after, before): (_, &std::time::Duration)| {
        let spent: std::time::Duration = after;
        spent.saturating_sub(*before).as_secs_f64() * 1e6 / outcome.operations as f64
    };
    let costs: Vec<f64> = times()?.into_iter().zip(&before).map(each).collect();
    let micros = &mut outcome.micros;
    micros.sort_unstable_by(f64::total_cmp);
    let sample = Sample {
        cost: costs[0],
        p50: micros[micros.len() / 2],
        p99: micros[micros.len() * 99 / 100],
        rate: outcome.operations as f64 / outcome.elapsed.as_secs_f64(),
    };
    Ok((sample, costs))
}

/// Tells of one case: all servers, and the ratios.
fn tell(case: Case, samples: &BTreeMap<(Case, Engine), Vec<Sample>>, report: &mut Report) {
    type Pick = fn(&Sample) -> f64;
    const COST: Pick = |sample| sample.cost;
    const RATE: Pick = |sample| sample.rate;
    let name = name(case);
    let of = |engine: Engine| samples.get(&(case, engine)).map(Vec::as_slice);
    let engines = Engine::ALL.into_iter().filter_map(|engine| Some((engine, of(engine)?)));
    for (engine, samples) in engines.clone() {
        let mut tell = |what: &str, pick: Pick, unit, better| {
            let name = format!("{name}_{}_{what}", engine.name());
            report.add(Figure::median(name, &mut picked(samples, pick), unit, better));
        };
        tell("cpu", COST, "us/op", Better::Lower);
        tell("p50", |sample| sample.p50, "us", Better::Lower);
        tell("p99", |sample| sample.p99, "us", Better::Lower);
        tell("throughput", RATE, "op/s", Better::Higher);
    }
    let own = of(Engine::Segue).expect("it is installed");
    let floor = of(Engine::Floor).expect("it is installed");
    let ratio = |other: &[Sample], pick: Pick| {
        let pairs = own.iter().zip(other);
        pairs.map(|(own, other)| pick(own) / pick(other)).collect::<Vec<_>>()
    };
    let lower = |name: &str, runs: &mut [f64]| Figure::median(name, runs, "ratio", Better::Lower);
    let mut peers: Vec<_> =
        engines.filter(|(engine, _)| !matches!(engine, Engine::Segue | Engine::Floor)).collect();
    let vs_floor = lower(&format!("{name}_vs_floor"), &mut ratio(floor, COST));
    let wants_floor = case == (Operation::Get, 1);
    report.add(if wants_floor { vs_floor.with_goal(1.1) } else { vs_floor });
    let middle = |samples: &[Sample], pick: Pick| {
        let mut values = picked(samples, pick);
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    };
    for &(engine, samples) in &peers {
        let figure = lower(&format!("{name}_cpu_vs_{}", engine.name()), &mut ratio(samples, COST));
        let is_goal = case == (Operation::Set, 16) && engine == Engine::Memcached;
        report.add(if is_goal { figure.with_goal(1.0) } else { figure });
        if engine == Engine::Redis {
            let figure = lower(&format!("{name}_p99_vs_redis"), &mut ratio(samples, |it| it.p99));
            report.add(figure.with_goal(1.0));
        }
    }
    let by = |pick: Pick| {
        move |a: &(Engine, &[Sample]), b: &(Engine, &[Sample])| {
            middle(a.1, pick).total_cmp(&middle(b.1, pick))
        }
    };
    peers.sort_by(by(COST));
    if let Some((_, best)) = peers.first() {
        let figure = lower(&format!("{name}_cpu_vs_best_peer"), &mut ratio(best, COST));
        let is_goal = case == (Operation::Get, 16);
        report.add(if is_goal { figure.with_goal(0.7) } else { figure });
    }
    peers.sort_by(by(RATE));
    if let Some((_, best)) = peers.last() {
        let name = format!("{name}_throughput_vs_best_peer");
        let figure = Figure::median(name, &mut ratio(best, RATE), "ratio", Better::Higher);
        report.add(figure.with_goal(1.0));
    }
}

fn picked(samples: &[Sample], pick: fn(&Sample) -> f64) -> Vec<f64> {
    samples.iter().map(pick).collect()
}

/// A case as it stands in the names of figures.
fn name((operation, pipeline): Case) -> String {
    let operation = match operation {
        Operation::Get => "get",
        Operation::Set => "set",
    };
    format!("{operation}_pipeline_{pipeline}")
}
