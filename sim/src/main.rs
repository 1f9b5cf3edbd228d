//! Runs seeds: `cargo run --release -p sim -- [FIRST] [COUNT]`.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command line")]

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let (Ok(first), Ok(count)) =
        (arguments.next().unwrap_or(Ok(0)), arguments.next().unwrap_or(Ok(1_000)))
    else {
        eprintln!("usage: sim [FIRST SEED] [HOW MANY]");
        return ExitCode::from(2);
    };
    let mut failed = 0;
    for seed in first..first.saturating_add(count) {
        if let Err(what) = sim::scenario::run(seed) {
            failed += 1;
            eprintln!("seed {seed} at commit {}: {what}", commit());
        }
    }
    println!("{count} seeds from {first}, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn commit() -> String {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    output.map_or_else(
        |_| "unknown".into(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
