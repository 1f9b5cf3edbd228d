//! What commands do to one value.
//!
//! A command is given the value as a [`Draft`], and a [`Writer`] of its reply.
//! It reads no clock and knows nothing of nodes, nor of other keys. Texts are
//! values to it, whoever wrote them, and what is beside them is memcached's
//! flags and marks; a collection is there, and cannot be read. Outcomes and
//! edge cases are those of memcached 1.6.18, as its tests beside a real one
//! hold (`crates/server/tests/gateway`).

#[cfg(test)]
mod tests;

use super::command::{Arithmetic, Command, Delete, Expiry, Fetch, Mode, Store, Text};
use super::reply::{Found, Inspected, Writer};
use super::{MAX_KEY_BYTES, MAX_VALUE_BYTES, number};
use crate::gateway::Need;
use crate::gateway::number::{MAX_DIGITS, digits};
use crate::time::Wall;
use crate::web::draft::Until;
use crate::web::payload::overhead_bytes;
use crate::web::{Beside, Draft, Item};

/// What a node knows of how a value was used there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// How many seconds ago it was last read.
    pub idle_s: u32,
    /// Whether it has been read.
    pub fetched: bool,
}

/// How a command is brought about; none where it is not about one value.
#[must_use]
pub const fn need(command: &Command<'_>) -> Option<Need> {
    Some(match command {
        Command::Get { touch: None, .. } | Command::Inspect { .. } => Need::Read,
        // What changes more than an end says so itself.
        Command::Get { .. }
        | Command::Fetch(_)
        | Command::Touch { .. }
        | Command::TooLarge { .. }
        | Command::Store(Store { mode: Mode::Set, cas: None, .. })
        | Command::Delete(Delete { cas: None, invalidate: false, .. }) => Need::Write,
        Command::Store(_) | Command::Delete(_) | Command::Arithmetic(_) => Need::OneAnswer,
        Command::FlushAll { .. }
        | Command::Stats { .. }
        | Command::Verbosity
        | Command::Version
        | Command::Noop
        | Command::Quit => return None,
    })
}

/// What is told of an item that ends then.
#[must_use]
pub fn found<'i>(item: &Item<'i>, left_s: Option<u32>, access: Access) -> Found<'i> {
    Found {
        value: Text(item.text),
        flags: item.beside.flags,
        cas: item.number(),
        left_s,
        idle_s: access.idle_s,
        fetched: access.fetched,
        stale: item.beside.stale,
        sent: item.beside.sent,
        won: false,
    }
}

/// In how many seconds something ends, the last one begun counted.
#[must_use]
pub fn left_s(end: Option<Wall>, now: Wall) -> Option<u32> {
    let left = end?.saturating_since(now).as_millis().div_ceil(1_000);
    Some(u32::try_from(left).unwrap_or(u32::MAX))
}

/// `get` and `gat` of one key. Gives whether a value was there.
pub fn get(
    draft: &mut Draft,
    key: &[u8],
    touch: Option<Expiry>,
    writer: &mut Writer<'_, '_>,
) -> bool {
    let Some(item) = draft.item() else {
        writer.miss(key);
        return false;
    };
    writer.hit(key, &seen(draft, &item, Access::default()));
    if let Some(touch) = touch {
        expire(draft, touch);
    }
    true
}

/// `mg`. Gives whether a value was there.
pub fn fetch(
    draft: &mut Draft,
    fetch: &Fetch<'_>,
    access: Access,
    writer: &mut Writer<'_, '_>,
) -> bool {
    let key = fetch.key.0;
    let was_there = draft.item().is_some();
    let created = fetch.vivify.filter(|_| !draft.is_there());
    if let Some(expiry) = created {
        let until = until(expiry, draft.now()).unwrap_or_else(|| over(draft));
        draft.write_item(Vec::new(), Beside::default(), until);
    }
    let recached = created.is_none() && is_soon(draft, fetch.recache);
    if let Some(touch) = fetch.touch
        && let Some(until) = until(touch, draft.now())
    {
        draft.set_end(end(until));
    }
    let Some(item) = draft.item() else {
        writer.miss(key);
        return false;
    };
    let Item { beside, .. } = item;
    let won = created.is_some() || (!beside.sent && (beside.stale || recached));
    writer.hit(key, &Found { won, ..seen(draft, &item, access) });
    if won {
        let beside = Beside { sent: true, number: Some(item.number()), ..beside };
        let text = item.text.to_vec();
        draft.write_item(text, beside, Until::Kept);
        draft.require_one_answer();
    }
    for expiry in [created, fetch.touch].into_iter().flatten() {
        if until(expiry, draft.now()).is_none() {
            draft.delete();
        }
    }
    was_there
}

/// `set` and its kin.
pub fn store(draft: &mut Draft, given: &Store<'_>, writer: &mut Writer<'_, '_>) {
    let held = draft.item();
    let (number, is_there) = (held.as_ref().map(Item::number), draft.is_there());
    let differs = |asked: u64| number != Some(asked);
    let mut beside = Beside { flags: given.flags, ..Beside::default() };
    let mut expiry = Some(given.expiry);
    let text = match (given.mode, given.cas) {
        (Mode::Set | Mode::Replace, Some(_)) if !is_there => return writer.not_found(),
        (Mode::Set | Mode::Replace, Some(asked)) if differs(asked) => {
            // Numbers here say nothing of which write was before which.
            if !given.invalidate {
                return writer.exists();
            }
            beside.stale = true;
            given.value.0.to_vec()
        }
        (Mode::Add, _) if is_there => return writer.not_stored(),
        (Mode::Replace, None) if !is_there => return writer.not_stored(),
        (Mode::Append | Mode::Prepend, asked) => {
            let Some(held) = held else { return writer.not_stored() };
            // To these a number of 0 is none.
            if asked.is_some_and(|asked| asked != 0 && differs(asked)) {
                return writer.exists();
            }
            let (first, last) = if given.mode == Mode::Append {
                (held.text, given.value.0)
            } else {
                (given.value.0, held.text)
            };
            if first.len() + last.len() > MAX_VALUE_BYTES {
                return writer.not_stored();
            }
            beside.flags = held.beside.flags;
            expiry = None;
            [first, last].concat()
        }
        (Mode::Set | Mode::Add | Mode::Replace, _) => given.value.0.to_vec(),
    };
    let number = match expiry.and_then(|expiry| until(expiry, draft.now())) {
        // What is there already, and ends later, needs not be sent again.
        Some(until) if given.mode == Mode::Set && given.cas.is_none() => {
            draft.set_item(text, beside, until);
            draft.item().map_or(0, |item| item.number())
        }
        _ => put(draft, text, beside, expiry),
    };
    writer.stored(number);
}

/// `delete` and `md`.
pub fn delete(draft: &mut Draft, asked: &Delete<'_>, writer: &mut Writer<'_, '_>) {
    let item = draft.item();
    let number = item.as_ref().map(Item::number);
    if !draft.is_there() {
        return writer.not_found();
    }
    if asked.cas.is_some_and(|asked| number != Some(asked)) {
        return writer.exists();
    }
    match item {
        Some(item) if asked.invalidate => {
            let beside = Beside { flags: item.beside.flags, stale: true, ..Beside::default() };
            let text = item.text.to_vec();
            put(draft, text, beside, asked.expiry);
        }
        _ => {
            draft.delete();
        }
    }
    writer.deleted();
}

/// `incr`, `decr` and `ma`.
pub fn count(draft: &mut Draft, asked: &Arithmetic<'_>, writer: &mut Writer<'_, '_>) {
    let (mut room, expiry) = ([0; MAX_DIGITS], asked.touch);
    let (number, text, beside, expiry) = match (draft.item(), asked.initial) {
        (None, _) if draft.is_there() => return writer.not_numeric(),
        (None, None) => return writer.not_found(),
        (None, Some((initial, lasting))) => {
            let text = digits(initial, &mut room).to_vec();
            (initial, text, Beside::default(), Some(expiry.unwrap_or(lasting)))
        }
        (Some(item), _) => {
            // An empty value is looked at before its number is.
            if item.text.is_empty() {
                return writer.not_numeric();
            }
            if asked.cas.is_some_and(|asked| asked != 0 && asked != item.number()) {
                return writer.exists();
            }
            let Some(held) = number::unsigned(item.text) else { return writer.not_numeric() };
            let number = if asked.up {
                held.wrapping_add(asked.delta)
            } else {
                held.saturating_sub(asked.delta)
            };
            let mut text = digits(number, &mut room).to_vec();
            // A shorter number is written over the longer one.
            text.resize(text.len().max(item.text.len()), b' ');
            (number, text, Beside { number: None, ..item.beside }, expiry)
        }
    };
    let lasting = expiry.map(|expiry| until(expiry, draft.now()));
    let until = lasting.map_or(Until::Kept, |until| until.unwrap_or_else(|| over(draft)));
    draft.write_item(text, beside, until);
    if let Some(item) = draft.item() {
        writer.number(number, &seen(draft, &item, Access::default()));
    }
    if lasting == Some(None) {
        draft.delete();
    }
}

/// `touch`.
pub fn touch(draft: &mut Draft, expiry: Expiry, writer: &mut Writer<'_, '_>) {
    if !draft.is_there() {
        return writer.not_found();
    }
    let item = draft.item();
    writer.touched(&item.map_or_else(Found::default, |item| seen(draft, &item, Access::default())));
    expire(draft, expiry);
}

/// `me`.
pub fn inspect(draft: &Draft, key: &[u8], access: Access, writer: &mut Writer<'_, '_>) {
    let Some(item) = draft.item() else { return writer.miss(key) };
    let Found { left_s, idle_s, cas, fetched, .. } = seen(draft, &item, access);
    let bytes = (item.text.len() + overhead_bytes(key.len())) as u64;
    writer.inspected(&Inspected { left_s, idle_s, cas, fetched, bytes });
}

fn seen<'i>(draft: &Draft, item: &Item<'i>, access: Access) -> Found<'i> {
    found(item, left_s(draft.end(), draft.now()), access)
}

/// Stores a text, for as long as what is there where no expiry is given. Gives
/// its number.
fn put(draft: &mut Draft, text: Vec<u8>, beside: Beside, expiry: Option<Expiry>) -> u64 {
    let lasting = expiry.map_or(Some(Until::Kept), |expiry| until(expiry, draft.now()));
    draft.write_item(text, beside, lasting.unwrap_or_else(|| over(draft)));
    let number = draft.item().map_or(0, |item| item.number());
    if lasting.is_none() {
        draft.delete();
    }
    number
}

fn expire(draft: &mut Draft, expiry: Expiry) {
    match until(expiry, draft.now()) {
        Some(until) => draft.set_end(end(until)),
        None => {
            draft.delete();
        }
    }
}

/// Whether what is there ends sooner than somebody wants it to.
fn is_soon(draft: &Draft, recache: Option<Expiry>) -> bool {
    let soon = recache.and_then(|expiry| until(expiry, draft.now())).and_then(end);
    draft.end().zip(soon).is_some_and(|(end, soon)| end < soon)
}

/// Until when a value is there; none where it is over by now.
fn until(expiry: Expiry, now: Wall) -> Option<Until> {
    let end = match expiry {
        Expiry::Never => return Some(Until::Never),
        Expiry::Past => return None,
        Expiry::In(seconds) => now + std::time::Duration::from_secs(seconds.into()),
        Expiry::At(seconds) => Wall::from_millis(u64::from(seconds) * 1_000),
    };
    (end > now).then_some(Until::At(end))
}

/// What is written to be over at once is deleted, and remembered as a delete of
/// what was there is: not as one of a value without an end.
fn over(draft: &Draft) -> Until {
    if draft.is_there() { Until::Kept } else { Until::At(draft.now()) }
}

const fn end(until: Until) -> Option<Wall> {
    match until {
        Until::At(end) => Some(end),
        Until::Kept | Until::Never => None,
    }
}

/// A value of any permitted length fits a record, however it came about.
const _: () =
    assert!(MAX_VALUE_BYTES + overhead_bytes(MAX_KEY_BYTES) <= crate::record::MAX_PAYLOAD_BYTES);
