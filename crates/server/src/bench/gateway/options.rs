//! What `segue bench gateway` is told on the command line.

use std::time::Duration;

use clap::{Args, ValueEnum};

/// Options of `segue bench gateway`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often everything is measured, in turns
    #[arg(long, value_name = "COUNT", default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// How long one server is measured at a time
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = humantime::parse_duration)]
    pub(crate) slice: Duration,
    /// How many sessions are held when memory is measured
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    pub(crate) sessions: u32,
    /// Measure only this
    #[arg(long, value_name = "PART")]
    pub(crate) only: Option<Part>,
}

impl Default for Options {
    /// As without options.
    fn default() -> Self {
        Self { rounds: 11, slice: Duration::from_millis(100), sessions: 1_000_000, only: None }
    }
}

/// A part of `segue bench gateway` that can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// What an operation costs a server by itself
    Costs,
    /// What a second server adds, and when it has a write
    Replication,
    /// What many sessions take
    Memory,
}
