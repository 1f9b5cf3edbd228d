//! What an operation costs, cache beside cache.

use std::hint::black_box;
use std::time::{Duration, Instant};

use proto::buzhash::BuzHash;
use sys::process::thread_cpu_time;

use super::super::report::{Better, Figure, Report, progress};
#[cfg(feature = "bench-peers")]
use super::caches::peers::{DashMap, Moka, QuickCache};
use super::caches::{Plain, Segue};
use super::work::{self, Cache, nanos_each};

/// How many uses of keys are one slice: some tens of milliseconds each.
const SLICE: usize = 100_000;
/// How long the caches of one setup take turns.
const BUDGET: Duration = Duration::from_secs(4);
/// As many rounds at least, whatever they take.
const LEAST_ROUNDS: usize = 7;

/// One size of the work.
pub(super) struct Setup<'a> {
    pub(super) keys: u32,
    pub(super) value_bytes: usize,
    pub(super) label: String,
    pub(super) places: &'a [u32],
}

/// Runs a slice of the work and gives the time it took of the processor.
type Run<'a> = dyn FnMut(&[u32]) -> anyhow::Result<Duration> + 'a;

/// A filled cache, ready to run slices of the work.
struct Lane<'a> {
    name: &'static str,
    run: Box<Run<'a>>,
    /// Of each round, in nanoseconds per operation.
    nanos: Vec<f64>,
}

impl<'a> Lane<'a> {
    fn new(name: &'static str, mut cache: impl Cache + 'a, setup: &Setup<'_>) -> Self {
        let mut value = vec![7; setup.value_bytes];
        work::fill(&mut cache, setup.keys, &value);
        let run = move |places: &[u32]| {
            let before = thread_cpu_time()?;
            black_box(work::run(&mut cache, places, &mut value));
            Ok(thread_cpu_time()? - before)
        };
        Self { name, run: Box::new(run), nanos: Vec::new() }
    }
}

/// The table, a plain map and the peers take turns on one thread.
pub(super) fn race(report: &mut Report, setup: &Setup<'_>) -> anyhow::Result<()> {
    progress(&format!("{} keys, {} bytes each", setup.keys, setup.value_bytes));
    let segue = Segue::for_records(room(setup), setup.value_bytes)?;
    let hash = BuzHash::new(&[1; 32]);
    #[cfg(feature = "bench-peers")]
    let (quick_cache, moka, dashmap) = peers(setup);
    let mut lanes = vec![
        Lane::new("segue", &segue, setup),
        Lane::new("hashbrown", Plain::with_hasher(&hash), setup),
    ];
    #[cfg(feature = "bench-peers")]
    lanes.extend([
        Lane::new("quick_cache", &quick_cache, setup),
        Lane::new("moka", &moka, setup),
        Lane::new("dashmap", &dashmap, setup),
    ]);
    take_turns(&mut lanes, setup.places)?;
    let label = &setup.label;
    let (own, rivals) = lanes.split_first_mut().expect("the table's own lane");
    for rival in rivals {
        let name = format!("get_put_{label}_zipf_vs_{}", rival.name);
        let mut ratios: Vec<f64> = own.nanos.iter().zip(&rival.nanos).map(|(a, b)| a / b).collect();
        let figure = Figure::median(name, &mut ratios, "ratio", Better::Lower);
        report.add(match goal(setup.keys, rival.name) {
            Some(goal) => figure.with_goal(goal),
            None => figure,
        });
    }
    let name = format!("get_put_{label}_zipf");
    report.add(Figure::median(name, &mut own.nanos, "ns", Better::Lower));
    Ok(())
}

/// What the table's time over a rival's should be at most.
fn goal(keys: u32, rival: &str) -> Option<f64> {
    match (keys, rival) {
        (super::IN_CACHE, "hashbrown") => Some(1.3),
        (super::LARGE, "quick_cache") => Some(1.0),
        (super::LARGE, "moka") => Some(0.33),
        _ => None,
    }
}

/// Lets every lane run slice after slice of the same work.
fn take_turns(lanes: &mut [Lane<'_>], places: &[u32]) -> anyhow::Result<()> {
    let until = Instant::now() + BUDGET;
    for (rounds, slice) in places.chunks_exact(SLICE).cycle().enumerate() {
        if rounds >= LEAST_ROUNDS && Instant::now() >= until {
            break;
        }
        for lane in &mut *lanes {
            let spent = (lane.run)(slice)?;
            lane.nanos.push(nanos_each(spent, SLICE));
        }
    }
    Ok(())
}

/// Room for all keys of `setup` and a quarter more, so that none is evicted.
const fn room(setup: &Setup<'_>) -> u32 {
    setup.keys / 4 * 5
}

/// Empty peers.
#[cfg(feature = "bench-peers")]
fn peers(setup: &Setup<'_>) -> (QuickCache, Moka, DashMap) {
    let room = room(setup);
    (QuickCache::new(room as usize), Moka::new(u64::from(room)), DashMap::new())
}

/// The table's throughput on two threads, over quick_cache's.
#[cfg(feature = "bench-peers")]
pub(super) fn two_threads(report: &mut Report, setup: &Setup<'_>) -> anyhow::Result<()> {
    progress("two threads");
    let segue = Segue::for_records(room(setup), setup.value_bytes)?;
    let (quick_cache, ..) = peers(setup);
    let value = vec![7; setup.value_bytes];
    work::fill(&mut &segue, setup.keys, &value);
    work::fill(&mut &quick_cache, setup.keys, &value);
    let until = Instant::now() + BUDGET;
    let mut ratios = Vec::new();
    for slice in setup.places.chunks_exact(2 * SLICE).cycle() {
        if ratios.len() >= LEAST_ROUNDS && Instant::now() >= until {
            break;
        }
        let own = in_parallel([&segue; 2], slice, &value);
        let other = in_parallel([&quick_cache; 2], slice, &value);
        ratios.push(other.as_secs_f64() / own.as_secs_f64());
    }
    let name = format!("two_threads_{}_throughput_vs_quick_cache", setup.label);
    report.add(Figure::median(name, &mut ratios, "ratio", Better::Higher).with_goal(1.0));
    Ok(())
}

/// How long both halves of `places` take, each on a thread of its own.
#[cfg(feature = "bench-peers")]
fn in_parallel<C: Cache + Send>(caches: [C; 2], places: &[u32], value: &[u8]) -> Duration {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for (mut cache, places) in caches.into_iter().zip(places.chunks(places.len() / 2)) {
            scope.spawn(move || black_box(work::run(&mut cache, places, &mut value.to_vec())));
        }
    });
    started.elapsed()
}

#[cfg(not(feature = "bench-peers"))]
pub(super) const fn two_threads(_: &mut Report, _: &Setup<'_>) -> anyhow::Result<()> {
    Ok(())
}
