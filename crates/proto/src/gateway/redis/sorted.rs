//! Sorted sets, as far as session libraries use them.

use super::{Fail, SYNTAX, argument, count, float, integer, is, members, range, signed};
use crate::gateway::number::append_f64;
use crate::gateway::resp::{Request, Version, Writer};
use crate::web::{Draft, Shape};

/// The score of an entry's value.
pub(super) fn score_of(value: &[u8]) -> f64 {
    value.try_into().map_or(0.0, f64::from_be_bytes)
}

/// A score as a text, as a scan has it in both versions.
pub(super) fn put_text(score: f64, reply: &mut Writer<'_>) {
    let mut text = Vec::new();
    append_f64(&mut text, score);
    reply.bulk(&text);
}

#[derive(Default)]
struct AddOptions {
    absent: bool,
    present: bool,
    greater: bool,
    less: bool,
    changed: bool,
    increment: bool,
}

impl AddOptions {
    /// The options, and where the pairs begin.
    fn read(request: &Request<'_>) -> (Self, usize) {
        let mut it = Self::default();
        let mut at = 2;
        while let Some(word) = request.get(at) {
            let flag = match word {
                _ if is(word, "NX") => &mut it.absent,
                _ if is(word, "XX") => &mut it.present,
                _ if is(word, "GT") => &mut it.greater,
                _ if is(word, "LT") => &mut it.less,
                _ if is(word, "CH") => &mut it.changed,
                _ if is(word, "INCR") => &mut it.increment,
                _ => break,
            };
            *flag = true;
            at += 1;
        }
        (it, at)
    }

    fn check(&self, pairs: usize) -> Result<(), Fail> {
        if self.absent && self.present {
            return Err(Fail::Said("ERR XX and NX options at the same time are not compatible"));
        }
        if (self.greater && (self.absent || self.less)) || (self.less && self.absent) {
            return Err(Fail::Said(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.increment && pairs > 1 {
            return Err(Fail::Said("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// Whether a score may take the place of another one.
    fn allow(&self, held: Option<f64>, new: f64) -> bool {
        match held {
            Some(held) => {
                let beaten = (self.greater && new <= held) || (self.less && new >= held);
                !(self.absent || beaten)
            }
            None => !self.present,
        }
    }
}

/// Whether a `ZADD` asks for nothing of what is there.
pub(super) fn is_plain_add(request: &Request<'_>) -> bool {
    let (it, _) = AddOptions::read(request);
    !(it.absent || it.present || it.greater || it.less || it.increment)
}

pub(super) fn zadd(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let (options, first) = AddOptions::read(r);
    let rest = r.count() - first;
    if rest == 0 || !rest.is_multiple_of(2) {
        return Err(SYNTAX);
    }
    options.check(rest / 2)?;
    let pairs = (first..r.count()).step_by(2);
    let scores = pairs.map(|at| Ok((float(argument(r, at)?)?, argument(r, at + 1)?)));
    let scores = scores.collect::<Result<Vec<_>, Fail>>()?;
    members(d, Shape::SortedSet)?;
    let (mut new, mut changed, mut last) = (0, 0, None);
    for (score, member) in scores {
        let held = d.field(member).map(score_of);
        let score = if options.increment { held.unwrap_or(0.0) + score } else { score };
        if score.is_nan() {
            return Err(Fail::Said("ERR resulting score is not a number (NaN)"));
        }
        last = None;
        if options.allow(held, score) {
            last = Some(score);
            new += i64::from(held.is_none());
            changed += i64::from(held.is_some_and(|held| held != score));
            if held != Some(score) {
                d.set_field(Shape::SortedSet, member, &score.to_be_bytes());
            }
        }
    }
    match (options.increment, last) {
        (true, Some(score)) => reply.double(score),
        (true, None) => reply.null(),
        (false, _) => reply.integer(new + if options.changed { changed } else { 0 }),
    }
    Ok(())
}

pub(super) fn zincrby(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let (by, member) = (float(argument(r, 2)?)?, argument(r, 3)?);
    members(d, Shape::SortedSet)?;
    let score = d.field(member).map_or(0.0, score_of) + by;
    if score.is_nan() {
        return Err(Fail::Said("ERR resulting score is not a number (NaN)"));
    }
    d.set_field(Shape::SortedSet, member, &score.to_be_bytes());
    reply.double(score);
    Ok(())
}

pub(super) fn zrem(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    members(d, Shape::SortedSet)?;
    let removed = r.arguments().skip(2).filter(|member| d.remove_field(member)).count();
    reply.integer(signed(removed));
    Ok(())
}

pub(super) fn zscore(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    members(d, Shape::SortedSet)?;
    match d.field(argument(r, 2)?) {
        Some(value) => reply.double(score_of(value)),
        None => reply.null(),
    }
    Ok(())
}

pub(super) fn zcard(d: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    reply.integer(count(d, Shape::SortedSet)?);
    Ok(())
}

/// All members, by score and then by name.
fn sorted(draft: &Draft) -> Result<Vec<(f64, &[u8])>, Fail> {
    let all = members(draft, Shape::SortedSet)?.into_iter().flat_map(|it| it.live());
    let mut all: Vec<_> = all.map(|(member, value)| (score_of(value), member)).collect();
    all.sort_by(|one, other| one.0.total_cmp(&other.0).then_with(|| one.1.cmp(other.1)));
    Ok(all)
}

fn put(found: &[(f64, &[u8])], with_scores: bool, reply: &mut Writer<'_>) {
    let pairs_are_arrays = with_scores && reply.version() == Version::Resp3;
    let factor = if with_scores && !pairs_are_arrays { 2 } else { 1 };
    reply.array(factor * found.len());
    for (score, member) in found {
        if pairs_are_arrays {
            reply.array(2);
        }
        reply.bulk(member);
        if with_scores {
            reply.double(*score);
        }
    }
}

/// A bound of scores: inclusive or, behind a parenthesis, exclusive.
fn bound(text: &[u8]) -> Result<(f64, bool), Fail> {
    let (text, is_exclusive) = match text.strip_prefix(b"(") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let bound = float(text).map_err(|_| Fail::Said("ERR min or max is not a float"))?;
    Ok((bound, is_exclusive))
}

fn within(score: f64, min: (f64, bool), max: (f64, bool)) -> bool {
    let above = if min.1 { score > min.0 } else { score >= min.0 };
    let below = if max.1 { score < max.0 } else { score <= max.0 };
    above && below
}

/// In which order and form members are wanted, and how many of them.
#[derive(Default)]
struct Wanted {
    by_score: bool,
    reversed: bool,
    with_scores: bool,
    /// How many are passed over, and how many there are then.
    limit: Option<(i64, i64)>,
}

impl Wanted {
    /// What stands behind key and bounds. `ZRANGE` has a word for what the names of
    /// the older commands say.
    fn read(r: &Request<'_>, is_zrange: bool) -> Result<Self, Fail> {
        let mut wanted = Self::default();
        let mut at = 4;
        while let Some(word) = r.get(at) {
            at += 1;
            if is(word, "WITHSCORES") {
                wanted.with_scores = true;
            } else if is(word, "LIMIT") {
                wanted.limit = Some((integer(r, at)?, integer(r, at + 1)?));
                at += 2;
            } else if is_zrange && is(word, "BYSCORE") {
                wanted.by_score = true;
            } else if is_zrange && is(word, "REV") {
                wanted.reversed = true;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(wanted)
    }
}

/// `ZRANGE key start stop [BYSCORE] [REV] [LIMIT offset count] [WITHSCORES]`.
pub(super) fn zrange(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let wanted = Wanted::read(r, true)?;
    if wanted.by_score {
        return by_scores(d, r, reply, &wanted);
    }
    if wanted.limit.is_some() {
        return Err(Fail::Said(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ));
    }
    let (start, end) = (integer(r, 2)?, integer(r, 3)?);
    let mut all = sorted(d)?;
    if wanted.reversed {
        all.reverse();
    }
    let found = range(start, end, all.len()).map_or(&[][..], |range| &all[range]);
    put(found, wanted.with_scores, reply);
    Ok(())
}

/// Members between two scores, of which the higher comes first where the order is
/// turned round.
fn by_scores(
    draft: &Draft,
    r: &Request<'_>,
    reply: &mut Writer<'_>,
    wanted: &Wanted,
) -> Result<(), Fail> {
    let (low, high) = if wanted.reversed { (3, 2) } else { (2, 3) };
    let (min, max) = (bound(argument(r, low)?)?, bound(argument(r, high)?)?);
    let mut found = sorted(draft)?;
    found.retain(|(score, _)| within(*score, min, max));
    if wanted.reversed {
        found.reverse();
    }
    if let Some((offset, count)) = wanted.limit {
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX).min(found.len());
        found.drain(..skipped);
        // A negative count is no limit.
        found.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    }
    put(&found, wanted.with_scores, reply);
    Ok(())
}

pub(super) fn zrangebyscore(
    d: &mut Draft,
    r: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    by_scores(d, r, reply, &Wanted::read(r, false)?)
}

pub(super) fn zrevrangebyscore(
    d: &mut Draft,
    r: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    by_scores(d, r, reply, &Wanted { reversed: true, ..Wanted::read(r, false)? })
}

pub(super) fn zcount(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let (min, max) = (bound(argument(r, 2)?)?, bound(argument(r, 3)?)?);
    let found = sorted(d)?.iter().filter(|(score, _)| within(*score, min, max)).count();
    reply.integer(signed(found));
    Ok(())
}

pub(super) fn zremrangebyscore(
    d: &mut Draft,
    r: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    let (min, max) = (bound(argument(r, 2)?)?, bound(argument(r, 3)?)?);
    let all = sorted(d)?.into_iter().filter(|(score, _)| within(*score, min, max));
    let found: Vec<Vec<u8>> = all.map(|(_, member)| member.to_vec()).collect();
    found.iter().for_each(|member| {
        d.remove_field(member);
    });
    reply.integer(signed(found.len()));
    Ok(())
}
