//! What a second holder of every session adds: to the cost of a write, to the
//! wait for it, and until when it is not there.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use proto::rng::Rng;

use super::super::report::{Better, Figure, Report, progress};
use super::costs::slice;
use super::load::{Keys, Load, Work};
use super::servers::{Engine, MEMORY_BYTES, Server};
use super::speech::{Batch, MARK_BYTES, Operation};
use super::{CONNECTIONS, KEYS, Options, VALUE_BYTES};

/// How long a write may take to come to the other server, its start included.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many writes of a round are followed to the other server.
const FOLLOWED: usize = 300;

/// Two servers, one by itself, and what was found of them.
struct Stage {
    pair: [Server; 2],
    alone: Server,
    /// Of the first of the pair: many connections, and one.
    load: Load,
    line: Load,
    load_alone: Load,
    line_alone: Load,
    found: Found,
}

/// Figures of each round.
#[derive(Default)]
struct Found {
    /// What a write costs the first server more than one by itself.
    sender: Vec<f64>,
    /// What it costs the second.
    receiver: Vec<f64>,
    /// How long a write takes on the only connection, with the other server
    /// and without.
    round_trip: Vec<f64>,
    round_trip_alone: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// The share of writes that the other server did not have when they were
    /// acknowledged.
    late: Vec<f64>,
}

/// Measures pairs of servers.
pub(super) fn measure(
    options: &Options,
    directory: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut stages = Vec::new();
    for engine in [Engine::Segue, Engine::Redis, Engine::Valkey] {
        let pair = Server::pair(engine, directory)?;
        let alone = Server::alone(engine, directory, MEMORY_BYTES)?;
        let (Some(pair), Some(alone)) = (pair, alone) else {
            report.miss(engine.name());
            continue;
        };
        stages.push(Stage::set(pair, alone)?);
    }
    for round in 0..options.rounds {
        progress(&format!("replication, round {} of {}", round + 1, options.rounds));
        stages.iter_mut().try_for_each(|stage| stage.round(options))?;
        stages.rotate_left(1);
    }
    tell(&stages, report);
    Ok(())
}

impl Stage {
    fn set(pair: [Server; 2], alone: Server) -> anyhow::Result<Self> {
        settle(&pair)?;
        let protocol = alone.engine.protocol();
        let connect = |server: &Server, count| Load::connect(server.address, protocol, count);
        let (load, line) = (connect(&pair[0], CONNECTIONS)?, connect(&pair[0], 1)?);
        let (load_alone, line_alone) = (connect(&alone, CONNECTIONS)?, connect(&alone, 1)?);
        let found = Found::default();
        Ok(Self { pair, alone, load, line, load_alone, line_alone, found })
    }

    fn round(&mut self, options: &Options) -> anyhow::Result<()> {
        let keys = Keys::Any(KEYS, options.slice);
        let sets =
            |pipeline| Work { operation: Operation::Set, pipeline, value_bytes: VALUE_BYTES, keys };
        let Self { pair: [one, other], alone, load, line, load_alone, line_alone, found } = self;
        let (_, costs) = slice(&[&*one, &*other], load, &sets(16))?;
        let (plain, _) = slice(&[&*alone], load_alone, &sets(16))?;
        found.sender.push(costs[0] - plain.cost);
        found.receiver.push(costs[1]);
        found.round_trip.push(slice(&[&*one], line, &sets(1))?.0.p50);
        found.round_trip_alone.push(slice(&[&*alone], line_alone, &sets(1))?.0.p50);
        let mut visible = follow(&self.pair)?;
        visible.micros.sort_unstable_by(f64::total_cmp);
        self.found.p50.push(visible.micros[FOLLOWED / 2]);
        self.found.p99.push(visible.micros[FOLLOWED * 99 / 100]);
        self.found.late.push(visible.late as f64 / FOLLOWED as f64);
        Ok(())
    }
}

/// When writes were there.
struct Visible {
    /// After they were sent, in microseconds.
    micros: Vec<f64>,
    /// How many were not there once they were acknowledged.
    late: usize,
}

/// Waits until the servers have found each other: many writes one after the
/// other are confirmed, and the last one is at the other server.
fn settle(pair: &[Server; 2]) -> anyhow::Result<()> {
    let mut link = Link::new(pair)?;
    let (limit, mut confirmed) = (Instant::now() + PATIENCE, 0);
    while confirmed < FOLLOWED {
        ensure!(Instant::now() < limit, "two servers do not find each other");
        confirmed = if link.write()? { confirmed + 1 } else { 0 };
    }
    link.await_last()?;
    Ok(())
}

/// Writes at one server and reads at the other what was written, until it is
/// there.
fn follow(pair: &[Server; 2]) -> anyhow::Result<Visible> {
    let mut link = Link::new(pair)?;
    let mut visible = Visible { micros: Vec::new(), late: 0 };
    for _ in 0..FOLLOWED {
        let began = Instant::now();
        ensure!(link.write()?, "a write is not confirmed");
        visible.late += usize::from(link.await_last()? > 0);
        visible.micros.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(visible)
}

/// A client of each of two servers, and what they ask.
struct Link {
    writer: TcpStream,
    reader: TcpStream,
    set: Batch,
    get: Batch,
    rng: Rng,
}

impl Link {
    fn new([one, other]: &[Server; 2]) -> anyhow::Result<Self> {
        let protocol = one.engine.protocol();
        let [set, get] = [Operation::Set, Operation::Get]
            .map(|operation| protocol.batch(operation, 1, VALUE_BYTES));
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).context("random numbers")?;
        let rng = Rng::from_u64(u64::from_le_bytes(seed));
        Ok(Self { writer: connect(one)?, reader: connect(other)?, set, get, rng })
    }

    /// Writes something new at one server; gives whether that confirms it.
    fn write(&mut self) -> anyhow::Result<bool> {
        let key = u32::try_from(self.rng.below(KEYS.into())).expect("below a u32");
        self.set.turn(|| key, &mut self.rng);
        self.get.turn(|| key, &mut self.rng);
        Ok(ask(&mut self.writer, &self.set)?.starts_with(&self.set.reply.head))
    }

    /// Reads at the other server until it is there; gives how often it was not.
    fn await_last(&mut self) -> anyhow::Result<usize> {
        let (limit, mut glances) = (Instant::now() + PATIENCE, 0);
        let place = self.get.reply.value..self.get.reply.value + MARK_BYTES;
        while ask(&mut self.reader, &self.get)?.get(place.clone()) != Some(self.set.mark()) {
            glances += 1;
            ensure!(Instant::now() < limit, "a write does not come to the other server");
        }
        Ok(glances)
    }
}

fn connect(server: &Server) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(server.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Asks one thing, and gives the answer, whatever it is.
fn ask(stream: &mut TcpStream, request: &Batch) -> anyhow::Result<Vec<u8>> {
    stream.write_all(&request.bytes)?;
    let mut answer = vec![0; request.reply.length.max(512)];
    let mut length = 0;
    loop {
        let read = stream.read(&mut answer[length..])?;
        ensure!(read > 0, "a server closes the connection");
        length += read;
        let is_head = answer.starts_with(&request.reply.head);
        // What is not as expected is a short line.
        let is_whole = if is_head {
            length >= request.reply.length
        } else {
            answer[..length].ends_with(b"\r\n")
        };
        if is_whole {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

fn tell(stages: &[Stage], report: &mut Report) {
    let mut stages: Vec<_> = stages.iter().collect();
    stages.sort_by_key(|stage| stage.alone.engine);
    let ratio =
        |of: &[f64], to: &[f64]| of.iter().zip(to).map(|(of, to)| of / to).collect::<Vec<_>>();
    for stage in &stages {
        let (found, is_own) = (&stage.found, stage.alone.engine == Engine::Segue);
        let mut tell = |what: &str, runs: &[f64], unit, goal: Option<f64>| {
            let name = format!("replicated_{}_{what}", stage.alone.engine.name());
            let figure = Figure::median(name, &mut runs.to_vec(), unit, Better::Lower);
            report.add(match goal {
                Some(goal) if is_own => figure.with_goal(goal),
                _ => figure,
            });
        };
        tell("sender_more", &found.sender, "us/op", Some(0.5));
        tell("receiver", &found.receiver, "us/op", Some(1.0));
        tell("set_round_trip", &found.round_trip, "us", None);
        tell("set_round_trip_alone", &found.round_trip_alone, "us", None);
        tell("visible_p50", &found.p50, "us", None);
        tell("visible_p99", &found.p99, "us", None);
        tell("not_there_when_acknowledged", &found.late, "share", Some(0.0));
    }
    let of = |engine| stages.iter().find(|stage| stage.alone.engine == engine).map(|it| &it.found);
    let (Some(own), Some(redis)) = (of(Engine::Segue), of(Engine::Redis)) else { return };
    let mut tell = |name: &str, mut runs: Vec<f64>, goal| {
        report.add(Figure::median(name, &mut runs, "ratio", Better::Lower).with_goal(goal));
    };
    let round_trip = ratio(&own.round_trip, &redis.round_trip_alone);
    tell("replicated_set_vs_redis_unreplicated", round_trip, 2.0);
    tell("visible_p50_vs_redis_replica", ratio(&own.p50, &redis.p50), 1.0);
    tell("visible_p99_vs_redis_replica", ratio(&own.p99, &redis.p99), 1.0);
}
