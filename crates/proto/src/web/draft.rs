//! A value while a command reads and changes it.
//!
//! It knows how a change is ranked; which commands there are it does not know.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::memory::{forget, lasting, remembered};
use super::payload::{self, Item};
use super::rank::Rank;
use super::state::{Beside, Content, Ends, Entry, Members, Shape, State};
use crate::record::{Deadlines, Hlc, Version};
use crate::time::Wall;

/// What may still lie about elsewhere of a key that has ended or was never
/// there: whatever was written longer ago than this is below what begins
/// anew. Clocks differ by half a second at the most, a packet is repaired
/// within one more.
const MARGIN: Duration = Duration::from_secs(2);
/// What a change is ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// A plain write of this version.
    Plain(Version),
    /// It is agreed on by the key's voters.
    Agreed,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Nothing.
    None,
    /// Only its idle deadline moves on.
    Touched,
    /// It is another.
    Written,
}

/// Until when a value is to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// As it is.
    Kept,
    /// Without an end.
    Never,
    /// Until then.
    At(Wall),
}

/// A value that a command works on.
#[derive(Debug)]
pub struct Draft {
    state: State<'static>,
    stamp: Stamp,
    now: Wall,
    change: Change,
    needs_one_answer: bool,
}

impl Draft {
    /// The value that `state` says is there at `now`.
    #[must_use]
    pub fn new(mut state: State<'static>, stamp: Stamp, now: Wall) -> Self {
        let is_there = match &state.content {
            Content::Ended | Content::Gone => false,
            // As long as it is not decided on it is not there.
            Content::Text(_, beside) => beside.claim.is_none(),
            Content::Members(members) => members.live().next().is_some(),
        };
        if !is_there || state.ends.deadlines.passed(now) {
            let past =
                now.as_millis().saturating_sub(u64::try_from(MARGIN.as_millis()).unwrap_or(0));
            let past = Version { time: Hlc::at(Wall::from_millis(past)), ..Version::default() };
            state.floor = state.top().max(Rank::plain(past));
            state.content = Content::Gone;
        }
        Self { state, stamp, now, change: Change::None, needs_one_answer: false }
    }

    /// A value that hung on a decision, which has come: it is there from now on, or it
    /// is not. That is to be agreed on, and so is what else becomes of it.
    #[must_use]
    pub fn decided(mut state: State<'static>, holds: bool, now: Wall) -> Self {
        if let Content::Text(_, beside) = &mut state.content
            && holds
        {
            beside.claim = None;
        } else {
            state.content = Content::Gone;
        }
        let held = state.ends.deadlines;
        let mut draft = Self::new(state, Stamp::Agreed, now);
        let rank = draft.end_rank();
        draft.whole();
        let gone = Deadlines::at(remembered(now, Some(now)));
        draft.state.ends = Ends { rank, deadlines: if holds { held } else { gone } };
        draft
    }

    /// What became of the value.
    #[must_use]
    pub const fn change(&self) -> Change {
        self.change
    }

    /// Whether a change was made that is sound only where nobody else changes
    /// the value at the same time.
    #[must_use]
    pub const fn needs_one_answer(&self) -> bool {
        self.needs_one_answer
    }

    /// A change was made that nobody else may make at the same time.
    pub const fn require_one_answer(&mut self) {
        self.needs_one_answer = true;
    }

    /// The time that the command runs at.
    #[must_use]
    pub const fn now(&self) -> Wall {
        self.now
    }

    /// The rank of what is there: another one, another value.
    #[must_use]
    pub fn rank(&self) -> Rank {
        self.state.top().max(self.state.ends.rank)
    }

    /// Whether what is there was written before this version was given.
    #[must_use]
    pub fn is_older_than(&self, version: Version) -> bool {
        let Rank { written, agreed } = self.state.top();
        // What was agreed on is ranked behind what it was computed from, however late
        // it came: its record says when.
        written < version && (agreed == 0 || self.state.version < version)
    }

    /// Whether anything is there.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        !matches!(self.state.content, Content::Ended | Content::Gone)
    }

    /// The text that is there.
    #[must_use]
    pub fn text(&self) -> Option<&[u8]> {
        if let Content::Text(text, _) = &self.state.content { Some(text) } else { None }
    }

    /// The text that is there, with all that clients are told of it.
    #[must_use]
    pub fn item(&self) -> Option<Item<'_>> {
        let Content::Text(text, beside) = &self.state.content else { return None };
        Some(Item { text, beside: *beside, rank: self.state.floor })
    }

    /// The collection that is there.
    #[must_use]
    pub const fn members(&self) -> Option<&Members<'static>> {
        if let Content::Members(members) = &self.state.content { Some(members) } else { None }
    }

    /// The value of a field of the collection that is there.
    #[must_use]
    pub fn field(&self, field: &[u8]) -> Option<&[u8]> {
        self.members()?.entries.get(field)?.value.as_deref()
    }

    /// When the value ends; none where it does not.
    #[must_use]
    pub fn end(&self) -> Option<Wall> {
        let end = self.state.ends.deadlines.end();
        (self.is_there() && end != Wall::MAX).then_some(end)
    }

    /// The key's name, where a record's id cannot hold it.
    pub fn set_name(&mut self, name: &[u8]) {
        self.state.name = Cow::Owned(name.to_vec());
    }

    /// Puts a text in the place of whatever is there.
    pub fn set_text(&mut self, text: Vec<u8>, until: Until) {
        self.set_item(text, Beside::default(), until);
    }

    /// The same with what its client keeps beside it.
    pub fn set_item(&mut self, text: Vec<u8>, beside: Beside, until: Until) {
        // What is there already, and only ends later, goes as a touch.
        if let Until::At(end) = until
            && matches!(self.stamp, Stamp::Plain(_))
            && self.is_same(&text, &beside)
            && (self.state.ends.deadlines.idle..=self.state.ends.deadlines.absolute).contains(&end)
        {
            self.set_end(Some(end));
            return;
        }
        self.write_item(text, beside, until);
    }

    /// The same, always as a write of its own: who knows what was there by a
    /// number knows this by another, also where it is the same.
    pub fn write_item(&mut self, text: Vec<u8>, beside: Beside, until: Until) {
        let was_there = self.is_there();
        let rank = self.end_rank();
        self.whole();
        self.state.content = Content::Text(Cow::Owned(text), beside);
        let deadlines = match until {
            Until::Kept if was_there => self.state.ends.deadlines,
            Until::Kept | Until::Never => Deadlines::at(Wall::MAX),
            Until::At(end) => self.deadlines(end),
        };
        self.state.ends = Ends { rank, deadlines };
    }

    /// Writes a field of a collection of this shape, which is made where
    /// nothing is.
    pub fn set_field(&mut self, shape: Shape, field: &[u8], value: &[u8]) {
        let rank = self.part(field);
        if !self.is_there() {
            self.state.ends = Ends { rank, deadlines: Deadlines::at(Wall::MAX) };
            let known = Rank::default();
            let empty = Members { shape, known, entries: BTreeMap::new() };
            self.state.content = Content::Members(empty);
        }
        self.put(field, Entry { rank, value: Some(Cow::Owned(value.to_vec())) });
    }

    /// Removes a field; gives whether it was there. The last one takes the
    /// value with it.
    pub fn remove_field(&mut self, field: &[u8]) -> bool {
        if self.field(field).is_none() {
            return false;
        }
        let rank = self.part(field);
        self.put(field, Entry { rank, value: None });
        if self.members().is_some_and(|members| members.live().next().is_none()) {
            self.delete();
        }
        true
    }

    /// Deletes the value; gives whether it was there.
    pub fn delete(&mut self) -> bool {
        if !self.is_there() {
            return false;
        }
        let rank = self.end_rank();
        self.whole();
        let end = remembered(self.now, Some(self.state.ends.deadlines.absolute));
        self.state.content = Content::Gone;
        self.state.ends = Ends { rank, deadlines: Deadlines::at(end) };
        true
    }

    /// Has the value end at another time. One that has passed deletes it.
    pub fn set_end(&mut self, end: Option<Wall>) {
        let end = end.unwrap_or(Wall::MAX);
        if end <= self.now {
            self.delete();
            return;
        }
        let held = self.state.ends.deadlines;
        if held.idle == end {
            return;
        }
        if end > held.idle && end <= held.absolute && self.change <= Change::Touched {
            self.state.ends.deadlines.idle = end;
            self.change = Change::Touched;
            return;
        }
        // What the voters hold of a text ends where they agreed on. That they hold a
        // lock for longer, or for less, is theirs to say.
        self.needs_one_answer |= self.text().is_some() && self.state.floor.agreed > 0;
        let rank = self.end_rank();
        self.change = Change::Written;
        self.state.ends = Ends { rank, deadlines: self.deadlines(end) };
    }

    /// Puts another value in the place of this one, as far as it is seen.
    pub fn replace(&mut self, other: &Self) {
        self.delete();
        let end = other.end();
        match &other.state.content {
            Content::Ended | Content::Gone => return,
            Content::Text(text, beside) => {
                // It is another write, known by another number.
                let beside = Beside { number: None, ..*beside };
                self.set_item(text.to_vec(), beside, Until::Never);
            }
            Content::Members(members) => {
                for (field, value) in members.live() {
                    self.set_field(members.shape, field, value);
                }
            }
        }
        if end.is_some() {
            self.set_end(end);
        }
    }

    /// The value, as it has become.
    #[must_use]
    pub fn into_state(self) -> State<'static> {
        self.state
    }

    /// The payload and the deadlines of the value; no payload where nothing is
    /// there any more and a tombstone says as much. An agreed one says by
    /// itself how it is ranked, as its record's version is given later.
    #[must_use]
    pub fn finish(mut self) -> (Option<Vec<u8>>, Deadlines) {
        if matches!((&self.state.content, self.stamp), (Content::Gone, Stamp::Plain(_))) {
            return (None, self.state.ends.deadlines);
        }
        self.state.version = match self.stamp {
            Stamp::Plain(version) => version,
            Stamp::Agreed => Version::default(),
        };
        let mut out = Vec::new();
        payload::encode(&self.state, &mut out);
        (Some(out), self.state.ends.deadlines)
    }

    /// This is a write of the whole value. An agreed one stands right behind the
    /// last write of what is there: that its end was moved since says nothing of
    /// writes which this one did not see.
    fn whole(&mut self) {
        self.change = Change::Written;
        self.state.floor = match self.stamp {
            Stamp::Plain(version) => Rank::plain(version),
            Stamp::Agreed => self.state.top().next(),
        };
    }

    /// The rank of a write that says when the value ends.
    fn end_rank(&self) -> Rank {
        match self.stamp {
            Stamp::Plain(version) => Rank::plain(version),
            Stamp::Agreed => self.rank().next(),
        }
    }

    /// The rank of a write of one field.
    fn part(&mut self, field: &[u8]) -> Rank {
        self.change = Change::Written;
        match self.stamp {
            Stamp::Plain(version) => Rank::plain(version),
            Stamp::Agreed => {
                let held = self.members().map(|members| {
                    let entry = members.entries.get(field).map(|entry| entry.rank);
                    entry.unwrap_or_default().max(members.known)
                });
                held.unwrap_or_default().max(self.state.floor).next()
            }
        }
    }

    /// Whether this text is there, by whatever number clients know it.
    fn is_same(&self, text: &[u8], beside: &Beside) -> bool {
        let Content::Text(held, its) = &self.state.content else { return false };
        *held == text && Beside { number: beside.number, ..*its } == *beside
    }

    fn put(&mut self, field: &[u8], entry: Entry<'static>) {
        if let Content::Members(members) = &mut self.state.content {
            members.entries.insert(Cow::Owned(field.to_vec()), entry);
            forget(members, self.now);
        }
    }

    /// Beside the time that was asked for, as much again: so far the end can
    /// be moved on without the value. What is agreed on ends where its
    /// register says.
    fn deadlines(&self, end: Wall) -> Deadlines {
        match self.stamp {
            Stamp::Plain(_) => lasting(end, self.now),
            Stamp::Agreed => Deadlines::at(end),
        }
    }
}
