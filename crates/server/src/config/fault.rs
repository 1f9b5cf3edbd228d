//! What is wrong with a configuration, said so that it can be mended: where
//! it stands, which key, what was found and what is expected.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::de::{Expected, Unexpected};

/// How much of a wrong value a message repeats, in characters: enough to
/// recognise it, too little to flood a terminal.
const SHOWN_CHARS: usize = 60;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody gave it: the documented default.
    Default,
    /// A line of the configuration file, counted from 1.
    File {
        /// The file, as it was named.
        path: Arc<PathBuf>,
        /// The line that the value begins in.
        line: usize,
    },
    /// An environment variable of this name.
    Environment(Arc<str>),
    /// `--set` on the command line.
    Set,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where the value comes from and its key, as `tls.lifetime`. Not known
    /// while serde is still inside the value.
    place: Option<(Origin, String)>,
    /// What is wrong with it.
    problem: String,
    /// What to do about it, where that is known.
    remedy: Option<String>,
}

impl Fault {
    /// A value that is not what its key takes.
    pub(crate) fn mismatch(found: impl fmt::Display, expected: impl fmt::Display) -> Self {
        Self::other(format!("found {found}, expected {expected}"))
    }

    /// A fault that is not about one value's form.
    pub(crate) fn other(problem: impl Into<String>) -> Self {
        Self { place: None, problem: problem.into(), remedy: None }
    }

    /// The same fault with what to do about it.
    #[must_use]
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The same fault with its place, unless it has one already: the place
    /// nearest to the value is the right one.
    #[must_use]
    pub(crate) fn at(mut self, origin: &Origin, key: &str) -> Self {
        self.place.get_or_insert_with(|| (origin.clone(), key.to_owned()));
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((origin, key)) = &self.place {
            write!(f, "{origin}: ")?;
            if !key.is_empty() {
                write!(f, "{key}: ")?;
            }
        }
        f.write_str(&self.problem)?;
        if let Some(remedy) = &self.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::other(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::mismatch(Found(found), Wanted(expected))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::mismatch(Found(found), Wanted(expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown(&quoted(variant), variant, expected)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("an unknown key", field, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::mismatch("nothing", format_args!("a value for `{field}`"))
    }
}

impl Fault {
    /// A name that is none of those expected, with the one that it resembles.
    fn unknown(found: &str, name: &str, expected: &[&str]) -> Self {
        let list = expected.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        let fault = Self::mismatch(found, format_args!("one of {list}"));
        match resembling(name, expected) {
            Some(meant) => fault.remedy(format!("did you mean {}?", quoted(meant))),
            None => fault,
        }
    }
}

/// Everything that is wrong with a configuration. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    /// An error when `faults` has any.
    pub(crate) fn check(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\nerror: ")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A value as a message repeats it: in quotes, cut short.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// What serde stumbled over, in the words of the file.
struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "serde's own words will do for what TOML has no form of"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Str(text) => f.write_str(&quoted(text)),
            Unexpected::Bool(value) => value.fmt(f),
            Unexpected::Signed(value) => value.fmt(f),
            Unexpected::Float(value) => value.fmt(f),
            Unexpected::Seq => f.write_str("a list"),
            Unexpected::Map => f.write_str("a section"),
            other => other.fmt(f),
        }
    }
}

/// What serde wanted: Rust's names of numbers mean nothing to operators.
struct Wanted<'a>(&'a dyn Expected);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_string().as_str() {
            "u8" => write!(f, "a whole number from 0 to {}", u8::MAX),
            "u32" => write!(f, "a whole number from 0 to {}", u32::MAX),
            "f64" => f.write_str("a number"),
            other => f.write_str(other),
        }
    }
}

/// The candidate that `name` was probably meant to be: one that a slip of the
/// pen in three letters, and one in any case, leads to.
fn resembling<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let slips = (name.chars().count() / 3).max(1);
    candidates
        .iter()
        .map(|&candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|&(distance, _)| distance <= slips)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<&str>) {
        let sections = ["node", "farm", "cache", "portion", "writes", "tls", "admin", "log"];
        assert_eq!(resembling(name, &sections), expected);
    }

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        check("tsl", Some("tls"));
        check("portions", Some("portion"));
        check("ffarm", Some("farm"));
        check("logs", Some("log"));
        check("frobnicate", None);
        check("", None);
    }

    #[test]
    fn the_innermost_place_is_kept() {
        let fault = Fault::mismatch(5, "a name").at(&Origin::Set, "node.name");
        let fault = fault.at(&Origin::Default, "node").remedy("write one");
        assert_eq!(fault.to_string(), "--set: node.name: found 5, expected a name; write one");
    }

    #[test]
    fn a_long_value_is_cut() {
        assert_eq!(quoted(&"ü".repeat(61)), format!("\"{}\"...", "ü".repeat(60)));
        assert_eq!(quoted("short"), "\"short\"");
    }
}
