//! When values end.

use super::{Fail, argument, integer, is, signed, type_of};
use crate::gateway::resp::{Request, Writer};
use crate::time::Wall;
use crate::web::Draft;

/// How a time is given.
#[derive(Clone, Copy)]
pub(super) enum TimeOption {
    Seconds,
    Millis,
    AtSeconds,
    AtMillis,
}

impl TimeOption {
    /// What the word before a time means.
    pub(super) fn of(word: &[u8]) -> Option<Self> {
        const WORDS: [(&str, TimeOption); 4] = [
            ("EX", TimeOption::Seconds),
            ("PX", TimeOption::Millis),
            ("EXAT", TimeOption::AtSeconds),
            ("PXAT", TimeOption::AtMillis),
        ];
        WORDS.into_iter().find(|(name, _)| is(word, name)).map(|(_, option)| option)
    }

    /// The moment that a time means, which may have passed; none where it is
    /// none that 64 bits hold.
    fn moment(self, now: Wall, time: i64) -> Option<i64> {
        let millis = match self {
            Self::Seconds | Self::AtSeconds => time.checked_mul(1_000)?,
            Self::Millis | Self::AtMillis => time,
        };
        match self {
            Self::Seconds | Self::Millis => {
                millis.checked_add(i64::try_from(now.as_millis()).ok()?)
            }
            Self::AtSeconds | Self::AtMillis => Some(millis),
        }
    }

    /// The moment that a time means, which has to be above zero.
    pub(super) fn positive(self, now: Wall, time: i64, name: &str) -> Result<Wall, Fail> {
        let moment = if time <= 0 { None } else { self.moment(now, time) };
        let millis = moment.and_then(|moment| u64::try_from(moment).ok());
        millis.map(Wall::from_millis).ok_or_else(|| invalid(name))
    }
}

fn invalid(name: &str) -> Fail {
    Fail::Told(format!("ERR invalid expire time in '{name}' command"))
}

pub(super) fn expire(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    expire_by(d, r, reply, (TimeOption::Seconds, "expire"))
}

pub(super) fn pexpire(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    expire_by(d, r, reply, (TimeOption::Millis, "pexpire"))
}

pub(super) fn expireat(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    expire_by(d, r, reply, (TimeOption::AtSeconds, "expireat"))
}

pub(super) fn pexpireat(
    d: &mut Draft,
    r: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    expire_by(d, r, reply, (TimeOption::AtMillis, "pexpireat"))
}

#[derive(Default)]
struct Conditions {
    without: bool,
    with: bool,
    later: bool,
    earlier: bool,
}

impl Conditions {
    fn read(request: &Request<'_>) -> Result<Self, Fail> {
        let mut it = Self::default();
        for word in request.arguments().skip(3) {
            if is(word, "NX") {
                it.without = true;
            } else if is(word, "XX") {
                it.with = true;
            } else if is(word, "GT") {
                it.later = true;
            } else if is(word, "LT") {
                it.earlier = true;
            } else {
                let word = String::from_utf8_lossy(word);
                return Err(Fail::Told(format!("ERR Unsupported option {word}")));
            }
        }
        if it.without && (it.with || it.later || it.earlier) {
            return Err(Fail::Said(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if it.later && it.earlier {
            return Err(Fail::Said("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(it)
    }

    fn hold(&self, held: Option<Wall>, new: Wall) -> bool {
        // No end is later than any.
        !(self.without && held.is_some()
            || self.with && held.is_none()
            || self.later && held.is_none_or(|held| new <= held)
            || self.earlier && held.is_some_and(|held| new >= held))
    }
}

fn expire_by(
    draft: &mut Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
    (option, name): (TimeOption, &str),
) -> Result<(), Fail> {
    let conditions = Conditions::read(request)?;
    let time = integer(request, 2)?;
    let moment = option.moment(draft.now(), time).ok_or_else(|| invalid(name))?;
    // What lies before the epoch has passed like any other time.
    let end = Wall::from_millis(u64::try_from(moment).unwrap_or(0));
    let done = draft.is_there() && conditions.hold(draft.end(), end);
    if done {
        draft.set_end(Some(end));
    }
    reply.integer(done.into());
    Ok(())
}

pub(super) fn persist(d: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let had_end = d.end().is_some();
    if had_end {
        d.set_end(None);
    }
    reply.integer(had_end.into());
    Ok(())
}

pub(super) fn ttl(d: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    reply.integer(time(d, |end| rounded(end.saturating_sub(millis(d.now())))));
    Ok(())
}

pub(super) fn pttl(d: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    reply.integer(time(d, |end| end.saturating_sub(millis(d.now()))));
    Ok(())
}

pub(super) fn expiretime(
    d: &mut Draft,
    _: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    reply.integer(time(d, rounded));
    Ok(())
}

pub(super) fn pexpiretime(
    d: &mut Draft,
    _: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    reply.integer(time(d, |end| end));
    Ok(())
}

/// What is made of the end; -1 without one, -2 where nothing is.
fn time(draft: &Draft, of: impl Fn(i64) -> i64) -> i64 {
    match draft.end() {
        Some(end) => of(millis(end)),
        None if draft.is_there() => -1,
        None => -2,
    }
}

fn millis(wall: Wall) -> i64 {
    i64::try_from(wall.as_millis()).expect("48 bits")
}

const fn rounded(millis: i64) -> i64 {
    (millis + 500) / 1_000
}

pub(super) fn kind(d: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    reply.simple(type_of(d));
    Ok(())
}

/// `OBJECT ENCODING` and the like are asked by clients that look around.
pub(super) fn object(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let word = argument(r, 1)?;
    if !d.is_there() {
        reply.null();
    } else if is(word, "ENCODING") {
        let text = d.text().map(|text| {
            let number = crate::gateway::number::parse_i64(text).is_some();
            // Redis embeds strings of up to 44 bytes in their objects.
            if number {
                "int"
            } else if signed(text.len()) <= 44 {
                "embstr"
            } else {
                "raw"
            }
        });
        reply.bulk(text.unwrap_or("listpack").as_bytes());
    } else if is(word, "FREQ") {
        return Err(Fail::Said(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
             note that when switching between policies at runtime LRU and LFU data will take some \
             time to adjust.",
        ));
    } else {
        // `REFCOUNT` is 1, and `IDLETIME` is not kept.
        reply.integer(is(word, "REFCOUNT").into());
    }
    Ok(())
}
