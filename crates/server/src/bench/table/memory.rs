//! What an entry takes of memory, what a capacity is good for, and what the
//! pages' size does.

use std::hint::black_box;
use std::process;
use std::time::{Duration, Instant};

use proto::rng::Rng;
use sys::process::{resident_bytes, thread_cpu_time};

use super::super::report::{Better, Figure, Report, progress};
use super::caches::Segue;
#[cfg(feature = "bench-peers")]
use super::caches::peers::{Moka, QuickCache};
use super::work::{self, Cache, PUT_EVERY, id, nanos_each};

/// The values' size where it is not said.
const VALUE_BYTES: usize = 200;
/// What a record holds of its user's: an id and a value.
const CONTENT_BYTES: usize = 32 + VALUE_BYTES;

/// By how much the process grows for each record of a full table, less what
/// the record holds. First of all, while the process is small.
pub(super) fn overhead(report: &mut Report) -> anyhow::Result<()> {
    const CAPACITY: usize = 128 << 20;
    let before = resident_bytes(process::id())?;
    let segue = Segue::in_small_pages(CAPACITY);
    let records = u32::try_from(CAPACITY / CONTENT_BYTES)?;
    work::fill(&mut &segue, 2 * records, &[7; VALUE_BYTES]);
    let grown = resident_bytes(process::id())?.saturating_sub(before);
    let each = grown as f64 / segue.records() as f64 - CONTENT_BYTES as f64;
    let figure = Figure::median("overhead_200b", &mut [each], "bytes", Better::Lower);
    report.add(figure.with_goal(60.0));
    Ok(())
}

/// How many gets hit when a quarter of the keys fits, after as much work for
/// warming. What a get misses is put.
pub(super) fn hit_rate(report: &mut Report, keys: u32) -> anyhow::Result<()> {
    progress("hit rate");
    let quarter = keys / 4;
    let places = &work::zipf(keys, 2 * work::USES, 2);
    let segue = Segue::for_records(quarter, VALUE_BYTES)?;
    let own = hits(&mut &segue, places);
    let held = segue.records();
    anyhow::ensure!(held <= u64::from(quarter), "{held} records held, more than a quarter");
    report.add(rate("hit_rate_quarter", own).with_goal(0.86));
    #[cfg(feature = "bench-peers")]
    {
        let quick_cache = hits(&mut &QuickCache::new(quarter as usize), places);
        report.add(rate("hit_rate_quarter_quick_cache", quick_cache));
        let moka = hits(&mut &Moka::new(u64::from(quarter)), places);
        report.add(rate("hit_rate_quarter_moka", moka));
    }
    Ok(())
}

fn rate(name: &str, rate: f64) -> Figure {
    Figure::median(name, &mut [rate], "of gets", Better::Higher)
}

fn hits(cache: &mut impl Cache, places: &[u32]) -> f64 {
    let mut value = [7; VALUE_BYTES];
    let mut serve = |places: &[u32]| {
        let mut hits = 0_u32;
        let mut gets = 0_u32;
        for (number, &place) in places.iter().enumerate() {
            let id = id(place);
            if number % PUT_EVERY == PUT_EVERY - 1 {
                cache.put(&id, &value);
                continue;
            }
            gets += 1;
            if cache.get(&id, &mut value) {
                hits += 1;
            } else {
                cache.put(&id, &value);
            }
        }
        f64::from(hits) / f64::from(gets)
    };
    let (warming, measured) = places.split_at(places.len() / 2);
    serve(warming);
    serve(measured)
}

/// A look-up of any key of a large table in huge pages, over the same in
/// small ones.
pub(super) fn huge_pages(report: &mut Report) -> anyhow::Result<()> {
    const CAPACITY: usize = 1 << 30;
    const SLICE: u64 = 200_000;
    const BUDGET: Duration = Duration::from_secs(4);
    progress("huge pages");
    let keys = u32::try_from(CAPACITY / (CONTENT_BYTES + 60))?;
    let [in_huge, in_small] = [Segue::in_huge_pages(CAPACITY)?, Segue::in_small_pages(CAPACITY)];
    for mut segue in [&in_huge, &in_small] {
        work::fill(&mut segue, keys, &[7; VALUE_BYTES]);
    }
    let mut rng = Rng::from_u64(3);
    let mut gets = |mut segue: &Segue| -> anyhow::Result<f64> {
        let mut value = [0; VALUE_BYTES];
        let before = thread_cpu_time()?;
        for _ in 0..SLICE {
            let place = u32::try_from(rng.below(u64::from(keys))).expect("below a u32");
            black_box(segue.get(&id(place), &mut value));
        }
        Ok(nanos_each(thread_cpu_time()? - before, usize::try_from(SLICE)?))
    };
    let [mut huge, mut small, mut ratios] = [const { Vec::new() }; 3];
    let until = Instant::now() + BUDGET;
    while Instant::now() < until {
        let pair = [gets(&in_huge)?, gets(&in_small)?];
        huge.push(pair[0]);
        small.push(pair[1]);
        ratios.push(pair[0] / pair[1]);
    }
    report.add(Figure::median("random_get_1gib", &mut huge, "ns", Better::Lower));
    report.add(Figure::median("random_get_1gib_small_pages", &mut small, "ns", Better::Lower));
    let name = "random_get_1gib_huge_pages_vs_small";
    report.add(Figure::median(name, &mut ratios, "ratio", Better::Lower));
    Ok(())
}
