//! Logs: `tracing` events as lines on standard error.

use std::io::IsTerminal;

use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Format, Log};

/// The running log, whose level can be changed.
#[derive(Debug)]
pub(crate) struct Logging(Handle<Targets, Registry>);

impl Logging {
    /// Starts writing events to standard error, for this whole process.
    ///
    /// # Panics
    ///
    /// When the process has a log already.
    pub(crate) fn start(log: &Log) -> Self {
        let (filter, handle) = reload::Layer::new(log.level.0.clone());
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let registry = tracing_subscriber::registry().with(filter);
        match log.format {
            Format::Text => registry.with(lines.with_ansi(has_colours())).init(),
            Format::Json => registry.with(lines.json().flatten_event(true)).init(),
        }
        Self(handle)
    }

    /// Logs what `log` asks for from here on. The format stays.
    pub(crate) fn reload(&self, log: &Log) {
        self.0.reload(log.level.0.clone()).expect("the log lives as long as the process");
    }
}

/// Whether standard error shows colours: a terminal, and nobody objects
/// (<https://no-color.org>).
fn has_colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
