//! What Redis' commands do to one value.
//!
//! A command is given the value as a [`Draft`], the request and a place for
//! the reply; it reads no clock and knows nothing of nodes. What several keys
//! or the connection are needed for is named here ([`Kind::Keys`],
//! [`Kind::Session`]) and done by whoever has those. Error texts and edge
//! cases are those of Redis 7.2.

pub mod events;
mod expiry;
pub mod glob;
mod hashes;
pub mod scripts;
mod sets;
mod sorted;
mod strings;
mod table;

#[cfg(test)]
mod tests;

pub use super::Need;
pub use strings::{PlainSet, plain_set};
pub use table::{Command, Kind, OBJECT, all, find, may_change, need};

use crate::gateway::number::parse_i64;
use crate::gateway::resp::{Request, Writer};
use crate::web::state::Members;
use crate::web::{Draft, Shape};

/// A command's work on one value.
pub type Run = fn(&mut Draft, &Request<'_>, &mut Writer<'_>) -> Result<(), Fail>;

/// Why a command was not done, in Redis' words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fail {
    /// Words that are always the same.
    Said(&'static str),
    /// Words that name something.
    Told(String),
}

impl Fail {
    /// The words, as they go to the client.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Said(text) => text,
            Self::Told(text) => text,
        }
    }
}

/// The value is of another type.
pub const WRONG_TYPE: Fail =
    Fail::Said("WRONGTYPE Operation against a key holding the wrong kind of value");
/// Options that make no sense.
pub const SYNTAX: Fail = Fail::Said("ERR syntax error");
/// No integer of 64 bits.
pub const NO_INTEGER: Fail = Fail::Said("ERR value is not an integer or out of range");
/// No floating-point number.
const NO_FLOAT: Fail = Fail::Said("ERR value is not a valid float");

/// The error for a wrong count of arguments.
#[must_use]
pub fn wrong_arguments(name: &str) -> Fail {
    Fail::Told(format!("ERR wrong number of arguments for '{name}' command"))
}

/// An argument, which the command's arity has made sure of.
///
/// # Errors
///
/// [`SYNTAX`] where it is missing all the same: an option's value.
pub fn argument<'a>(request: &Request<'a>, index: usize) -> Result<&'a [u8], Fail> {
    request.get(index).ok_or(SYNTAX)
}

/// An argument that is an integer.
///
/// # Errors
///
/// [`NO_INTEGER`] or [`SYNTAX`].
pub fn integer(request: &Request<'_>, index: usize) -> Result<i64, Fail> {
    parse_i64(argument(request, index)?).ok_or(NO_INTEGER)
}

/// A double as clients write it.
fn float(text: &[u8]) -> Result<f64, Fail> {
    let text = std::str::from_utf8(text).map_err(|_| NO_FLOAT)?;
    let is_plain = !text.is_empty() && !text.contains(char::is_whitespace);
    let number = text.parse::<f64>().ok().filter(|number| is_plain && !number.is_nan());
    number.ok_or(NO_FLOAT)
}

/// Whether an option is this word, in any case.
fn is(option: &[u8], word: &str) -> bool {
    option.eq_ignore_ascii_case(word.as_bytes())
}

/// The text that is there.
fn text(draft: &Draft) -> Result<Option<&[u8]>, Fail> {
    match draft.text() {
        None if draft.is_there() => Err(WRONG_TYPE),
        text => Ok(text),
    }
}

/// The collection of this shape that is there.
fn members(draft: &Draft, shape: Shape) -> Result<Option<&Members<'static>>, Fail> {
    match draft.members() {
        Some(members) if members.shape == shape => Ok(Some(members)),
        None if !draft.is_there() => Ok(None),
        _ => Err(WRONG_TYPE),
    }
}

/// How many live entries there are.
fn count(draft: &Draft, shape: Shape) -> Result<i64, Fail> {
    let live = members(draft, shape)?.map_or(0, |members| members.live().count());
    Ok(signed(live))
}

/// A length as a reply has it.
fn signed(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// The word for the type of what is there.
#[must_use]
pub fn type_of(draft: &Draft) -> &'static str {
    match draft.members().map(|members| members.shape) {
        Some(Shape::Hash) => "hash",
        Some(Shape::Set) => "set",
        Some(Shape::SortedSet) => "zset",
        None if draft.is_there() => "string",
        None => "none",
    }
}

/// The range of `len` things that Redis means by two indices, of which
/// negative ones count from the end.
fn range(start: i64, end: i64, len: usize) -> Option<std::ops::Range<usize>> {
    let signed_len = signed(len);
    let from_end = |index: i64| if index < 0 { index.saturating_add(signed_len) } else { index };
    let start = from_end(start).max(0);
    let end = from_end(end).min(signed_len - 1);
    if start > end || start >= signed_len {
        return None;
    }
    let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
    Some(start..end + 1)
}
