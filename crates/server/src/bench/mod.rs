//! Segue's own measurements: `segue bench`.
//!
//! A bench measures and reports; whether a goal is met is the reader's
//! business, so it ends well whatever it found.

mod connections;
pub(crate) mod gateway;
pub(crate) mod lookup;
pub(crate) mod multicast;
mod report;
mod table;
pub(crate) mod tls;

use crate::cli::{Bench, MulticastBench, Subject};

/// Runs the bench that is asked for, or one after the other all that need nothing
/// of the machine: live connections take root, and are asked for by name.
///
/// # Errors
///
/// When something could not be measured.
pub(crate) fn run(given: &Bench) -> anyhow::Result<()> {
    let json = given.json;
    match &given.subject {
        Some(Subject::Table) => table::run(json),
        Some(Subject::Multicast(options)) => multicast::run(options, json),
        Some(Subject::Tls) => tls::run(json),
        Some(Subject::Lookup) => lookup::run(json),
        Some(Subject::Gateway(options)) => gateway::run(options, json),
        Some(Subject::Connections(options)) => connections::run(options, json),
        None => {
            table::run(json)?;
            multicast::run(&MulticastBench::default(), json)?;
            tls::run(json)?;
            lookup::run(json)?;
            gateway::run(&gateway::Options::default(), json)
        }
    }
}
