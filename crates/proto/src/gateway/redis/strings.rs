//! Texts.

use super::expiry::TimeOption;
use super::{Fail, NO_INTEGER, SYNTAX, argument, float, integer, is, range, signed, text};
use crate::gateway::number::{append_f64, parse_i64};
use crate::gateway::resp::{Request, Writer};
use crate::record::MAX_PAYLOAD_BYTES;
use crate::time::Wall;
use crate::web::Draft;
use crate::web::draft::Until;

const TOO_LONG: Fail = Fail::Said("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

pub(super) fn get(draft: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    put(text(draft)?, reply);
    Ok(())
}

fn put(text: Option<&[u8]>, reply: &mut Writer<'_>) {
    match text {
        Some(text) => reply.bulk(text),
        None => reply.null(),
    }
}

/// What the words behind `SET key value` ask for.
#[derive(Default)]
struct SetOptions {
    absent: bool,
    present: bool,
    get: bool,
    keep: bool,
    until: Option<Wall>,
}

impl SetOptions {
    fn read(draft: &Draft, request: &Request<'_>) -> Result<Self, Fail> {
        let mut options = Self::default();
        let mut at = 3;
        let mut time: Option<(TimeOption, usize)> = None;
        while let Some(word) = request.get(at) {
            at += 1;
            if is(word, "NX") && !options.present {
                options.absent = true;
            } else if is(word, "XX") && !options.absent {
                options.present = true;
            } else if is(word, "GET") {
                options.get = true;
            } else if is(word, "KEEPTTL") && time.is_none() {
                options.keep = true;
            } else if let Some(option) = TimeOption::of(word)
                && time.is_none()
                && !options.keep
                && request.get(at).is_some()
            {
                time = Some((option, at));
                at += 1;
            } else {
                return Err(SYNTAX);
            }
        }
        if let Some((option, at)) = time {
            options.until = Some(option.positive(draft.now(), integer(request, at)?, "set")?);
        }
        Ok(options)
    }
}

pub(super) fn set(
    draft: &mut Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    let options = SetOptions::read(draft, request)?;
    let before = if options.get { Some(text(draft)?.map(<[u8]>::to_vec)) } else { None };
    let refused = (options.absent && draft.is_there()) || (options.present && !draft.is_there());
    if !refused {
        let until = match options.until {
            Some(end) => Until::At(end),
            None if options.keep => Until::Kept,
            None => Until::Never,
        };
        write(draft, argument(request, 2)?, until);
    }
    match before {
        Some(before) => put(before.as_deref(), reply),
        None if refused => reply.null(),
        None => reply.ok(),
    }
    Ok(())
}

/// Writes a text; one that has ended already is none.
fn write(draft: &mut Draft, value: &[u8], until: Until) {
    draft.set_text(value.to_vec(), until);
    if let Until::At(end) = until
        && end <= draft.now()
    {
        draft.delete();
    }
}

pub(super) fn setnx(
    draft: &mut Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    let absent = !draft.is_there();
    if absent {
        write(draft, argument(request, 2)?, Until::Never);
    }
    reply.integer(absent.into());
    Ok(())
}

pub(super) fn setex(
    draft: &mut Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    timed(draft, request, reply, (TimeOption::Seconds, "setex"))
}

pub(super) fn psetex(
    draft: &mut Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    timed(draft, request, reply, (TimeOption::Millis, "psetex"))
}

fn timed(
    draft: &mut Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
    (option, name): (TimeOption, &str),
) -> Result<(), Fail> {
    let end = option.positive(draft.now(), integer(request, 2)?, name)?;
    write(draft, argument(request, 3)?, Until::At(end));
    reply.ok();
    Ok(())
}

pub(super) fn getset(
    draft: &mut Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    put(text(draft)?, reply);
    write(draft, argument(request, 2)?, Until::Never);
    Ok(())
}

pub(super) fn getdel(
    draft: &mut Draft,
    _: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    put(text(draft)?, reply);
    draft.delete();
    Ok(())
}

pub(super) fn getex(
    draft: &mut Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    let end = match (request.get(2), request.count()) {
        (None, _) => None,
        (Some(word), 3) if is(word, "PERSIST") => Some(None),
        (Some(word), 4) => {
            let option = TimeOption::of(word).ok_or(SYNTAX)?;
            Some(Some(option.positive(draft.now(), integer(request, 3)?, "getex")?))
        }
        _ => return Err(SYNTAX),
    };
    put(text(draft)?, reply);
    if let Some(end) = end
        && draft.is_there()
    {
        draft.set_end(end);
    }
    Ok(())
}

pub(super) fn append(
    draft: &mut Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    let more = argument(request, 2)?;
    let mut value = text(draft)?.unwrap_or_default().to_vec();
    if value.len() + more.len() > MAX_PAYLOAD_BYTES {
        return Err(TOO_LONG);
    }
    value.extend_from_slice(more);
    reply.integer(signed(value.len()));
    draft.set_text(value, Until::Kept);
    Ok(())
}

pub(super) fn strlen(
    draft: &mut Draft,
    _: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    reply.integer(signed(text(draft)?.map_or(0, <[u8]>::len)));
    Ok(())
}

pub(super) fn getrange(
    draft: &mut Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    let (start, end) = (integer(request, 2)?, integer(request, 3)?);
    let text = text(draft)?.unwrap_or_default();
    // Both before the start, and the wrong way round: nothing.
    let is_empty = start < 0 && end < 0 && start > end;
    // An end before the start of the text means its first byte.
    let end = if end < 0 { end.max(-signed(text.len())) } else { end };
    let range = if is_empty { None } else { range(start, end, text.len()) };
    reply.bulk(range.map_or(&[], |range| &text[range]));
    Ok(())
}

pub(super) fn setrange(
    draft: &mut Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    let (offset, piece) = (integer(request, 2)?, argument(request, 3)?);
    let Ok(offset) = usize::try_from(offset) else {
        return Err(Fail::Said("ERR offset is out of range"));
    };
    let mut value = text(draft)?.unwrap_or_default().to_vec();
    if !piece.is_empty() {
        let end = offset.saturating_add(piece.len());
        if end > MAX_PAYLOAD_BYTES {
            return Err(TOO_LONG);
        }
        if value.len() < end {
            value.resize(end, 0);
        }
        value[offset..end].copy_from_slice(piece);
        reply.integer(signed(value.len()));
        draft.set_text(value, Until::Kept);
        return Ok(());
    }
    reply.integer(signed(value.len()));
    Ok(())
}

pub(super) fn incr(d: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    add(d, 1, reply)
}

pub(super) fn decr(d: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    add(d, -1, reply)
}

pub(super) fn incrby(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    add(d, integer(r, 2)?, reply)
}

pub(super) fn decrby(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let by = integer(r, 2)?.checked_neg();
    add(d, by.ok_or(Fail::Said("ERR decrement would overflow"))?, reply)
}

/// Adds to the number that is there; nothing counts as 0.
pub(super) fn add(draft: &mut Draft, by: i64, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let sum = sum(text(draft)?, by)?;
    draft.set_text(sum.to_string().into_bytes(), Until::Kept);
    reply.integer(sum);
    Ok(())
}

/// The sum of a number as a text, and another one.
pub(super) fn sum(held: Option<&[u8]>, by: i64) -> Result<i64, Fail> {
    let held = held.map_or(Some(0), parse_i64).ok_or(NO_INTEGER)?;
    held.checked_add(by).ok_or(Fail::Said("ERR increment or decrement would overflow"))
}

pub(super) fn incrbyfloat(
    draft: &mut Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    let held = text(draft)?.map_or(Ok(0.0), float)?;
    let sum = float_sum(held, float(argument(request, 2)?)?)?;
    reply.bulk(&sum);
    draft.set_text(sum, Until::Kept);
    Ok(())
}

/// A sum as a text.
pub(super) fn float_sum(held: f64, by: f64) -> Result<Vec<u8>, Fail> {
    let sum = held + by;
    if !sum.is_finite() {
        return Err(Fail::Said("ERR increment would produce NaN or Infinity"));
    }
    let mut text = Vec::new();
    append_f64(&mut text, sum);
    Ok(text)
}

/// Whether a `SET` asks for nothing of what is there: it may only say when the
/// text ends.
pub(super) fn is_plain_set(request: &Request<'_>) -> bool {
    let mut at = 3;
    while let Some(word) = request.get(at) {
        if TimeOption::of(word).is_none() {
            return false;
        }
        at += 2;
    }
    true
}

/// A write of a text that asks for nothing of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainSet<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The text.
    pub text: &'a [u8],
    /// When it ends, which is to come; none where it does not.
    pub end: Option<Wall>,
}

/// What a request writes, where it is a `SET` or a `SETEX` of the kinds that
/// session stores send and there is no fault in it. None of any other, whatever
/// that is.
#[must_use]
pub fn plain_set<'a>(request: &Request<'a>, now: Wall) -> Option<PlainSet<'a>> {
    let (key, second) = (request.get(1)?, request.get(2)?);
    let (option, time, text) = match (request.name(), request.count()) {
        (name, 3) if is(name, "set") => return Some(PlainSet { key, text: second, end: None }),
        (name, 5) if is(name, "set") => (TimeOption::of(request.get(3)?)?, request.get(4)?, second),
        (name, 4) if is(name, "setex") => (TimeOption::Seconds, second, request.get(3)?),
        _ => return None,
    };
    let end = option.positive(now, parse_i64(time)?, "set").ok()?;
    (end > now).then_some(PlainSet { key, text, end: Some(end) })
}
