//! What a configuration may ask for some day, and this version cannot do.
//!
//! Refused with a message of its own: the words are right, so "unknown key"
//! would be wrong. Values that ask for nothing pass.

use super::fault::{Fault, Faults, quoted};
use super::sections::{Sections, Writes};
use super::value::Value;

/// Sections that no key of is supported.
const SECTIONS: [&str; 1] = ["memcached"];

/// Refuses the sections that this version does not know how to serve.
///
/// # Errors
///
/// A fault for each such section that is given.
pub(crate) fn refuse_sections(given: &Value) -> Result<(), Faults> {
    let refused = SECTIONS.into_iter().filter_map(|section| {
        let value = given.get(section)?;
        Some(unsupported(format!("[{section}]"), "no such section").at(&value.origin, section))
    });
    Faults::check(refused.collect())
}

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
