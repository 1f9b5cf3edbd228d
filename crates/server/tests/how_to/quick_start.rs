//! The quick start: its commands one after the other in one shell, as a newcomer
//! types them.

use std::fs;
use std::process::Command;

use crate::machines::{network, segue};
use crate::page::{Block, Page};
use crate::process::are_installed;

/// What the page has done by cargo: the program is built already.
const BUILT: &str = "cargo build --release --bin segue\n\
                     export PATH=\"$PWD/target/release:$PATH\"\n";

/// A block as the shell is told it.
fn told(block: &Block) -> String {
    match block.language.as_str() {
        "sh" if block.text != BUILT => block.text.clone(),
        "sh" | "text" => String::new(),
        _ => format!("cat >{} <<'END'\n{}END\n", block.name, block.text),
    }
}

#[test]
fn quick_start_is_what_it_says() {
    if !are_installed(&["bash", "openssl", "curl", "redis-cli"]) {
        return;
    }
    let page = Page::read("quick-start.md");
    assert!(page.blocks.iter().any(|block| block.text == BUILT), "the program is built first");
    let place = tempfile::Builder::new().prefix("segue-quick-start-").tempdir().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let own = segue().parent().expect("it is in a directory");
    // The nodes end with the shell, whatever becomes of it.
    let script: String = page.blocks.iter().map(told).collect();
    let script = format!("set -e\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}");
    let script = script.replace("127.0.0.", &format!("{}.", network()));
    fs::write(place.path().join("script"), &script).unwrap();
    let output = Command::new("timeout")
        .args(["120", "bash", "script"])
        .current_dir(place.path())
        .env("PATH", format!("{}:{path}", own.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaints}\n{script}");
    // Each line that the page shows was printed, in that order.
    let mut rest = said.as_str();
    for block in page.blocks.iter().filter(|block| block.language == "text") {
        for line in block.text.lines() {
            let at = rest.find(line).unwrap_or_else(|| panic!("{line:?} is not in {said}"));
            rest = &rest[at + line.len()..];
        }
    }
}
