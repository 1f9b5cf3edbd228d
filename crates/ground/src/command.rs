//! What is asked of the system's own programs, such as `ip` and `iptables`. It
//! happens in the network of the thread that asks.

use std::io;
use std::process::Command;

/// A program that did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("{command}: {why}")]
pub struct CommandError {
    command: String,
    why: String,
}

/// Runs a command, its words apart by one space each, and gives what it says.
///
/// # Errors
///
/// When it is not installed, or fails: with what it said.
pub fn run(command: &str) -> Result<String, CommandError> {
    let failed = |why| CommandError { command: command.to_owned(), why };
    let mut words = command.split(' ');
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).output().map_err(|error| {
        failed(if error.kind() == io::ErrorKind::NotFound {
            format!("the command `{program}` is not installed")
        } else {
            error.to_string()
        })
    })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}
