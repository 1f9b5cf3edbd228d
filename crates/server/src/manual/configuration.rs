//! The reference of all keys, as a page of `docs/` and as `segue.toml(5)`.
//!
//! What there is to be said is [`crate::config::reference`]'s; here it is laid out.

use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::config::reference::{Default, Key, Section, sections};

/// What holds for all keys. `…` is code.
const INTRODUCTION: &[&str] = &[
    "A node is told what to do by a file, `segue serve --config segue.toml`, in TOML. All of \
     it can be left out: without a file there is one node on loopback, with a certificate \
     that it signs itself, and the built-in pages.",
    "A key is taken from `--set section.key=value` on the command line, else from the \
     environment, else from the file, else from the defaults. What stands in the environment \
     is written as in the file, but texts need no quotes: \
     `SEGUE_TLS__LISTEN=0.0.0.0:443`, `SEGUE_FARM__PEERS='[\"10.0.0.11:7700\"]'`.",
    "Times and sizes have units (`30ms`, `12h`, `256MiB`). Names of files are relative to the \
     configuration file, and those of `--set` and the environment to the working directory. \
     An unknown key, a wrong form, a file that is not there and keys that do not go together \
     are refused before a socket is opened, with exit status 2; `segue check` says the same \
     without starting anything.",
    "SIGHUP reads the farm's keys, the certificates of `[tls]` and the log's level again. What \
     else has changed takes effect at the next start, and the log says so.",
];

/// Above the page: who edits it should edit something else.
const MADE: &str = "<!-- Made from crates/server/src/config by \
                    `segue man --configuration --markdown`; a test holds it equal. -->";

/// The reference as a page of `docs/`.
pub(super) fn markdown() -> String {
    let mut page = format!("{MADE}\n\n# Configuration\n\n{}\n", INTRODUCTION.join("\n\n"));
    for section in &sections() {
        page += &format!("\n## {}\n\n{}\n", section.header(), about(section));
        for key in &section.keys {
            page += &format!("\n### `{}.{}`\n\n{}\n\n", section.path, key.name, key.about);
            for fact in facts(section, key) {
                page += &format!("- {fact}\n");
            }
        }
    }
    page
}

/// The reference as a manual page.
pub(super) fn roff() -> String {
    let mut roff = Roff::new();
    roff.control("TH", ["segue.toml", "5", "", concat!("segue ", env!("CARGO_PKG_VERSION"))]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("segue.toml - what a node of a farm is told")]);
    roff.control("SH", ["DESCRIPTION"]);
    for paragraph in INTRODUCTION {
        roff.text(inlines(paragraph));
        roff.control("PP", []);
    }
    for section in &sections() {
        roff.control("SH", [section.header().as_str()]);
        roff.text(inlines(&about(section)));
        for key in &section.keys {
            roff.control("TP", []);
            roff.text([bold(key.name)]);
            roff.text(inlines(&key.about));
            for fact in facts(section, key) {
                roff.control("br", []);
                roff.text(inlines(&fact));
            }
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("segue"), roman("(1)")]);
    roff.to_roff()
}

/// What a section is for, and how many there may be.
fn about(section: &Section) -> String {
    match &section.bounds {
        Some(bounds) => format!("{} There may be {bounds}.", section.about),
        None => section.about.clone(),
    }
}

/// What is said of a key beside what it means, a line each.
fn facts(section: &Section, key: &Key) -> Vec<String> {
    let mut facts = vec![format!("Takes {}.", key.takes)];
    let choices = key.choices.iter();
    facts.extend(choices.map(|(value, about)| format!("`{value}`: {about}")));
    facts.extend(key.bounds.as_ref().map(|bounds| format!("Bounds: {bounds}.")));
    facts.push(match &key.default {
        Default::Required => "It has to be given.".to_owned(),
        Default::None => "Default: not given.".to_owned(),
        Default::Value(value) => format!("Default: `{value}`."),
    });
    facts.extend(section.variable(key).map(|name| format!("Environment: `{name}`.")));
    let example = key.example.as_ref();
    facts.extend(example.map(|value| format!("Example: `{} = {value}`.", key.name)));
    facts
}

/// A text in which what stands between two backticks is bold.
fn inlines(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 0 { roman(part) } else { bold(part) }).collect()
}

#[cfg(test)]
mod tests;
