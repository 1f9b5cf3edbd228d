//! `segue check`: whether a configuration can be used, without using it.

use std::io::Write;

use anyhow::Context;

use crate::config::{Config, Sources};
use crate::keyfile::Keys;

/// Judges what `sources` give and says that it is good; on standard error what
/// is probably not meant so, and what this machine lacks for it.
///
/// # Errors
///
/// [`Faults`](crate::config::Faults) when it is not good.
pub(crate) fn run(sources: &Sources) -> anyhow::Result<()> {
    let config = Config::load(sources)?;
    let place = match &sources.file {
        Some(path) => path.display().to_string(),
        None => "no configuration file".to_owned(),
    };
    let mut out = std::io::stdout();
    let said =
        writeln!(out, "{place}: good, for node {}", config.name).and_then(|()| {
            match &config.keyring {
                Some(keyring) => writeln!(out, "farm key {}", Keys(keyring)),
                None => Ok(()),
            }
        });
    said.context("standard output")?;
    for warning in config.warnings.iter().cloned().chain(missing(&config)) {
        // Without a standard error there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    Ok(())
}

/// What this machine lacks for `[connections]`, if that is asked for.
fn missing(config: &Config) -> Vec<String> {
    if config.sections.connections.is_none() {
        return Vec::new();
    }
    let missing = sys::requirements::requirements();
    missing.iter().map(|missing| format!("connections: {missing}")).collect()
}
