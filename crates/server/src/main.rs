//! The `segue` binary: a node of the farm, and the commands around it.
//!
//! In reading order: [`cli`] what can be asked; [`config`] and [`keyfile`]
//! what a node is told; [`serve`] the node itself, with its [`front`], its [`gateway`],
//! [`admin`] page, [`metrics`] and live [`connections`]; [`status`], [`top`], [`sessions`],
//! [`drain`], [`check`] and [`keygen`] for its operators; [`demo`] and [`bench`] to see it work and measure it.

mod admin;
mod bench;
mod check;
mod cli;
mod config;
mod connections;
mod demo;
mod drain;
mod front;
mod gateway;
mod http;
mod keyfile;
mod keygen;
mod log;
mod manual;
mod metrics;
mod password;
mod ready;
mod serve;
mod sessions;
mod status;
mod token_file;
mod top;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

/// Exit status of a command that could not do its work.
const FAILED: u8 = 1;

/// Exit status of a configuration that cannot be used; clap exits with the
/// same for options.
const MISUSED: u8 = 2;

/// Who has written a wrong key looks for the right one.
const REFERENCE: &str = "every key: segue man --configuration | man -l -";

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a standard error there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            let misused = error.is::<config::Faults>();
            if misused {
                let _ = writeln!(std::io::stderr(), "{REFERENCE}");
            }
            ExitCode::from(if misused { MISUSED } else { FAILED })
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve { given, drill } => serve::run(&given.into(), drill),
        Command::Demo(given) => demo::run(&given),
        Command::Bench(given) => bench::run(&given),
        Command::BenchPeer(options) => bench::tls::peer(&options),
        Command::BenchMember => bench::multicast::member(),
        Command::BenchHolder { role } => bench::lookup::holder(role),
        Command::BenchFloor => bench::gateway::floor(),
        // What it cannot take away is beyond anybody who could be told.
        Command::Guard { queue } => Ok(live::guard(queue)?),
        Command::Keygen { out, rotate: true, config } => keygen::rotate(out, config),
        Command::Keygen { out, rotate: false, .. } => keygen::run(&out),
        Command::Check(given) => check::run(&given.into()),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { configuration: false, .. } => manual::page(),
        Command::Man { configuration: true, markdown } => manual::configuration(markdown),
        Command::Drain(given) => drain::run(&given),
        Command::Sessions(options) => sessions::run(&options),
        Command::Status(given) => status::run(&given),
        Command::Top(given) => top::run(given),
    }
}
