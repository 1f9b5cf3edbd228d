//! `segue bench table`: the hash and the table, beside others' on the same
//! work in the same run.
//!
//! The work is nine gets to one put, 32-byte ids drawn by Zipf's law with
//! exponent 0.99. Each cache runs a slice of it in turn, over and over, and a
//! ratio is the median over those rounds: whatever else the machine does
//! meanwhile falls on all of them. Times are CPU times of the thread, but for
//! the two threads' throughput.

mod caches;
mod hash;
mod memory;
mod speed;
mod work;

use super::report::Report;
use speed::Setup;

/// What fits a second-level cache and its surroundings.
const IN_CACHE: u32 = 20_000;
/// What fits no cache.
const LARGE: u32 = 1_000_000;

/// Measures and prints.
///
/// # Errors
///
/// When the system has no memory for the tables, or standard output is gone.
pub(crate) fn run(json: bool) -> anyhow::Result<()> {
    let mut report = Report::new("table");
    memory::overhead(&mut report)?;
    hash::against_siphash(&mut report)?;
    for (keys, label) in [(IN_CACHE, "20k"), (100_000, "100k"), (LARGE, "1m")] {
        let places = work::zipf(keys, work::USES, 1);
        let setup = |value_bytes, label| Setup { keys, value_bytes, label, places: &places };
        speed::race(&mut report, &setup(200, label.to_owned()))?;
        if keys != IN_CACHE {
            speed::race(&mut report, &setup(1_000, format!("{label}_1kb")))?;
        }
        if keys == LARGE {
            speed::two_threads(&mut report, &setup(200, label.to_owned()))?;
            memory::hit_rate(&mut report, keys)?;
        }
    }
    memory::huge_pages(&mut report)?;
    if !cfg!(feature = "bench-peers") {
        for peer in ["quick_cache", "moka", "dashmap"] {
            report.miss(peer);
        }
    }
    report.print(json)
}
