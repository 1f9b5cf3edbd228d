//! The form of a bench's figures: one JSON object, or a table to read.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

/// What a bench found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    bench: &'static str,
    machine: Machine,
    seconds: f64,
    figures: Vec<Figure>,
    /// Peers that are not installed; their figures are left out.
    missing: Vec<&'static str>,
    #[serde(skip)]
    started: Instant,
}

/// What a bench ran on.
#[derive(Debug, Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
}

/// One figure.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    /// What it should reach; `None` for one that is told for comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) goal: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) holds: Option<bool>,
    /// How many runs the value is the median of.
    pub(crate) runs: usize,
}

/// Which way a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Lower,
    Higher,
}

impl Figure {
    /// The median of `runs`, in `unit`.
    pub(crate) fn median(
        name: impl Into<String>,
        runs: &mut [f64],
        unit: &'static str,
        better: Better,
    ) -> Self {
        runs.sort_unstable_by(f64::total_cmp);
        let value = runs[runs.len() / 2];
        Self { name: name.into(), value, unit, better, goal: None, holds: None, runs: runs.len() }
    }

    /// The same figure, with what it should reach.
    pub(crate) fn with_goal(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self.holds = Some(match self.better {
            Better::Lower => self.value <= goal,
            Better::Higher => self.value >= goal,
        });
        self
    }
}

impl Report {
    /// An empty report whose clock runs.
    pub(crate) fn new(bench: &'static str) -> Self {
        Self {
            bench,
            machine: Machine::this(),
            seconds: 0.0,
            figures: Vec::new(),
            missing: Vec::new(),
            started: Instant::now(),
        }
    }

    /// Takes a figure in, and tells of it on standard error.
    pub(crate) fn add(&mut self, figure: Figure) {
        let Figure { name, value, unit, .. } = &figure;
        progress(&format!("{name}: {value:.3} {unit}"));
        self.figures.push(figure);
    }

    /// Names a peer that is not there.
    pub(crate) fn miss(&mut self, peer: &'static str) {
        self.missing.push(peer);
    }

    /// Prints the report on standard output, as JSON or to read.
    ///
    /// # Errors
    ///
    /// Those of writing to standard output.
    pub(crate) fn print(mut self, json: bool) -> anyhow::Result<()> {
        self.seconds = self.started.elapsed().as_secs_f64();
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, &self)?;
            writeln!(out)?;
        } else {
            self.write_table(&mut out)?;
        }
        Ok(())
    }

    fn write_table(&self, out: &mut impl io::Write) -> io::Result<()> {
        let Machine { cpu, cores, kernel } = &self.machine;
        writeln!(out, "bench {} on {cpu}, {cores} cores, Linux {kernel}", self.bench)?;
        let widest = self.figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
        for Figure { name, value, unit, better, goal, holds, .. } in &self.figures {
            write!(out, "{name:widest$}  {value:>10.3} {unit:<12}")?;
            let bound = if *better == Better::Lower { "at most" } else { "at least" };
            match (goal, holds) {
                (Some(goal), Some(true)) => writeln!(out, "  goal: {bound} {goal}, holds")?,
                (Some(goal), _) => writeln!(out, "  goal: {bound} {goal}, MISSED")?,
                (None, _) => writeln!(out)?,
            }
        }
        if !self.missing.is_empty() {
            writeln!(out, "not installed: {}", self.missing.join(", "))?;
        }
        writeln!(out, "{:.0} s", self.seconds)
    }
}

impl Machine {
    fn this() -> Self {
        let cpu = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cpu, cores, kernel: read("/proc/sys/kernel/osrelease").trim().to_owned() }
    }
}

/// Tells how far a bench has come, on standard error.
pub(crate) fn progress(message: &str) {
    // Without a standard error there is nobody to tell.
    let _ = writeln!(io::stderr(), "{message}");
}

/// The content of a file of the kernel's; nothing where it has none.
fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
