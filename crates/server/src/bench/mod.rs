//! Segue's own measurements: `segue bench`.
//!
//! A bench measures and reports; whether a goal is met is the reader's
//! business, so it ends well whatever it found.

mod report;
mod table;
pub(crate) mod tls;

use clap::ValueEnum as _;

use crate::cli::{Bench, Subject};

/// Runs the bench that is asked for, or all of them one after the other.
///
/// # Errors
///
/// When something could not be measured.
pub(crate) fn run(given: &Bench) -> anyhow::Result<()> {
    let all = Subject::value_variants();
    let subjects = given.subject.as_ref().map_or(all, std::slice::from_ref);
    for subject in subjects {
        match subject {
            Subject::Table => table::run(given.json)?,
            Subject::Tls => tls::run(given.json)?,
        }
    }
    Ok(())
}
