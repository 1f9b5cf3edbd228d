//! The steps of the demo as they are printed: what was shown, how long it
//! took, whether it held.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};

/// How wide the text of a step is, in characters; longer ones push their
/// times to the right.
const STEP_WIDTH: usize = 62;

/// What a step found out: an object, name by name.
pub(crate) type Detail = Value;

/// One finished step, as `segue demo --json` prints it.
#[derive(Debug, Serialize)]
struct Step<'a> {
    /// The mission's row that it shows.
    row: &'a str,
    step: &'a str,
    /// How long it took, in milliseconds.
    ms: f64,
    ok: bool,
    detail: Detail,
}

/// Prints steps and counts them.
#[derive(Debug)]
pub(crate) struct Steps {
    style: Style,
    began: Instant,
    held: usize,
    skipped: usize,
}

/// How steps are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Json,
    Plain,
    Coloured,
}

impl Steps {
    /// Prints to standard output, as JSON or for people.
    pub(crate) fn new(json: bool) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let style = if json {
            Style::Json
        } else if std::io::stdout().is_terminal() && !no_colour {
            Style::Coloured
        } else {
            Style::Plain
        };
        Self { style, began: Instant::now(), held: 0, skipped: 0 }
    }

    /// A line for people only.
    pub(crate) fn say(&self, line: &str) -> anyhow::Result<()> {
        match self.style {
            Style::Json => Ok(()),
            Style::Plain | Style::Coloured => print(line),
        }
    }

    /// Carries out a step and prints it.
    ///
    /// # Errors
    ///
    /// When the step did not hold: what comes after it would mean nothing.
    pub(crate) async fn step<T>(
        &mut self,
        row: &str,
        step: &str,
        work: impl Future<Output = anyhow::Result<(T, Detail)>>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        let result = work.await;
        let took = begun.elapsed();
        match result {
            Ok((value, detail)) => {
                self.held += 1;
                self.print(row, step, took, Ok(detail))?;
                Ok(value)
            }
            Err(error) => {
                self.print(row, step, took, Err(&error))?;
                Err(error.context(format!("step {row} did not hold: {step}")))
            }
        }
    }

    /// Says of a step that it cannot be shown here, and why. It counts neither as
    /// held nor as failed.
    pub(crate) fn skip(&mut self, row: &str, step: &str, why: &str) -> anyhow::Result<()> {
        self.skipped += 1;
        match self.style {
            Style::Json => print(&json!({ "row": row, "step": step, "skipped": why }).to_string()),
            Style::Plain | Style::Coloured => {
                print(&format!("{row:<3} {step}: not shown here\n    {why}"))
            }
        }
    }

    /// Says that all steps held.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        let skipped = match self.skipped {
            0 => String::new(),
            some => format!(" Not shown here: {some}."),
        };
        self.say(&format!("\nEvery step held: {} in {seconds:.1} s.{skipped}", self.held))
    }

    fn print(
        &self,
        row: &str,
        step: &str,
        took: Duration,
        result: Result<Detail, &anyhow::Error>,
    ) -> anyhow::Result<()> {
        let ok = result.is_ok();
        let detail = result.unwrap_or_else(|error| json!({ "error": format!("{error:#}") }));
        let ms = (took.as_secs_f64() * 1e6).round() / 1e3;
        let step = Step { row, step, ms, ok, detail };
        match self.style {
            Style::Json => print(&serde_json::to_string(&step)?),
            Style::Plain => print(&step.line(|_, text| text.to_owned())),
            Style::Coloured => {
                print(&step.line(|paint, text| format!("\x1b[{}m{text}\x1b[0m", paint.code())))
            }
        }
    }
}

/// What the parts of a line are painted like on a terminal.
#[derive(Debug, Clone, Copy)]
enum Paint {
    Row,
    Held,
    Failed,
    Faint,
}

impl Paint {
    /// The parameter of "select graphic rendition" (ECMA-48, section 8.3.117).
    const fn code(self) -> &'static str {
        match self {
            Self::Row => "1;36",
            Self::Held => "32",
            Self::Failed => "1;31",
            Self::Faint => "2",
        }
    }
}

impl Step<'_> {
    /// The step as one line and, where it found something out, a second one.
    fn line(&self, paint: impl Fn(Paint, &str) -> String) -> String {
        let verdict =
            if self.ok { paint(Paint::Held, "ok") } else { paint(Paint::Failed, "FAILED") };
        let row = paint(Paint::Row, &format!("{:<3}", self.row));
        let mut line = format!("{row} {:<STEP_WIDTH$} {:>9.1} ms  {verdict}", self.step, self.ms);
        let facts: Vec<_> = self.detail.as_object().into_iter().flatten().map(fact).collect();
        if !facts.is_empty() {
            line += &paint(Paint::Faint, &format!("\n    {}", facts.join(", ")));
        }
        line
    }
}

/// One fact as people read it: "naks sent 3".
fn fact((name, value): (&String, &Value)) -> String {
    let name = name.replace('_', " ");
    match value.as_str() {
        Some(text) => format!("{name}: {text}"),
        None => format!("{name} {value}"),
    }
}

fn print(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_reads_well_and_is_one_line_of_json() {
        let detail = json!({ "naks_sent": 3, "node": "b" });
        let step = Step { row: "S2", step: "resume at b", ms: 1.94, ok: true, detail };
        let line = step.line(|_, text| text.to_owned());
        let mut lines = line.lines();
        let first = lines.next().unwrap();
        assert!(first.starts_with("S2  resume at b  ") && first.ends_with("1.9 ms  ok"), "{first}");
        assert_eq!(lines.next(), Some("    naks sent 3, node: b"));
        assert_eq!(
            serde_json::to_string(&step).unwrap(),
            r#"{"row":"S2","step":"resume at b","ms":1.94,"ok":true,"detail":{"naks_sent":3,"node":"b"}}"#
        );
    }
}
