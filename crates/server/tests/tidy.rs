//! House rules that no lint expresses.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, there and then")]

use std::fs;
use std::path::{Path, PathBuf};

/// A file this long is more than one room.
const MAX_LINES: usize = 600;

/// Every source file of the workspace, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut folders: Vec<PathBuf> =
        ["crates", "examples", "sim", "fuzz", "tests"].map(|name| root.join(name)).into();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push((path, text));
            }
        }
    }
    assert!(sources.len() > 50, "the workspace was found");
    sources
}

/// Lists the files for which `wrong` gives a reason.
fn check(wrong: impl Fn(&Path, &str) -> Option<String>) {
    let found: Vec<String> = sources()
        .iter()
        .filter_map(|(path, text)| Some(format!("{}: {}", path.display(), wrong(path, text)?)))
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    check(|path, text| {
        // A module's tests need no introduction.
        let is_tests = path.file_name().is_some_and(|name| name == "tests.rs");
        let fuzzing = text.starts_with("#![no_main]");
        (!text.starts_with("//!") && !is_tests && !fuzzing)
            .then(|| "begins with a //! paragraph".to_owned())
    });
}

#[test]
fn no_file_is_several_rooms() {
    check(|_, text| {
        let lines = text.lines().count();
        (lines > MAX_LINES).then(|| format!("{lines} lines, at most {MAX_LINES}"))
    });
}

#[test]
fn unsafe_code_is_in_sys_only() {
    check(|path, text| {
        let in_sys = path.components().any(|part| part.as_os_str() == "sys");
        // Spelt apart, so that this file does not find itself.
        let word = concat!("un", "safe {");
        (text.contains(word) && !in_sys).then(|| "unsafe code outside crates/sys".to_owned())
    });
}

#[test]
fn nothing_is_left_for_later() {
    let words = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("#[ig", "nore"),
    ];
    check(|_, text| {
        words.iter().find(|word| text.contains(**word)).map(|word| format!("has {word}"))
    });
}
