//! Sets.

use super::{Fail, argument, count, members, signed};
use crate::gateway::resp::{Request, Writer};
use crate::web::{Draft, Shape};

pub(super) fn sadd(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    members(d, Shape::Set)?;
    let mut new = 0;
    for member in r.arguments().skip(2) {
        if d.field(member).is_none() {
            new += 1;
            d.set_field(Shape::Set, member, &[]);
        }
    }
    reply.integer(new);
    Ok(())
}

pub(super) fn srem(d: &mut Draft, r: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    members(d, Shape::Set)?;
    let removed = r.arguments().skip(2).filter(|member| d.remove_field(member)).count();
    reply.integer(signed(removed));
    Ok(())
}

pub(super) fn smembers(d: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let set = members(d, Shape::Set)?;
    reply.set(set.map_or(0, |set| set.live().count()));
    set.into_iter().flat_map(|set| set.live()).for_each(|(member, _)| reply.bulk(member));
    Ok(())
}

pub(super) fn sismember(
    d: &mut Draft,
    r: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    members(d, Shape::Set)?;
    reply.integer(d.field(argument(r, 2)?).is_some().into());
    Ok(())
}

pub(super) fn smismember(
    d: &mut Draft,
    r: &Request<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    members(d, Shape::Set)?;
    reply.array(r.count() - 2);
    r.arguments().skip(2).for_each(|member| reply.integer(d.field(member).is_some().into()));
    Ok(())
}

pub(super) fn scard(d: &mut Draft, _: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    reply.integer(count(d, Shape::Set)?);
    Ok(())
}
