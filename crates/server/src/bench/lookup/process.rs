//! The other process: it is told one line, says one, and serves until its
//! standard input ends.

use std::io::{self, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use clap::ValueEnum as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

use super::{PATIENCE, Role};

/// A process of that role. Dropped, it is killed.
pub(super) struct Process(Child);

impl Process {
    /// Starts it, tells it something, and waits for what it says once it
    /// serves.
    pub(super) async fn start<T: DeserializeOwned>(
        role: Role,
        told: &impl Serialize,
    ) -> anyhow::Result<(Self, T)> {
        let mut command = Command::new(std::env::current_exe()?);
        let role = role.to_possible_value().context("every role has a name")?;
        command.arg("bench-holder").arg(role.get_name());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        sys::process::die_with_parent(&mut command);
        let mut process = Self(command.spawn().context("another process")?);
        let orders = process.0.stdin.as_mut().context("standard input is piped")?;
        serde_json::to_writer(&mut *orders, told)?;
        writeln!(orders)?;
        let said = process.0.stdout.take().context("standard output is piped")?;
        let said = tokio::process::ChildStdout::from_std(said)?;
        let line = timeout(PATIENCE, BufReader::new(said).lines().next_line()).await??;
        let line = line.context("the other process has ended: see above")?;
        Ok((process, serde_json::from_str(&line)?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It fails when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What this process was told.
pub(super) fn told<T: DeserializeOwned>() -> anyhow::Result<T> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// Says what the other process waits for.
pub(super) fn say(what: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// Waits until nobody wants this process any more.
pub(super) fn until_unwanted() -> anyhow::Result<()> {
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
