//! Links of the pages: each leads to a file that is there, and to a heading that it
//! has; and the book's contents have every page.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every page, with its text.
fn pages() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the repository");
    let mut found: Vec<_> = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md"]
        .map(|name| root.join(name))
        .into();
    for folder in ["docs", "docs/how-to"] {
        let entries = fs::read_dir(root.join(folder)).expect("it is there");
        let paths = entries.map(|entry| entry.expect("it can be read").path());
        found.extend(paths.filter(|path| path.extension().is_some_and(|it| it == "md")));
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a page");
        (path.canonicalize().expect("it is there"), text)
    };
    found.into_iter().map(read).collect()
}

/// The text without its code, where brackets are no links.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What links lead to.
fn targets(text: &str) -> Vec<&str> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.filter(|target| !target.contains("://")).collect()
}

/// The name under which a heading is linked to.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
    heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let mut wrong = Vec::new();
    for (path, text) in &pages {
        let text = prose(text);
        for target in targets(&text) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let folder = path.parent().expect("it is in one");
            let there = if file.is_empty() { path.clone() } else { folder.join(file) };
            let Ok(there) = there.canonicalize() else {
                wrong.push(format!("{}: {target}: no file", path.display()));
                continue;
            };
            let page = pages.get(&there);
            if !heading.is_empty()
                && page.is_some_and(|it| !anchors(&prose(it)).contains(&heading.to_owned()))
            {
                wrong.push(format!("{}: {target}: no heading", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_book_has_every_page() {
    let pages = pages();
    let is_summary = |path: &&PathBuf| path.ends_with("docs/SUMMARY.md");
    let summary = pages.keys().find(is_summary).unwrap();
    let folder = summary.parent().unwrap();
    let listed: Vec<_> = targets(&pages[summary]).into_iter().map(|it| folder.join(it)).collect();
    for path in pages.keys().filter(|path| path.starts_with(folder) && *path != summary) {
        assert!(listed.contains(path), "{} is not in SUMMARY.md", path.display());
    }
}
