//! BUZhash beside SipHash-1-3, the standard library's hash.

use std::hash::{DefaultHasher, Hasher as _};
use std::hint::black_box;
use std::time::Duration;

use proto::buzhash::BuzHash;
use sys::process::thread_cpu_time;

use super::super::report::{Better, Figure, Report};
use super::work::{Id, id, nanos_each};

/// How many ids a round hashes: 128 KiB of them, which stay in cache.
const IDS: u32 = 4_096;
const ROUNDS: usize = 2_001;

/// Throughput on 32 bytes, in time per hash.
pub(super) fn against_siphash(report: &mut Report) -> anyhow::Result<()> {
    let hash = BuzHash::new(&[1; 32]);
    let ids: Vec<Id> = (0..IDS).map(id).collect();
    let mut ratios = Vec::with_capacity(ROUNDS);
    let mut nanos = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let own = time(&ids, |id| hash.hash(id))?;
        let other = time(&ids, |id| {
            let mut hasher = DefaultHasher::new();
            hasher.write(id);
            hasher.finish()
        })?;
        ratios.push(own.as_secs_f64() / other.as_secs_f64());
        nanos.push(nanos_each(own, ids.len()));
    }
    report.add(Figure::median("buzhash_32b", &mut nanos, "ns", Better::Lower));
    report.add(
        Figure::median("buzhash_32b_vs_siphash13", &mut ratios, "ratio", Better::Lower)
            .with_goal(0.9),
    );
    Ok(())
}

/// How long `hash` takes for all of `ids`, as slices of a length that is not
/// known beforehand: ids are of any length.
fn time(ids: &[Id], hash: impl Fn(&[u8]) -> u64) -> anyhow::Result<Duration> {
    let before = thread_cpu_time()?;
    let sum = ids.iter().fold(0, |sum, id| sum ^ hash(black_box(id.as_slice())));
    black_box(sum);
    Ok(thread_cpu_time()? - before)
}
