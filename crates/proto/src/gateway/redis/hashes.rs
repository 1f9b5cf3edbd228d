//! Hashes.

use super::strings::{float_sum, sum};
use super::{
    Fail, NO_INTEGER, Run, SYNTAX, argument, count, float, glob, integer, is, members, signed,
    wrong_arguments,
};
use crate::gateway::number::parse_i64;
use crate::gateway::resp::{Request, Version, Writer};
use crate::rng::Rng;
use crate::web::{Draft, Shape};

/// The value of a field.
fn field<'d>(draft: &'d Draft, field: &[u8]) -> Result<Option<&'d [u8]>, Fail> {
    members(draft, Shape::Hash).map(|_| draft.field(field))
}

fn put(value: Option<&[u8]>, reply: &mut Writer<'_>) {
    match value {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    }
}

pub(super) fn hset(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let new = write(d, r, "hset")?;
    reply.integer(new);
    Ok(())
}

pub(super) fn hmset(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    write(d, r, "hmset")?;
    reply.ok();
    Ok(())
}

/// Writes pairs of fields and values; gives how many are new.
fn write(draft: &mut Draft, request: &Request<'_>, name: &str) -> Result<i64, Fail> {
    if !request.count().is_multiple_of(2) {
        return Err(wrong_arguments(name));
    }
    members(draft, Shape::Hash)?;
    let mut new = 0;
    for at in (2..request.count()).step_by(2) {
        let (field, value) = (argument(request, at)?, argument(request, at + 1)?);
        new += i64::from(draft.field(field).is_none());
        draft.set_field(Shape::Hash, field, value);
    }
    Ok(new)
}

pub(super) fn hsetnx(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let absent = field(d, argument(r, 2)?)?.is_none();
    if absent {
        d.set_field(Shape::Hash, argument(r, 2)?, argument(r, 3)?);
    }
    reply.integer(absent.into());
    Ok(())
}

/// Fields that nobody could foretell, as far as he does not know the millisecond.
pub(super) fn hrandfield(
    draft: &mut Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    /// The most that are given with some of them twice: a reply of megabytes.
    const MOST: u64 = 1 << 20;
    let with_values = match request.get(3) {
        None => false,
        Some(word) if is(word, "WITHVALUES") && request.count() == 4 => true,
        Some(_) => return Err(SYNTAX),
    };
    let mut rng = Rng::from_u64(draft.now().as_millis());
    let members = members(draft, Shape::Hash)?;
    let mut fields: Vec<_> = members.iter().flat_map(|members| members.live()).collect();
    let Some(count) = request.get(2) else {
        let chosen = rng.below((fields.len() as u64).max(1));
        let chosen = usize::try_from(chosen).ok().and_then(|at| fields.get(at));
        put(chosen.map(|(field, _)| *field), reply);
        return Ok(());
    };
    let count = parse_i64(count).ok_or(NO_INTEGER)?;
    let most = count.unsigned_abs();
    let mut chosen = Vec::new();
    if count < 0 && !fields.is_empty() {
        if most > MOST {
            return Err(Fail::Said("ERR value is out of range"));
        }
        let below = fields.len() as u64;
        let any = || usize::try_from(rng.below(below)).unwrap_or(0);
        chosen.extend(
            std::iter::repeat_with(any)
                .take(usize::try_from(most).unwrap_or(usize::MAX))
                .map(|at| fields[at]),
        );
    }
    while count > 0 && (chosen.len() as u64) < most && !fields.is_empty() {
        let at = usize::try_from(rng.below(fields.len() as u64)).unwrap_or(0);
        chosen.push(fields.swap_remove(at));
    }
    // The newer version of the protocol has pairs.
    let pairs = with_values && reply.version() == Version::Resp3;
    reply.array(if with_values && !pairs { 2 * chosen.len() } else { chosen.len() });
    for (field, value) in chosen {
        if pairs {
            reply.array(2);
        }
        reply.bulk(field);
        if with_values {
            reply.bulk(value);
        }
    }
    Ok(())
}

pub(super) fn hget(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    put(field(d, argument(r, 2)?)?, reply);
    Ok(())
}

pub(super) fn hmget(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    members(d, Shape::Hash)?;
    reply.array(r.count() - 2);
    r.arguments().skip(2).for_each(|name| put(d.field(name), reply));
    Ok(())
}

pub(super) fn hdel(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    members(d, Shape::Hash)?;
    let removed = r.arguments().skip(2).filter(|field| d.remove_field(field)).count();
    reply.integer(signed(removed));
    Ok(())
}

pub(super) fn hexists(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    reply.integer(field(d, argument(r, 2)?)?.is_some().into());
    Ok(())
}

pub(super) fn hstrlen(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    reply.integer(signed(field(d, argument(r, 2)?)?.map_or(0, <[u8]>::len)));
    Ok(())
}

pub(super) fn hlen(d: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    reply.integer(count(d, Shape::Hash)?);
    Ok(())
}

pub(super) fn hgetall(d: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let hash = members(d, Shape::Hash)?;
    reply.map(hash.map_or(0, |hash| hash.live().count()));
    for (field, value) in hash.into_iter().flat_map(|hash| hash.live()) {
        reply.bulk(field);
        reply.bulk(value);
    }
    Ok(())
}

pub(super) fn hkeys(d: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let hash = members(d, Shape::Hash)?;
    reply.array(hash.map_or(0, |hash| hash.live().count()));
    hash.into_iter().flat_map(|hash| hash.live()).for_each(|(field, _)| reply.bulk(field));
    Ok(())
}

pub(super) fn hvals(d: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let hash = members(d, Shape::Hash)?;
    reply.array(hash.map_or(0, |hash| hash.live().count()));
    hash.into_iter().flat_map(|hash| hash.live()).for_each(|(_, value)| reply.bulk(value));
    Ok(())
}

pub(super) fn hincrby(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let by = integer(r, 3)?;
    reply.integer(add_to_field(d, argument(r, 2)?, by)?);
    Ok(())
}

/// Adds to the number in a field; nothing counts as 0.
pub(super) fn add_to_field(draft: &mut Draft, name: &[u8], by: i64) -> Result<i64, Fail> {
    let held = field(draft, name)?;
    if held.is_some_and(|held| parse_i64(held).is_none()) {
        return Err(Fail::Said("ERR hash value is not an integer"));
    }
    let sum = sum(held, by)?;
    draft.set_field(Shape::Hash, name, sum.to_string().as_bytes());
    Ok(sum)
}

pub(super) fn hincrbyfloat(
    d: &mut Draft,
    r: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    let by = float(argument(r, 3)?)?;
    let name = argument(r, 2)?;
    let held = field(d, name)?.map_or(Ok(0.0), float);
    let held = held.map_err(|_| Fail::Said("ERR hash value is not a float"))?;
    let sum = float_sum(held, by)?;
    d.set_field(Shape::Hash, name, &sum);
    reply.bulk(&sum);
    Ok(())
}

pub(super) const HSCAN: Run = |d, r, reply| scan(d, r, reply, Shape::Hash);
pub(super) const SSCAN: Run = |d, r, reply| scan(d, r, reply, Shape::Set);
pub(super) const ZSCAN: Run = |d, r, reply| scan(d, r, reply, Shape::SortedSet);

/// Gives all at once, as Redis does with small collections.
fn scan(
    draft: &Draft,
    request: &Request<'_>,
    reply: &mut Writer<'_>,
    shape: Shape,
) -> Result<(), Fail> {
    let cursor = argument(request, 2)?;
    if crate::gateway::number::parse_u64(cursor).is_none() {
        return Err(Fail::Said("ERR invalid cursor"));
    }
    let (mut pattern, mut at): (&[u8], _) = (b"*", 3);
    while let Some(word) = request.get(at) {
        if is(word, "MATCH") {
            pattern = argument(request, at + 1)?;
        } else if is(word, "COUNT") {
            if integer(request, at + 1)? < 1 {
                return Err(SYNTAX);
            }
        } else {
            return Err(SYNTAX);
        }
        at += 2;
    }
    let all = members(draft, shape)?.into_iter().flat_map(|it| it.live());
    let found: Vec<_> = all.filter(|(name, _)| glob::matches(pattern, name)).collect();
    reply.array(2);
    reply.bulk(b"0");
    reply.array(if shape == Shape::Set { found.len() } else { 2 * found.len() });
    for (name, value) in found {
        reply.bulk(name);
        match shape {
            Shape::Hash => reply.bulk(value),
            Shape::Set => {}
            Shape::SortedSet => super::sorted::put_text(super::sorted::score_of(value), reply),
        }
    }
    Ok(())
}
