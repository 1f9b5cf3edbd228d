//! `segue check`: whether a configuration can be used, without using it.

use std::io::Write;

use anyhow::Context;

use crate::config::{Config, Sources};
use crate::keyfile::Keys;

/// Judges what `sources` give and says that it is good.
///
/// # Errors
///
/// [`Faults`](crate::config::Faults) when it is not.
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
    said.context("standard output")
}
