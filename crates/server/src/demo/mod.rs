//! `segue demo`: the whole system on this machine, row by row of the mission.
//!
//! Real `segue serve` processes, real TLS clients, nodes killed for real. In
//! reading order: [`ground`] the directory that it all stands on, [`node`] one
//! process and [`farm`] all of them, [`client`] and [`openssl`] who visits
//! them, [`hash_table`] what a cache memory is, [`steps`] how it is told,
//! [`script`] what happens, [`portions`] when nodes keep parts only,
//! [`shop`] what users leave with them, and [`downloads`] when connections go on.

mod client;
mod downloads;
mod farm;
mod ground;
mod hash_table;
mod node;
mod openssl;
mod portions;
mod script;
mod shop;
mod steps;

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::ground::{Ground, SERVER_NAME};
use crate::cli;
pub(crate) use client::Version;
pub(crate) use farm::Farm;
pub(crate) use node::{Node, Portion};
use steps::Steps;

/// Shows everything.
///
/// # Errors
///
/// When a step does not hold, or the demo is interrupted. No process and no
/// file is left behind.
pub(crate) fn run(options: &cli::Demo) -> anyhow::Result<()> {
    // One thread, which lives as long as the process: the kernel ends the
    // nodes together with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // Whichever ends it, dropping the farm ends the nodes.
        tokio::select! {
            outcome = show(options) => outcome,
            _ = terminate.recv() => bail!("terminated"),
            _ = interrupt.recv() => bail!("interrupted"),
        }
    })
}

async fn show(options: &cli::Demo) -> anyhow::Result<()> {
    let mut steps = Steps::new(options.json);
    let mut farm = Farm::new()?;
    steps.say(&format!(
        "A farm of {} nodes on this machine, multicasting to {} on loopback.\n",
        options.nodes,
        farm.group()
    ))?;
    script::play(&mut steps, &mut farm, usize::from(options.nodes)).await?;
    steps.finish()?;
    if options.keep_running {
        farm.describe(&steps)?;
        std::future::pending::<()>().await;
    }
    farm.stop().await
}
