//! `segue keygen`: a farm key in a file of its own.

use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::Context;

use crate::keyfile;

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
