//! `segue keygen`: a farm key in a file of its own, and the next one after it.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use proto::keyring::FarmKey;

use crate::config::{Config, Sources};
use crate::keyfile::{self, Step};

/// Writes a new key to `path` and says so on standard output.
///
/// # Errors
///
/// When the file exists or cannot be written.
pub(crate) fn run(path: &Path) -> anyhow::Result<()> {
    keyfile::create(path).map_err(|error| {
        let exists = error.kind() == ErrorKind::AlreadyExists;
        let error = anyhow::Error::new(error).context(format!("{}", path.display()));
        if exists {
            error.context("a farm key is never overwritten: choose another name with --out")
        } else {
            error
        }
    })?;
    writeln!(
        std::io::stdout(),
        "{}: new farm key; copy it to every node of the farm, readable by its owner only",
        path.display()
    )
    .context("standard output")
}

/// Takes the next step of a rotation in the key file `path`, or else in the
/// one that a configuration names, and says on standard output what comes
/// then.
///
/// # Errors
///
/// When the configuration cannot be used or names no one file, and when that
/// is no key file or cannot be replaced.
pub(crate) fn rotate(path: PathBuf, config: Option<PathBuf>) -> anyhow::Result<()> {
    let path = match config {
        Some(config) => configured(config)?,
        None => path,
    };
    let (keys, step) = keyfile::rotate(&path).map_err(|error| {
        let remedy = error.remedy(&path);
        anyhow::Error::new(error).context(format!("{}: {remedy}", path.display()))
    })?;
    let ids: Vec<u8> = keys.keys().map(|key: FarmKey| key.id()).collect();
    let (done, next) = match (step, ids.as_slice()) {
        (Step::Installed, [old, new]) => {
            (format!("key {new} is installed beside key {old}, which seals"), "switch to it")
        }
        (Step::Switched, [new, old]) => {
            (format!("key {new} seals; key {old} only opens"), "retire the old one")
        }
        (_, ids) => (format!("only key {} is left", ids[0]), "begin another rotation"),
    };
    writeln!(
        std::io::stdout(),
        "{}: {done}; copy the file to every node and send each SIGHUP; when all of them have \
         it, `segue keygen --rotate` again will {next}",
        path.display()
    )
    .context("standard output")
}

/// The one key file of a configuration.
fn configured(file: PathBuf) -> anyhow::Result<PathBuf> {
    let place = file.display().to_string();
    let config = Config::load(&Sources::of_process(Some(file), Vec::new()))?;
    let mut paths = config.sections.farm.keys.0;
    match (paths.pop(), paths.is_empty()) {
        (Some(path), true) => Ok(path),
        (None, _) => bail!("{place}: farm.keys: found no key file, expected one to rotate"),
        (Some(_), false) => bail!(
            "{place}: farm.keys: found several key files, expected one: choose the one to rotate \
             with --out"
        ),
    }
}
