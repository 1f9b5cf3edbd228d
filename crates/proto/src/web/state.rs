//! A value with all that its merge needs, and the merge.
//!
//! A state is a point of a lattice, and merging is its join: commutative,
//! associative and idempotent. It is made of a *floor*, the rank of the last
//! write of the whole key, below which nothing counts any more; of what that
//! write left there; of entries that were written above the floor, each with a
//! rank of its own; and of when it ends, which is ordered by itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::rank::Rank;
use crate::record::{Body, Deadlines, Record, Version};

/// What sort of collection a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// Fields with values.
    Hash,
    /// Members.
    Set,
    /// Members with scores, eight bytes each.
    SortedSet,
}

/// A field or a member.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it was written.
    pub rank: Rank,
    /// Its value; none when it was removed.
    pub value: Option<Cow<'a, [u8]>>,
}

/// The entries of a collection: one at least, or what is known of removals,
/// is above the floor.
#[derive(Clone, PartialEq, Eq)]
pub struct Members<'a> {
    /// What sort it is.
    pub shape: Shape,
    /// What has at most this rank and is not here was removed: removals are
    /// forgotten once they are that old.
    pub known: Rank,
    /// By field or member; removed ones too.
    pub entries: BTreeMap<Cow<'a, [u8]>, Entry<'a>>,
}

/// What clients keep beside a text: memcached's do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beside {
    /// Bits that are the client's own.
    pub flags: u32,
    /// The number that clients know the text by, where it is not its rank's:
    /// what is beside a text or its end changed, and the text did not.
    pub number: Option<u64>,
    /// Clients may use it only until one of them has brought a better one.
    pub stale: bool,
    /// One of them has been told to.
    pub sent: bool,
    /// It was written together with other keys, and is there if that is decided so:
    /// the write whose decision it is. Nothing else is beside it then.
    pub claim: Option<Version>,
}

/// What is there.
#[derive(Clone, PartialEq, Eq)]
pub enum Content<'a> {
    /// Nothing, and nothing is known of a write that left it so: there was a value
    /// of another sort, which what is later has ended.
    Ended,
    /// Nothing.
    Gone,
    /// A text; so is a payload that is not of this module's making.
    Text(Cow<'a, [u8]>, Beside),
    /// A collection.
    Members(Members<'a>),
}

/// When a value ends, and which write said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The write that said so.
    pub rank: Rank,
    /// When it ends.
    pub deadlines: Deadlines,
}

/// A value.
#[derive(Clone, PartialEq, Eq)]
pub struct State<'a> {
    /// The version of the record that it stands in: the last of all that were
    /// merged into it.
    pub version: Version,
    /// The key as the client wrote it, where the record's id cannot hold it.
    pub name: Cow<'a, [u8]>,
    /// The rank of the last write of the whole key.
    pub floor: Rank,
    /// What is there.
    pub content: Content<'a>,
    /// When it ends.
    pub ends: Ends,
}

impl<'a> State<'a> {
    /// Nothing, as it is where there is no record.
    #[must_use]
    pub fn nothing() -> Self {
        let deadlines = Deadlines::at(crate::time::Wall::default());
        Self {
            version: Version::default(),
            name: Cow::Borrowed(&[]),
            floor: Rank::default(),
            content: Content::Gone,
            ends: Ends { rank: Rank::default(), deadlines },
        }
    }

    /// What a record says.
    #[must_use]
    pub fn of(record: &Record<'a>) -> Self {
        let rank = Rank::plain(record.version);
        let state = |content| Self {
            version: record.version,
            name: Cow::Borrowed(&[]),
            floor: rank,
            content,
            ends: Ends { rank, deadlines: record.deadlines },
        };
        match record.body {
            Body::Deleted => {
                let deadlines = Deadlines::at(record.deadlines.absolute);
                Self { ends: Ends { rank, deadlines }, ..state(Content::Gone) }
            }
            Body::Value(payload) => super::payload::decode(payload, record).unwrap_or_else(|_| {
                state(Content::Text(Cow::Borrowed(payload), Beside::default()))
            }),
        }
    }

    /// The decision by which what is there is there, if it hangs on one.
    #[must_use]
    pub const fn claim(&self) -> Option<Version> {
        if let Content::Text(_, beside) = &self.content { beside.claim } else { None }
    }

    /// The highest rank in it.
    #[must_use]
    pub fn top(&self) -> Rank {
        match &self.content {
            Content::Members(members) => members.top().max(self.floor),
            Content::Ended | Content::Gone | Content::Text(..) => self.floor,
        }
    }

    /// What two nodes have of one key, together.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let version = self.version.max(other.version);
        let ends = self.ends.join(other.ends);
        let (ones, others) = (self.parts(), other.parts());
        let name = if ones.name.is_empty() { others.name } else { ones.name };
        let (mut floor, mut base) = (ones.floor, ones.base);
        if (others.floor, base_order(&others.base)) > (floor, base_order(&base)) {
            (floor, base) = (others.floor, others.base);
        }
        let members = match (ones.members, others.members) {
            (Some(one), Some(other)) if one.shape == other.shape => Some(one.join(other)),
            (Some(one), Some(other)) => {
                // Of two sorts the later one is there, and all of the other is below.
                let ranked = |it: &Members<'_>| (it.top(), it.shape);
                let one_wins = ranked(&one) > ranked(&other);
                let (winner, loser) = if one_wins { (one, other) } else { (other, one) };
                if loser.top() > floor {
                    (floor, base) = (loser.top(), Content::Ended);
                }
                Some(winner)
            }
            (one, other) => one.or(other),
        };
        let members = members.and_then(|members| members.above(floor));
        let content = members.map_or(base, Content::Members);
        Self { version, name, floor, content, ends }
    }

    /// The same, without a borrow.
    #[must_use]
    pub fn into_owned(self) -> State<'static> {
        let own = |bytes: Cow<'_, [u8]>| Cow::Owned(bytes.into_owned());
        let Self { version, name, floor, content, ends } = self;
        let content = match content {
            Content::Ended => Content::Ended,
            Content::Gone => Content::Gone,
            Content::Text(text, beside) => Content::Text(own(text), beside),
            Content::Members(Members { shape, known, entries }) => {
                let entry =
                    |Entry { rank, value }: Entry<'_>| Entry { rank, value: value.map(own) };
                let owned = entries.into_iter().map(|(field, it)| (own(field), entry(it)));
                Content::Members(Members { shape, known, entries: owned.collect() })
            }
        };
        State { version, name: own(name), floor, content, ends }
    }

    fn parts(self) -> Parts<'a> {
        let Self { name, floor, content, .. } = self;
        match content {
            Content::Members(members) => {
                // What is above the floor ends with it, so nobody asks for what was there.
                Parts { name, floor, base: Content::Ended, members: Some(members) }
            }
            base @ (Content::Ended | Content::Gone | Content::Text(..)) => {
                Parts { name, floor, base, members: None }
            }
        }
    }
}

struct Parts<'a> {
    name: Cow<'a, [u8]>,
    floor: Rank,
    base: Content<'a>,
    members: Option<Members<'a>>,
}

/// Decides between two writes of one rank, which only a broken writer makes:
/// as [`merge`](crate::record::merge) does, a tombstone is above values.
fn base_order<'c>(base: &'c Content<'_>) -> (u8, &'c [u8], Beside) {
    match base {
        Content::Ended | Content::Members(_) => (0, &[], Beside::default()),
        Content::Text(bytes, beside) => (1, bytes, *beside),
        Content::Gone => (2, &[], Beside::default()),
    }
}

impl Ends {
    fn join(self, other: Self) -> Self {
        match self.rank.cmp(&other.rank) {
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Greater => self,
            std::cmp::Ordering::Equal => {
                let idle = self.deadlines.idle.max(other.deadlines.idle);
                let absolute = self.deadlines.absolute.max(other.deadlines.absolute);
                Self { rank: self.rank, deadlines: Deadlines { idle, absolute } }
            }
        }
    }
}

impl<'a> Members<'a> {
    /// The highest rank of an entry, or of a removal that was forgotten.
    #[must_use]
    pub fn top(&self) -> Rank {
        let entries = self.entries.values().map(|entry| entry.rank).max();
        entries.unwrap_or_default().max(self.known)
    }

    /// Those that were not removed.
    pub fn live(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().filter_map(|(field, entry)| Some((&**field, &**entry.value.as_ref()?)))
    }

    /// What two nodes have of one collection, together. An entry that one of
    /// them lacks, or has in an older write, was removed there if it is not
    /// later than everything that is known there.
    fn join(self, other: Self) -> Self {
        let (shape, known) = (self.shape, self.known.max(other.known));
        let (one_known, other_known) = (self.known, other.known);
        let mut entries = BTreeMap::new();
        let mut others = other.entries;
        for (field, one) in self.entries {
            let joined = match others.remove(&field) {
                Some(other) => {
                    let one_is_later = one.order() > other.order();
                    let same = one.rank == other.rank;
                    let passes = |rank, known| same || rank > known;
                    if one_is_later {
                        passes(one.rank, other_known).then_some(one)
                    } else {
                        passes(other.rank, one_known).then_some(other)
                    }
                }
                None => (one.rank > other_known).then_some(one),
            };
            entries.extend(joined.map(|entry| (field, entry)));
        }
        entries.extend(others.into_iter().filter(|(_, other)| other.rank > one_known));
        Self { shape, known, entries }
    }

    /// What is above a floor, unless there is nothing.
    pub(super) fn above(mut self, floor: Rank) -> Option<Self> {
        self.entries.retain(|_, entry| entry.rank > floor);
        if self.known <= floor {
            self.known = Rank::default();
        }
        // Removals that were forgotten are later than the floor all the same.
        (!self.entries.is_empty() || self.known > floor).then_some(self)
    }
}

impl Entry<'_> {
    /// Decides between two writes of one rank as well, which only a broken
    /// writer makes.
    fn order(&self) -> (Rank, bool, &[u8]) {
        (self.rank, self.value.is_none(), self.value.as_deref().unwrap_or_default())
    }
}

impl std::fmt::Debug for State<'_> {
    /// Lengths only: values are state of sessions.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "State({:?}, {:?}, ", self.version, self.floor)?;
        match &self.content {
            Content::Ended | Content::Gone => write!(f, "nothing)"),
            Content::Text(bytes, _) => write!(f, "{} bytes)", bytes.len()),
            Content::Members(it) => write!(f, "{:?} of {})", it.shape, it.entries.len()),
        }
    }
}

impl std::fmt::Debug for Members<'_> {
    /// How many: they are state of sessions.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {} known to {:?}", self.shape, self.entries.len(), self.known)
    }
}

impl std::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended => write!(f, "Ended"),
            Self::Gone => write!(f, "Gone"),
            Self::Text(text, _) => write!(f, "Text({} bytes)", text.len()),
            Self::Members(members) => write!(f, "{members:?}"),
        }
    }
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({:?}, {:?} bytes)", self.rank, self.value.as_ref().map(|it| it.len()))
    }
}
