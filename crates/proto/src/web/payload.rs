//! A value as a record's payload.
//!
//! ```text
//! payload  mark(1) form(1) [length(2) name] [rank(16)] [rank of ends(16)] content
//! form     bits 0-2 what: 0 nothing, 1 a text, 2 a hash, 3 a set, 4 a sorted set,
//!          5 nothing, as a value of another sort has ended; 6 a text with something
//!          beside it; 7 a text that hangs on a decision
//!          bit 3 a name follows, bit 4 a floor, bit 5 which write said when it ends
//! content  of a text [beside] or [decision(12)], its bytes; of a collection: known(16) count(4) entries
//! beside   marks(1) [flags(4)] [number(8)]; bit 0 flags follow, bit 1 a number,
//!          bit 2 stale, bit 3 sent
//! entry    rank(16) length of field(4) length of value + 1, or 0(4) field value
//! ```
//!
//! What a plain write of a text needs beside the text is two bytes: its rank is
//! the record's version. A payload with another mark is no value of this form,
//! and merges as a whole, by its version.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::rank::Rank;
use super::state::{Beside, Content, Ends, Entry, Members, Shape, State};
use crate::record::{Body, Hlc, Record, Version, Writer};
use crate::wire::codec::{Malformed, Reader};

/// What a payload of this form begins with: form 1 of the gateways' values.
/// The byte is none that text, JSON, PHP's or Python's serializations begin
/// with.
const MARK: u8 = 0xF1;
const NAMED: u8 = 1 << 3;
const FLOOR: u8 = 1 << 4;
const ENDS: u8 = 1 << 5;
const WHAT: u8 = 0b111;
const TEXT: u8 = 1;
const ENDED: u8 = 5;
const ITEM: u8 = 6;
const CLAIMED: u8 = 7;
const FLAGS: u8 = 1;
const NUMBER: u8 = 1 << 1;
const STALE: u8 = 1 << 2;
const SENT: u8 = 1 << 3;

/// The most that a payload has beside a text: mark and form, a name and its
/// length, two ranks, marks, flags and a number.
#[must_use]
pub const fn overhead_bytes(name_bytes: usize) -> usize {
    2 + 2 + name_bytes + 2 * 16 + 1 + 4 + 8
}

/// A text with all that clients are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// The text.
    pub text: &'a [u8],
    /// What is kept beside it.
    pub beside: Beside,
    /// The write that it is of.
    pub rank: Rank,
}

impl Item<'_> {
    /// The number that clients know it by.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.beside.number.unwrap_or_else(|| self.rank.number())
    }
}

/// A text that needs nothing but itself, or that nothing is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain<'a> {
    /// A text.
    Text(&'a [u8]),
    /// A value of another sort, whatever it is.
    Other,
    /// Nothing is there, though there is a record.
    Gone,
}

/// Whether a payload is of this form.
#[must_use]
pub const fn is_typed(payload: &[u8]) -> bool {
    matches!(payload, [MARK, ..])
}

/// Whether a record needs [`State::join`] to be merged: for the rest its
/// version alone decides.
#[must_use]
pub fn merges_by_type(record: &Record<'_>) -> bool {
    match record.body {
        Body::Value(&[MARK, form, ..]) => {
            form & (FLOOR | ENDS) != 0 || !matches!(form & WHAT, TEXT | ITEM)
        }
        Body::Value(_) | Body::Deleted => false,
    }
}

/// How much longer the payload of a text is than the text and the key that it
/// names.
pub const TEXT_OVERHEAD_BYTES: usize = 4;

/// The payload of a plainly written text. `name` is the key, where the
/// record's id cannot hold it.
pub fn text_payload(out: &mut Vec<u8>, name: &[u8], text: &[u8]) {
    out.reserve(TEXT_OVERHEAD_BYTES + name.len() + text.len());
    out.extend_from_slice(&[MARK, TEXT | if name.is_empty() { 0 } else { NAMED }]);
    put_name(out, name);
    out.extend_from_slice(text);
}

/// What a payload says to those who ask for texts; read without a copy.
#[must_use]
pub fn plain(payload: &[u8]) -> Plain<'_> {
    let mut reader = Reader::new(payload);
    match head(&mut reader) {
        Ok(Head { what: TEXT | ITEM, .. }) => Plain::Text(reader.rest()),
        Ok(Head { what: 0 | ENDED, .. }) => Plain::Gone,
        Ok(_) => Plain::Other,
        Err(_) => Plain::Text(payload),
    }
}

/// The text that a record says is there, read without a copy.
#[must_use]
pub fn item<'a>(record: &Record<'a>) -> Option<Item<'a>> {
    let Body::Value(payload) = record.body else { return None };
    let plain = Rank::plain(record.version);
    let mut reader = Reader::new(payload);
    match head(&mut reader) {
        Ok(Head { what: TEXT | ITEM, floor, beside, .. }) => {
            Some(Item { text: reader.rest(), beside, rank: floor.unwrap_or(plain) })
        }
        Ok(_) => None,
        Err(_) => Some(Item { text: payload, beside: Beside::default(), rank: plain }),
    }
}

/// The key in a payload, where the record's id could not hold it.
#[must_use]
pub fn name(payload: &[u8]) -> &[u8] {
    head(&mut Reader::new(payload)).map_or(&[], |head| head.name)
}

struct Head<'a> {
    what: u8,
    name: &'a [u8],
    floor: Option<Rank>,
    ends: Option<Rank>,
    beside: Beside,
}

fn head<'a>(reader: &mut Reader<'a>) -> Result<Head<'a>, Malformed> {
    if reader.u8("mark")? != MARK {
        return Err(Malformed::Invalid("mark"));
    }
    let form = reader.u8("form")?;
    let name = if form & NAMED != 0 {
        let len = reader.u16("name")?;
        reader.take(len.into(), "name")?
    } else {
        &[]
    };
    let floor = (form & FLOOR != 0).then(|| Rank::take(reader)).transpose()?;
    let ends = (form & ENDS != 0).then(|| Rank::take(reader)).transpose()?;
    if form & !(WHAT | NAMED | FLOOR | ENDS) != 0 {
        return Err(Malformed::Invalid("form"));
    }
    let what = form & WHAT;
    let beside = match what {
        ITEM => beside(reader)?,
        CLAIMED => Beside { claim: Some(claim(reader)?), ..Beside::default() },
        _ => Beside::default(),
    };
    Ok(Head { what, name, floor, ends, beside })
}

fn beside(reader: &mut Reader<'_>) -> Result<Beside, Malformed> {
    let marks = reader.u8("marks")?;
    let flags = if marks & FLAGS != 0 { reader.u32("flags")? } else { 0 };
    let number = (marks & NUMBER != 0).then(|| reader.array("number")).transpose()?;
    let (stale, sent) = (marks & STALE != 0, marks & SENT != 0);
    let number = number.map(u64::from_be_bytes);
    let beside = Beside { flags, number, stale, sent, claim: None };
    // One value has one form: what is nothing is not written.
    if marks != marks_of(&beside) || marks == 0 {
        return Err(Malformed::Invalid("marks"));
    }
    Ok(beside)
}

fn claim(reader: &mut Reader<'_>) -> Result<Version, Malformed> {
    let time = Hlc(u64::from_be_bytes(reader.array("decision")?));
    Ok(Version { time, writer: Writer(reader.u32("decision")?) })
}

const fn marks_of(beside: &Beside) -> u8 {
    const fn flag(on: bool, bit: u8) -> u8 {
        if on { bit } else { 0 }
    }
    flag(beside.flags != 0, FLAGS)
        | flag(beside.number.is_some(), NUMBER)
        | flag(beside.stale, STALE)
        | flag(beside.sent, SENT)
}

fn put_beside(out: &mut Vec<u8>, beside: &Beside) {
    if let Some(Version { time, writer }) = beside.claim {
        out.extend_from_slice(&time.0.to_be_bytes());
        out.extend_from_slice(&writer.0.to_be_bytes());
        return;
    }
    let marks = marks_of(beside);
    if marks == 0 {
        return;
    }
    out.push(marks);
    if beside.flags != 0 {
        out.extend_from_slice(&beside.flags.to_be_bytes());
    }
    if let Some(number) = beside.number {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// What a record's payload says.
///
/// # Errors
///
/// [`Malformed`] when it is not of this form.
pub(super) fn decode<'a>(payload: &'a [u8], record: &Record<'_>) -> Result<State<'a>, Malformed> {
    let mut reader = Reader::new(payload);
    let head = head(&mut reader)?;
    let content = match head.what {
        0 => Content::Gone,
        TEXT | ITEM | CLAIMED => Content::Text(Cow::Borrowed(reader.rest()), head.beside),
        2 => Content::Members(members(&mut reader, Shape::Hash)?),
        3 => Content::Members(members(&mut reader, Shape::Set)?),
        4 => Content::Members(members(&mut reader, Shape::SortedSet)?),
        ENDED => Content::Ended,
        _ => return Err(Malformed::Invalid("form")),
    };
    let plain = Rank::plain(record.version);
    let is_collection = matches!(content, Content::Members(_));
    let usual_floor = if is_collection { Rank::default() } else { plain };
    let floor = head.floor.unwrap_or(usual_floor);
    let ends = Ends { rank: head.ends.unwrap_or(plain), deadlines: record.deadlines };
    let content = match content {
        Content::Members(members) => members.above(floor).map_or(Content::Ended, Content::Members),
        whole @ (Content::Ended | Content::Gone | Content::Text(..)) => whole,
    };
    let name = Cow::Borrowed(head.name);
    Ok(State { version: record.version, name, floor, content, ends })
}

fn members<'a>(reader: &mut Reader<'a>, shape: Shape) -> Result<Members<'a>, Malformed> {
    let known = Rank::take(reader)?;
    let count = reader.u32("count")?;
    let mut entries = BTreeMap::new();
    // Each turn reads at least an entry's head, so the payload bounds them.
    for _ in 0..count {
        let rank = Rank::take(reader)?;
        let (field, value) = (reader.u32("field")?, reader.u32("value")?);
        let field = reader.take(usize::try_from(field).unwrap_or(usize::MAX), "field")?;
        let value = match value.checked_sub(1) {
            Some(len) => {
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let value = reader.take(len, "value")?;
                if shape == Shape::SortedSet && value.len() != 8 {
                    return Err(Malformed::Invalid("score"));
                }
                Some(Cow::Borrowed(value))
            }
            None => None,
        };
        entries.insert(Cow::Borrowed(field), Entry { rank, value });
    }
    if !reader.rest().is_empty() {
        return Err(Malformed::Trailing("entries"));
    }
    Ok(Members { shape, known, entries })
}

/// Appends the payload of a state that is to stand in a record of its version
/// and its deadlines.
pub fn encode(state: &State<'_>, out: &mut Vec<u8>) {
    let plain = Rank::plain(state.version);
    let is_collection = matches!(state.content, Content::Members(_));
    let usual_floor = if is_collection { Rank::default() } else { plain };
    let what = match &state.content {
        Content::Ended => ENDED,
        Content::Gone => 0,
        Content::Text(_, beside) if *beside == Beside::default() => TEXT,
        Content::Text(_, beside) if beside.claim.is_some() => CLAIMED,
        Content::Text(..) => ITEM,
        Content::Members(Members { shape: Shape::Hash, .. }) => 2,
        Content::Members(Members { shape: Shape::Set, .. }) => 3,
        Content::Members(Members { shape: Shape::SortedSet, .. }) => 4,
    };
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let (floor, ends) = (state.floor != usual_floor, state.ends.rank != plain);
    let named = flag(!state.name.is_empty(), NAMED);
    out.extend_from_slice(&[MARK, what | named | flag(floor, FLOOR) | flag(ends, ENDS)]);
    put_name(out, &state.name);
    if floor {
        state.floor.put(out);
    }
    if ends {
        state.ends.rank.put(out);
    }
    match &state.content {
        Content::Text(text, beside) => {
            put_beside(out, beside);
            out.extend_from_slice(text);
        }
        Content::Members(members) => put_members(out, members),
        Content::Ended | Content::Gone => {}
    }
}

fn put_members(out: &mut Vec<u8>, members: &Members<'_>) {
    let len = |len: usize| u32::try_from(len).expect("requests are far shorter").to_be_bytes();
    members.known.put(out);
    out.extend_from_slice(&len(members.entries.len()));
    for (field, entry) in &members.entries {
        entry.rank.put(out);
        out.extend_from_slice(&len(field.len()));
        out.extend_from_slice(&len(entry.value.as_ref().map_or(0, |value| value.len() + 1)));
        out.extend_from_slice(field);
        out.extend_from_slice(entry.value.as_deref().unwrap_or_default());
    }
}

fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    if !name.is_empty() {
        let len = u16::try_from(name.len()).expect("longer keys are refused");
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(name);
    }
}
