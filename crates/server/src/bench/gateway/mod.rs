//! `segue bench gateway`: what a session store costs, beside those that it
//! takes the place of.
//!
//! Real processes, in one run and in turns ([`servers`]): a node, Redis,
//! Valkey and memcached where they are installed, and a loop that answers
//! without a cache ([`floor`]). One load for all of them ([`speech`],
//! [`load`]). Measured is the processor time of the server's process, and how
//! long its clients wait ([`costs`]); what a second node adds and when it has
//! a write ([`replicas`]); and the memory of many sessions ([`memory`]). What
//! is told are medians over rounds, and of ratios the medians of each round's.

mod costs;
mod floor;
mod load;
mod memory;
mod options;
mod replicas;
mod servers;
mod speech;

use super::report::Report;
pub(crate) use floor::serve as floor;
pub(crate) use options::Options;
use options::Part;

/// The size of a session.
const VALUE_BYTES: usize = 200;
/// How many clients there are.
const CONNECTIONS: usize = 50;
/// How many sessions are asked for: with Segue's and the peers' own bytes they
/// are more than a processor's second cache holds.
const KEYS: u32 = 10_000;

/// Measures, and prints what it found.
///
/// # Errors
///
/// When a server does not start, or does not answer as it has to.
pub(crate) fn run(options: &Options, json: bool) -> anyhow::Result<()> {
    let mut report = Report::new("gateway");
    let directory = tempfile::Builder::new().prefix("segue-bench-").tempdir()?;
    let is_asked = |part| options.only.is_none_or(|only| only == part);
    if is_asked(Part::Costs) {
        costs::measure(options, directory.path(), &mut report)?;
    }
    if is_asked(Part::Replication) {
        replicas::measure(options, directory.path(), &mut report)?;
    }
    if is_asked(Part::Memory) {
        memory::measure(options, directory.path(), &mut report)?;
    }
    report.print(json)
}
