//! `segue bench lookup`: what it takes to find a record that another node has.
//!
//! Two real processes: one holds records, this one holds none and gets each of
//! them once, through its [`Cache`] as everybody does. Beside it, in turns and
//! in one run, a QUIC round trip of the same sizes: quinn at both ends, a
//! stream on a connection that is open ([`quic`]). Both ends of both are as a
//! daemon has them: a runtime with several threads.

mod holder;
mod process;
#[cfg(feature = "bench-peers")]
mod quic;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use segue::{Cache, Key, Kind};

use super::report::{Better, Figure, Report};
pub(crate) use holder::serve as holder;
use process::Process;

/// Rounds that take turns. What is told of each side is the median over rounds,
/// and of the ratio the median of each round's.
const ROUNDS: usize = 21;
/// Records, or round trips, of a round: 40 to 100 ms.
const EACH: usize = 400;
/// Rounds before anything is measured: threads have started, caches are warm.
const WARM_UP: usize = 2;
/// The payload of a record: a TLS session.
const RECORD_BYTES: usize = 200;
/// What a QUIC stream carries in each direction: a question with its key, and a
/// record with its id, version and deadlines.
#[cfg(feature = "bench-peers")]
const QUESTION_BYTES: usize = 19;
#[cfg(feature = "bench-peers")]
const ANSWER_BYTES: usize = RECORD_BYTES + 72;
/// How long a process may take for what it is told.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the other process is (`segue bench-holder`).
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// A node with records
    Node,
    /// A QUIC server
    #[cfg(feature = "bench-peers")]
    Quic,
}

/// Measures look-ups, and QUIC beside them.
///
/// # Errors
///
/// When something could not be measured.
pub(crate) fn run(json: bool) -> anyhow::Result<()> {
    let mut report = Report::new("lookup");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // On a worker, where a server's tasks are.
    let measured = runtime.block_on(async { tokio::spawn(measure()).await })??;
    measured.tell(&mut report);
    report.print(json)
}

/// The times of each round, in microseconds.
#[derive(Debug, Default)]
struct Measured {
    lookup: Vec<Round>,
    quic: Vec<Round>,
}

/// One round of one side.
#[derive(Debug, Clone, Copy)]
struct Round {
    p50: f64,
    p99: f64,
}

impl Round {
    fn of(mut micros: Vec<f64>) -> Self {
        micros.sort_unstable_by(f64::total_cmp);
        Self { p50: micros[micros.len() / 2], p99: micros[micros.len() * 99 / 100] }
    }
}

impl Measured {
    fn tell(&self, report: &mut Report) {
        let mut tell = |name: &str, rounds: &[Round]| {
            for (what, pick) in [
                ("p50", (|round: &Round| round.p50) as fn(&Round) -> f64),
                ("p99", |round: &Round| round.p99),
            ] {
                let mut runs: Vec<f64> = rounds.iter().map(pick).collect();
                let name = format!("{name}_{what}");
                report.add(Figure::median(name, &mut runs, "us", Better::Lower));
            }
        };
        tell("lookup", &self.lookup);
        if self.quic.is_empty() {
            report.miss("quinn");
            return;
        }
        tell("quic", &self.quic);
        let pairs = || self.lookup.iter().zip(&self.quic);
        let mut p50: Vec<f64> = pairs().map(|(lookup, quic)| lookup.p50 / quic.p50).collect();
        let mut p99: Vec<f64> = pairs().map(|(lookup, quic)| lookup.p99 / quic.p99).collect();
        let ratio = |name, runs: &mut [f64]| Figure::median(name, runs, "ratio", Better::Lower);
        report.add(ratio("lookup_vs_quic_p50", &mut p50).with_goal(2.5));
        report.add(ratio("lookup_vs_quic_p99", &mut p99));
    }
}

async fn measure() -> anyhow::Result<Measured> {
    let records = (ROUNDS + WARM_UP) * EACH;
    let (asker, _holder) = holder::asker(records).await?;
    let cache = asker.cache();
    #[cfg(feature = "bench-peers")]
    let (quic, _server) = quic::client().await?;
    let mut measured = Measured::default();
    for round in 0..ROUNDS + WARM_UP {
        let lookup = Round::of(lookups(&cache, round * EACH..(round + 1) * EACH).await?);
        #[cfg(feature = "bench-peers")]
        let quic = Round::of(quic.round_trips(EACH).await?);
        if round >= WARM_UP {
            measured.lookup.push(lookup);
            #[cfg(feature = "bench-peers")]
            measured.quic.push(quic);
        }
    }
    let stats = asker.status().lookups;
    let found = usize::try_from(stats.hits_remote)?;
    ensure!(found == records, "{found} of {records} records were found elsewhere: {stats:?}");
    Ok(measured)
}

/// Gets each of these records. How long each took, in microseconds.
async fn lookups(cache: &Cache, numbers: std::ops::Range<usize>) -> anyhow::Result<Vec<f64>> {
    let mut micros = Vec::with_capacity(EACH);
    for number in numbers {
        let key = key(number)?;
        let began = Instant::now();
        let found = cache.get(&key).await;
        micros.push(began.elapsed().as_secs_f64() * 1e6);
        found.with_context(|| format!("record {number} was not found"))?;
    }
    Ok(micros)
}

fn key(number: usize) -> anyhow::Result<Key> {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Ok(Key::new(Kind::Web, &id)?)
}
