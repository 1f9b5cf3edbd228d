//! What clients ask for, the same for all three protocols. It knows how a
//! request is to be answered, and leaves the writing to [`reply`](super::reply).

use std::fmt;

use crate::gateway::scan::find;

/// Texts that a request has brought: printed as their length, since keys name
/// sessions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A command, and how its outcome is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// What is to be done.
    pub command: Command<'a>,
    /// What the [`Writer`](super::Writer) of its reply is made with.
    pub answer: Answer<'a>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Values of keys: one `hit` or `miss` each, then `end`.
    Get {
        /// At least one, but for `gat` without any.
        keys: Keys<'a>,
        /// What becomes of their expiry.
        touch: Option<Expiry>,
    },
    /// A value with its circumstances: the meta command `mg`.
    Fetch(Fetch<'a>),
    /// A value is to be stored.
    Store(Store<'a>),
    /// A value that is longer than allowed was sent for this key, and is not
    /// read: to be answered by `too_large`.
    TooLarge {
        /// The key.
        key: Text<'a>,
        /// Whether what is stored there has to go, lest the client take it
        /// for what it wanted to store.
        forget: bool,
    },
    /// A key is to go.
    Delete(Delete<'a>),
    /// A number is to be changed.
    Arithmetic(Arithmetic<'a>),
    /// A new expiry for what is there.
    Touch {
        /// The key.
        key: Text<'a>,
        /// From when on it is gone.
        expiry: Expiry,
    },
    /// What is known of a key beside its value: the meta command `me`.
    Inspect {
        /// The key.
        key: Text<'a>,
    },
    /// All that is there is to go.
    FlushAll {
        /// From when on; at once when it is [`Expiry::Never`] or past.
        at: Expiry,
    },
    /// Figures of a group: `stat` each, then `end_of_stats`.
    Stats {
        /// The group's name and arguments; empty for the general ones.
        group: Text<'a>,
    },
    /// How much is logged, which is not for clients to say: `ok`.
    Verbosity,
    /// The version: `version`.
    Version,
    /// Nothing, once all before it is done: `noop`.
    Noop,
    /// The connection is to end, after `quit`.
    Quit,
}

/// From when on a value is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// When memory runs out, or its client removes it.
    Never,
    /// In so many seconds.
    In(u32),
    /// At this time, in seconds since 1970 began.
    At(u32),
    /// Already.
    Past,
}

impl Expiry {
    /// Up to so many seconds are counted from when the request is executed,
    /// more since 1970 (`REALTIME_MAXDELTA`: 30 days).
    const MAX_RELATIVE_S: u32 = 60 * 60 * 24 * 30;

    /// As the text protocol writes it.
    pub(super) fn from_signed(seconds: i32) -> Self {
        u32::try_from(seconds).map_or(Self::Past, Self::from_unsigned)
    }

    /// As the binary protocol writes it.
    pub(super) const fn from_unsigned(seconds: u32) -> Self {
        match seconds {
            0 => Self::Never,
            1..=Self::MAX_RELATIVE_S => Self::In(seconds),
            _ => Self::At(seconds),
        }
    }
}

/// The keys of a request, in order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Keys<'a> {
    rest: &'a [u8],
    /// A key of the binary protocol may have blanks.
    single: bool,
}

impl<'a> Keys<'a> {
    /// A key, whatever is in it.
    pub(super) const fn one(key: &'a [u8]) -> Self {
        Self { rest: key, single: true }
    }

    /// Words of a line.
    pub(super) const fn words(line: &'a [u8]) -> Self {
        Self { rest: line, single: false }
    }

    /// What has not been given yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.single {
            let key = std::mem::take(&mut self.rest);
            return (!key.is_empty()).then_some(key);
        }
        let start = self.rest.iter().position(|byte| *byte != b' ')?;
        let rest = &self.rest[start..];
        let end = find(rest, b' ').unwrap_or(rest.len());
        let (key, rest) = rest.split_at(end);
        self.rest = rest;
        Some(key)
    }
}

impl fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.count())
    }
}

/// What `mg` asks for, beside what its reply is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch<'a> {
    /// The key.
    pub key: Text<'a>,
    /// A new expiry.
    pub touch: Option<Expiry>,
    /// An empty value with this expiry is created where there is none; who
    /// created it has won the right to fill it.
    pub vivify: Option<Expiry>,
    /// Who comes when a value expires before this has won the right to fill it
    /// anew.
    pub recache: Option<Expiry>,
    /// Whether it counts as an access.
    pub counts: bool,
}

/// How a value is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Whatever is there.
    Set,
    /// Only where nothing is.
    Add,
    /// Only where something is.
    Replace,
    /// Behind what is there, whose flags and expiry stay.
    Append,
    /// Before what is there, whose flags and expiry stay.
    Prepend,
}

/// A value to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store<'a> {
    /// How.
    pub mode: Mode,
    /// The key.
    pub key: Text<'a>,
    /// What the client keeps beside its value.
    pub flags: u32,
    /// From when on the value is gone.
    pub expiry: Expiry,
    /// Only if what is there has this number. With [`Mode::Set`] and
    /// [`Mode::Replace`] that is a compare-and-set, which answers `not_found`
    /// where nothing is.
    pub cas: Option<u64>,
    /// With an older number than what is there has: stored all the same, and
    /// marked as stale.
    pub invalidate: bool,
    /// The value.
    pub value: Text<'a>,
}

/// A key that is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delete<'a> {
    /// The key.
    pub key: Text<'a>,
    /// Only if what is there has this number.
    pub cas: Option<u64>,
    /// It is to be marked as stale, and not to go.
    pub invalidate: bool,
    /// The expiry of what is marked so.
    pub expiry: Option<Expiry>,
}

/// A number that is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arithmetic<'a> {
    /// The key.
    pub key: Text<'a>,
    /// Up, around the end of 64 bits; or down, to 0.
    pub up: bool,
    /// By how much.
    pub delta: u64,
    /// What is stored where nothing is, and its expiry.
    pub initial: Option<(u64, Expiry)>,
    /// Only if what is there has this number.
    pub cas: Option<u64>,
    /// A new expiry.
    pub touch: Option<Expiry>,
}

/// How a request's outcome is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a>(pub(super) Form<'a>);

impl Answer<'_> {
    /// What tells an error in the same form, and needs nothing of the request.
    #[must_use]
    pub const fn of_errors(self) -> Answer<'static> {
        Answer(match self.0 {
            Form::Classic { quiet, cas } => Form::Classic { quiet, cas },
            Form::Meta { value, number, quiet, .. } => {
                let (flags, key) = (Text(&[]), Text(&[]));
                Form::Meta { flags, key, encoded: false, value, number, quiet }
            }
            Form::Binary { opcode, opaque, quiet } => Form::Binary { opcode, opaque, quiet },
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form<'a> {
    /// A line of the older commands.
    Classic {
        /// Nothing at all is to be said.
        quiet: bool,
        /// Values are to be told with their numbers.
        cas: bool,
    },
    /// A line of a meta command.
    Meta {
        /// What was asked for, in words of which the first letter counts.
        flags: Text<'a>,
        key: Text<'a>,
        /// The key is written in base64.
        encoded: bool,
        /// The value is to be told.
        value: bool,
        /// The number is told whatever comes of it: 0 where there is none.
        number: bool,
        /// What is as expected is not to be said.
        quiet: bool,
    },
    /// A packet.
    Binary {
        opcode: u8,
        /// What the client recognises the reply by.
        opaque: [u8; 4],
        /// What is as expected is not to be said.
        quiet: bool,
    },
}
