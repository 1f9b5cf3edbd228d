//! Laravel's limiter of how often something is done within a time: a hash of
//! when the time began, when it ends and how often it was done in it.
//!
//! Its scripts compare times as texts, as the client writes them: so does
//! this.

use super::super::hashes::add_to_field;
use super::super::{Fail, members};
use crate::gateway::number::append_f64;
use crate::gateway::resp::Writer;
use crate::web::{Draft, Shape};

const START: &[u8] = b"start";
const END: &[u8] = b"end";
const COUNT: &[u8] = b"count";

const NO_NUMBER: Fail =
    Fail::Said("ERR attempt to perform arithmetic on a value that is no number");
const NO_TEXT: Fail = Fail::Said("ERR attempt to compare boolean with string");

/// What the scripts are told: the time with its fraction and without, for how
/// long it is counted, and how often is often enough.
pub(super) struct Asked<'a> {
    time: &'a [u8],
    second: &'a [u8],
    lasts_s: f64,
    most: f64,
}

impl<'a> Asked<'a> {
    pub(super) fn of(arguments: &[&'a [u8]]) -> Result<Self, Fail> {
        let &[time, second, lasts, most] = arguments else { return Err(NO_NUMBER) };
        Ok(Self { time, second, lasts_s: number(lasts)?, most: number(most)? })
    }

    /// When a time that begins at this second ends.
    fn end(&self) -> Result<f64, Fail> {
        Ok(number(self.second)? + self.lasts_s)
    }
}

/// Counts once more; answers whether that is not too often, when the time ends
/// and how often is left.
pub(super) fn count(
    draft: &mut Draft,
    asked: &Asked<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    if !is_within(draft, asked)? {
        let (end, mut text) = (asked.end()?, Vec::new());
        append_f64(&mut text, end);
        for (field, value) in [(START, asked.second), (END, text.as_slice()), (COUNT, b"1")] {
            draft.set_field(Shape::Hash, field, value);
        }
        // What has ended is not there: the call that has it end says 1 all the same.
        let millis = truncated(asked.lasts_s * 2.0).saturating_mul(1_000);
        let end_of_all = super::in_millis(draft, millis);
        draft.set_end(Some(end_of_all));
        reply.array(3);
        reply.integer(1);
        reply.integer(truncated(end));
        reply.integer(truncated(asked.most - 1.0));
        return Ok(());
    }
    let counted = add_to_field(draft, COUNT, 1)?;
    reply.array(3);
    // What is true is 1 to an interpreter's caller, and what is not is nothing.
    #[expect(clippy::cast_precision_loss, reason = "an interpreter's numbers have as many bits")]
    let counted = counted as f64;
    if counted <= asked.most {
        reply.integer(1);
    } else {
        reply.null();
    }
    reply.bulk(draft.field(END).unwrap_or_default());
    reply.integer(truncated(asked.most - counted));
    Ok(())
}

/// Answers when the time ends and how often is left, where one has begun.
pub(super) fn look(draft: &Draft, asked: &Asked<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    if is_within(draft, asked)? {
        let counted = number(draft.field(COUNT).ok_or(NO_NUMBER)?)?;
        reply.array(2);
        reply.bulk(draft.field(END).unwrap_or_default());
        reply.integer(truncated(asked.most - counted));
    } else {
        let end = asked.end()?;
        reply.array(2);
        reply.integer(0);
        reply.integer(truncated(end));
    }
    Ok(())
}

/// Whether a time has begun and not ended.
fn is_within(draft: &Draft, asked: &Asked<'_>) -> Result<bool, Fail> {
    if !draft.is_there() {
        return Ok(false);
    }
    members(draft, Shape::Hash)?;
    let field = |name| draft.field(name).ok_or(NO_TEXT);
    Ok(asked.time >= field(START)? && asked.time <= field(END)?)
}

/// A number as an interpreter reads it.
fn number(text: &[u8]) -> Result<f64, Fail> {
    let text = std::str::from_utf8(text).map_err(|_| NO_NUMBER)?;
    text.trim().parse().ok().filter(|number: &f64| number.is_finite()).ok_or(NO_NUMBER)
}

/// A number as an interpreter's caller gets it.
#[expect(clippy::cast_possible_truncation, reason = "that is what is done to it")]
const fn truncated(number: f64) -> i64 {
    number as i64
}
