//! What a configuration may ask for some day, and this version cannot do.
//!
//! Refused with a message of its own: the words are right, so "unknown key"
//! would be wrong. Values that ask for nothing pass.

use super::fault::{Fault, quoted};
use super::sections::{Sections, Writes};

/// The values that ask for what this version does not do: key and fault.
pub(crate) fn refused_values(sections: &Sections) -> Vec<(String, Fault)> {
    let mut refused = Vec::new();
    let defaults = Writes::default().pairs();
    for ((key, wait), (_, default)) in sections.writes.pairs().into_iter().zip(defaults) {
        let expected = match key {
            "writes.tls" | "writes.web" => continue,
            // Nothing writes records of the other kinds: what is said of them
            // would be ignored.
            _ if wait == default => continue,
            _ => quoted(default.name()),
        };
        refused.push((key.to_owned(), unsupported(quoted(wait.name()), &expected)));
    }
    refused
}

fn unsupported(found: impl std::fmt::Display, expected: &str) -> Fault {
    Fault::other(format!("not supported by this version: found {found}, expected {expected}"))
}
