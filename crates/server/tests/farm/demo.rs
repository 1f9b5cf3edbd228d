//! `segue demo` from outside: what it prints, how it exits, and that it
//! leaves nothing behind however it ends.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use crate::nodes::segue;
use crate::patience::until;

/// A running demo in a temporary directory of its own.
struct Demo {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Demo {
    fn start(place: &Path, arguments: &[&str]) -> Self {
        let mut command = segue();
        command.arg("demo").args(arguments).env("TMPDIR", place);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        sys::process::die_with_parent(&mut command);
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The next step.
    fn step(&mut self) -> Option<Value> {
        let line = self.lines.next()?.unwrap();
        Some(serde_json::from_str(&line).unwrap())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The processes that have `place` in their command line.
fn processes_of(place: &Path) -> Vec<String> {
    let place = place.to_str().unwrap();
    let read = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("cmdline")).ok();
    let lines = fs::read_dir("/proc").unwrap().filter_map(|entry| read(entry.unwrap()));
    lines.filter(|line| line.contains(place)).collect()
}

fn no_process_is_left(place: &Path) {
    let look = || processes_of(place).is_empty().then_some(());
    until(look, || format!("{:#?} are left", processes_of(place)));
}

#[test]
fn long_every_row_is_shown_and_holds() {
    let place = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(place.path(), &["--json"]);
    let mut rows = BTreeSet::new();
    let must_show_all = std::env::var_os("SEGUE_REQUIRE_NETNS").is_some_and(|value| value == "1");
    while let Some(step) = demo.step() {
        rows.insert(step["row"].as_str().unwrap().to_owned());
        if step["row"] == "D1" && step["skipped"].is_string() && !must_show_all {
            continue;
        }
        assert_eq!(step["ok"], true, "{step}");
        assert!(step["ms"].is_number() && step["step"].is_string(), "{step}");
        assert!(step["detail"].is_object(), "{step}");
    }
    assert!(demo.process.wait().unwrap().success());
    let expected = "C1 C2 D1 H1 H2 M1 M2 P1 P2 P3 Q1 Q2 Q3 R1 R2 R3 S1 S2 S3 S4";
    assert_eq!(rows.into_iter().collect::<Vec<_>>().join(" "), expected);
    no_process_is_left(place.path());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "files are left");
}

#[test]
fn long_killed_anywhere_it_leaves_no_process_and_the_next_one_sweeps() {
    let place = tempfile::tempdir().unwrap();
    for steps in [0, 1, 3, 9, 22] {
        let mut demo = Demo::start(place.path(), &["--json"]);
        for _ in 0..steps {
            assert_eq!(demo.step().unwrap()["ok"], true);
        }
        drop(demo);
        no_process_is_left(place.path());
    }
    // Ended by a signal that can be caught, it clears away what it left, and
    // what those left that could not.
    let mut demo = Demo::start(place.path(), &["--json"]);
    demo.step().unwrap();
    sys::process::terminate(demo.process.id()).unwrap();
    let status = demo.process.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    no_process_is_left(place.path());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "files are left");
}
