//! Runs seeds: `cargo run --release -p sim -- [FIRST] [COUNT]`, on every core;
//! `sim -- shares [FIRST COUNT]` those of farms whose nodes keep shares;
//! or measures a large farm: `cargo run --release -p sim -- farm [NODES]`,
//! and compares the figures with those in a file: `--check FILE`.
//! or asks for what needs one answer: `cargo run --release -p sim -- agree`;
//! or carries live connections from node to node: `sim -- connections`.
//! Failures and progress go to standard error, the sum to standard output.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command line")]

use std::num::NonZero;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often the progress is told.
const PROGRESS: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["farm"] => farm("1000", None),
        ["farm", nodes] => farm(nodes, None),
        ["farm", nodes, "--check", file] => farm(nodes, Some(file)),
        ["portions"] => Some(portions(None)),
        ["portions", "--check", file] => Some(portions(Some(file))),
        ["shares"] => seeds(sim::shares::run, "shares ", ["0", "1000"]),
        ["shares", first, count] => seeds(sim::shares::run, "shares ", [first, count]),
        ["agree"] => agree("0", "1000"),
        ["agree", first] => agree(first, "1000"),
        ["agree", first, count] => agree(first, count),
        ["connections"] => connections("0", "1000"),
        ["connections", "step", number, count] => {
            seeds(one_fault, "connections step ", [number, count])
        }
        ["connections", first] => connections(first, "1000"),
        ["connections", first, count] => connections(first, count),
        [] => seeds(whole, "", ["0", "1000"]),
        [first] => seeds(whole, "", [first, "1000"]),
        [first, count] => seeds(whole, "", [first, count]),
        _ => None,
    };
    outcome.unwrap_or_else(|| {
        eprintln!(
            "usage: sim [FIRST SEED] [HOW MANY]\n       sim shares [FIRST SEED] [HOW MANY]\n       \
             sim agree [FIRST SEED] [HOW MANY]\n       \
             sim connections [FIRST SEED] [HOW MANY]\n       sim farm [NODES] [--check FILE]\n       \
             sim portions [--check FILE]"
        );
        ExitCode::from(2)
    })
}

/// What a seed does, and what did not hold.
type Scenario = fn(u64) -> Result<(), String>;

/// The scenario of farms in which every node keeps everything.
fn whole(seed: u64) -> Result<(), String> {
    sim::scenario::run(seed).map(drop)
}

/// Runs seeds; none when these are no numbers.
fn seeds(scenario: Scenario, command: &'static str, [first, count]: [&str; 2]) -> Option<ExitCode> {
    let (first, count) = (first.parse().ok()?, count.parse().ok()?);
    let failed = Seeds::new(command, first, count).run(scenario);
    println!("{count} seeds from {first}, {failed} failed");
    Some(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs histories of what needs one answer, and one in ten in which majorities
/// die; none when these are no numbers.
fn agree(first: &str, count: &str) -> Option<ExitCode> {
    let (first, count) = (first.parse().ok()?, count.parse().ok()?);
    let sum = Mutex::new(sim::agree::scenario::Report::default());
    let failed = Seeds::new("agree ", first, count).run(|seed| {
        let report = sim::agree::scenario::run(seed)?;
        sum.lock().expect("no run panicked").add(&report);
        if seed % 10 == 0 { sim::agree::losses::run(seed) } else { Ok(()) }
    });
    println!("{count} histories from {first}, {failed} failed");
    println!("{}", sum.into_inner().expect("no run panicked"));
    Some(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One of the faults at one of the steps.
fn one_fault(number: u64) -> Result<(), String> {
    use sim::connections::{fault::Fault, scenario};
    let faults = Fault::ALL.len() as u64;
    let fault = Fault::ALL[usize::try_from(number % faults).expect("a handful")];
    scenario::short(Some((number / faults + 1, fault))).map(drop)
}

/// Runs one fault at each step of a short exchange, then seeds; none when these
/// are no numbers.
fn connections(first: &str, count: &str) -> Option<ExitCode> {
    use sim::connections::{fault::Fault, scenario};
    let (first, count) = (first.parse().ok()?, count.parse().ok()?);
    let steps = scenario::short(None).map_or(0, |report| report.steps);
    let faults = Fault::ALL.len() as u64;
    let failed_steps = Seeds::new("connections step ", 0, steps * faults).run(one_fault);
    println!("{faults} faults at each of {steps} steps, {failed_steps} failed");
    let sum = Mutex::new(sim::connections::world::Report::default());
    let failed = Seeds::new("connections ", first, count).run(|seed| {
        let report = scenario::run(seed)?;
        sum.lock().expect("no run panicked").add(&report);
        Ok(())
    });
    println!("{count} seeds from {first}, {failed} failed");
    println!("{}", sum.into_inner().expect("no run panicked"));
    let right = steps > 0 && failed_steps + failed == 0;
    Some(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Measures a farm, and compares the figures with those in a file; none when
/// its size is no number.
fn farm(nodes: &str, expected: Option<&str>) -> Option<ExitCode> {
    let measured = sim::crowd::measure(nodes.parse().ok()?).map(|report| report.to_string());
    Some(compared(measured, expected))
}

/// Measures portions at size, and compares the figures with those in a file.
fn portions(expected: Option<&str>) -> ExitCode {
    compared(Ok(sim::portions::measure().to_string()), expected)
}

/// Prints figures; fails when there are none, or a file has others.
fn compared(measured: Result<String, String>, expected: Option<&str>) -> ExitCode {
    let problem = match (measured, expected) {
        (Err(what), _) => Some(what),
        (Ok(measured), None) => {
            print!("{measured}");
            None
        }
        (Ok(measured), Some(file)) => {
            print!("{measured}");
            match std::fs::read_to_string(file) {
                Err(error) => Some(format!("{file}: {error}")),
                Ok(expected) if expected != measured => Some(format!(
                    "{file} has other figures; if these are better, put them there:\n{expected}"
                )),
                Ok(_) => None,
            }
        }
    };
    match problem {
        None => ExitCode::SUCCESS,
        Some(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

/// Seeds on their way through the cores. No run knows of another.
struct Seeds {
    /// What stands before the seed in the command that replays it.
    command: &'static str,
    first: u64,
    count: u64,
    /// How many were taken up.
    taken: AtomicU64,
    tally: Mutex<Tally>,
}

/// What came of them so far.
struct Tally {
    done: u64,
    failed: u64,
    began: Instant,
    told: Instant,
}

impl Seeds {
    fn new(command: &'static str, first: u64, count: u64) -> Self {
        let began = Instant::now();
        let tally = Tally { done: 0, failed: 0, began, told: began };
        Self { command, first, count, taken: AtomicU64::new(0), tally: Mutex::new(tally) }
    }

    /// Runs all of them. Gives how many failed.
    fn run<T>(self, run: impl Fn(u64) -> Result<T, String> + Sync) -> u64 {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| {
            (0..cores).for_each(|_| {
                scope.spawn(|| while self.run_next(&run) {});
            });
        });
        self.tally.into_inner().expect("no run panicked").failed
    }

    /// Runs the next seed; false when there is none.
    fn run_next<T>(&self, run: impl Fn(u64) -> Result<T, String>) -> bool {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        if taken >= self.count {
            return false;
        }
        let seed = self.first.saturating_add(taken);
        let outcome = run(seed).err().map(|what| {
            let command = self.command;
            format!("{what}\nagain by: cargo run --release -p sim -- {command}{seed} 1")
        });
        self.tally.lock().expect("no run panicked").take(seed, outcome);
        true
    }
}

impl Tally {
    /// Counts a seed that was run, and what did not hold in it.
    fn take(&mut self, seed: u64, what: Option<String>) {
        self.done += 1;
        if let Some(what) = what {
            self.failed += 1;
            eprintln!("seed {seed} at commit {}: {what}", commit());
        }
        if self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            let Self { done, failed, .. } = self;
            let per_second = *done / self.began.elapsed().as_secs().max(1);
            eprintln!("{done} seeds done, {failed} failed, {per_second} a second");
        }
    }
}

fn commit() -> String {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    output.map_or_else(
        |_| "unknown".into(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
