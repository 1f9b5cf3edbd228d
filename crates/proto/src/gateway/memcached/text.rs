//! Lines of the text protocol, as they are written since memcached began. It
//! knows the commands, their arguments, and in which words memcached refuses
//! them; the meta commands it leaves to [`meta`].

use super::base64::MAX_DECODED_BYTES;
use super::command::{Arithmetic, Command, Delete, Expiry, Form, Keys, Mode, Store, Text};
use super::{MAX_KEY_BYTES, meta, number};
use crate::gateway::scan::find;

/// So many words of a line are looked at: memcached's `MAX_TOKENS`, of which
/// one stands for the end. No command takes as many, but those for which the
/// rest of the line is a list of keys.
pub(super) const MAX_WORDS: usize = 23;

pub(super) const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format";
const BAD_EXPIRY: &str = "CLIENT_ERROR invalid exptime argument";

/// What a line is.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// A request that is complete.
    Request(Command<'a>, Form<'a>),
    /// A request whose value follows, so many bytes and the end of a line.
    Store(Store<'a>, Form<'a>, usize),
    /// None, which this says.
    Refused(&'static str),
    /// None, and so many bytes that follow belong to it.
    RefusedWithValue(&'static str, usize),
    /// None, which its client does not want to hear.
    Ignored,
    /// Somebody who speaks another protocol.
    Foreign,
}

/// The words of a line.
pub(super) struct Words<'a> {
    line: &'a [u8],
    words: [&'a [u8]; MAX_WORDS],
    count: usize,
}

impl<'a> Words<'a> {
    fn of(line: &'a [u8]) -> Self {
        let mut words = Self { line, words: [&[]; MAX_WORDS], count: 0 };
        for word in Keys::words(line).take(MAX_WORDS) {
            words.words[words.count] = word;
            words.count += 1;
        }
        words
    }

    /// All words, the command first.
    pub(super) fn all(&self) -> &[&'a [u8]] {
        &self.words[..self.count]
    }

    /// How many arguments there are.
    pub(super) const fn arguments(&self) -> usize {
        self.count.saturating_sub(1)
    }

    /// The argument at a place, counted from 1; empty when there is none.
    pub(super) const fn get(&self, place: usize) -> &'a [u8] {
        self.words[place]
    }

    /// The line behind so many words.
    pub(super) fn behind(&self, count: usize) -> &'a [u8] {
        let mut words = Keys::words(self.line);
        words.by_ref().take(count).for_each(drop);
        words.rest()
    }

    fn last(&self) -> &'a [u8] {
        self.words[self.count - 1]
    }

    fn is_quiet(&self) -> bool {
        self.last() == b"noreply"
    }
}

/// Reads a line without its end. A key in base64 is decoded into `room`.
pub(super) fn read<'a>(line: &'a [u8], room: &'a mut [u8; MAX_DECODED_BYTES]) -> Line<'a> {
    // To memcached a zero ends the line.
    let line = find(line, 0).map_or(line, |end| &line[..end]);
    // What is asked most has no other arguments than keys.
    let mut words = Keys::words(line);
    match words.next() {
        // `bget` is what clients of the first years say.
        Some(b"get" | b"bget") => return keys(words, false),
        Some(b"gets") => return keys(words, true),
        _ => {}
    }
    let words = Words::of(line);
    let (name, arguments) = (words.get(0), words.arguments());
    match name {
        [] | [_] => Line::Refused("ERROR"),
        [b'm', command] => meta::read(*command, &words, room),
        b"gat" if arguments >= 1 => get_and_touch(&words, false),
        b"gats" if arguments >= 1 => get_and_touch(&words, true),
        b"set" if matches!(arguments, 4 | 5) => store(&words, Mode::Set, false),
        b"add" if matches!(arguments, 4 | 5) => store(&words, Mode::Add, false),
        b"replace" if matches!(arguments, 4 | 5) => store(&words, Mode::Replace, false),
        b"append" if matches!(arguments, 4 | 5) => store(&words, Mode::Append, false),
        b"prepend" if matches!(arguments, 4 | 5) => store(&words, Mode::Prepend, false),
        b"cas" if matches!(arguments, 5 | 6) => store(&words, Mode::Set, true),
        b"incr" if matches!(arguments, 2 | 3) => arithmetic(&words, true),
        b"decr" if matches!(arguments, 2 | 3) => arithmetic(&words, false),
        b"delete" if matches!(arguments, 1..=3) => delete(&words),
        b"touch" if matches!(arguments, 2 | 3) => touch(&words),
        b"flush_all" if arguments <= 2 => flush_all(&words),
        b"verbosity" if matches!(arguments, 1 | 2) => verbosity(&words),
        b"stats" => done(Command::Stats { group: Text(words.behind(1).trim_ascii()) }, false),
        b"version" => done(Command::Version, false),
        b"quit" => done(Command::Quit, false),
        _ if is_foreign(&words) => Line::Foreign,
        _ => Line::Refused("ERROR"),
    }
}

/// A request of HTTP, which the first lines of are no commands of ours.
fn is_foreign(words: &Words<'_>) -> bool {
    // Names with these letters are looked up by memcached before it asks.
    let known = matches!(words.get(0)[0], b'g' | b's' | b'a' | b'c' | b'i' | b'd' | b't');
    !known && words.last().starts_with(b"HTTP/")
}

const fn done(command: Command<'_>, quiet: bool) -> Line<'_> {
    Line::Request(command, Form::Classic { quiet, cas: false })
}

/// A refusal that a client that wants no reply does not get either.
const fn refused<'a>(text: &'static str, quiet: bool) -> Line<'a> {
    if quiet { Line::Ignored } else { Line::Refused(text) }
}

fn keys(keys: Keys<'_>, cas: bool) -> Line<'_> {
    match count(keys) {
        Some(0) => Line::Refused("ERROR"),
        Some(_) => values(keys, cas, None),
        None => Line::Refused(BAD_FORMAT),
    }
}

/// How many keys there are, if none is too long.
fn count(mut keys: Keys<'_>) -> Option<usize> {
    keys.try_fold(0, |count, key| (key.len() <= MAX_KEY_BYTES).then_some(count + 1))
}

fn get_and_touch<'a>(words: &Words<'a>, cas: bool) -> Line<'a> {
    let Some(seconds) = number::signed(words.get(1)) else { return Line::Refused(BAD_EXPIRY) };
    let keys = Keys::words(words.behind(2));
    if count(keys).is_none() {
        return Line::Refused(BAD_FORMAT);
    }
    values(keys, cas, Some(Expiry::from_signed(seconds)))
}

const fn values(keys: Keys<'_>, cas: bool, touch: Option<Expiry>) -> Line<'_> {
    Line::Request(Command::Get { keys, touch }, Form::Classic { quiet: false, cas })
}

fn store<'a>(words: &Words<'a>, mode: Mode, with_cas: bool) -> Line<'a> {
    let (key, quiet) = (words.get(1), words.is_quiet());
    let read = || {
        let flags = number::unsigned_32(words.get(2))?;
        let expiry = Expiry::from_signed(number::signed(words.get(3))?);
        let bytes = value_len(words.get(4))?;
        let cas = if with_cas { Some(number::unsigned(words.get(5))?) } else { None };
        let (key, value) = (Text(key), Text(&[]));
        Some((Store { mode, key, flags, expiry, cas, invalidate: false, value }, bytes))
    };
    match read() {
        Some((store, bytes)) if key.len() <= MAX_KEY_BYTES => {
            Line::Store(store, Form::Classic { quiet, cas: false }, bytes)
        }
        _ => refused(BAD_FORMAT, quiet),
    }
}

/// The length of a value, which the end of a line follows.
pub(super) fn value_len(word: &[u8]) -> Option<usize> {
    let len = number::signed(word)?;
    usize::try_from(len).ok().filter(|_| len <= i32::MAX - 2)
}

fn arithmetic<'a>(words: &Words<'a>, up: bool) -> Line<'a> {
    let (key, quiet) = (words.get(1), words.is_quiet());
    if key.len() > MAX_KEY_BYTES {
        return refused(BAD_FORMAT, quiet);
    }
    let Some(delta) = number::unsigned(words.get(2)) else {
        return refused("CLIENT_ERROR invalid numeric delta argument", quiet);
    };
    let (initial, cas, touch) = (None, None, None);
    done(Command::Arithmetic(Arithmetic { key: Text(key), up, delta, initial, cas, touch }), quiet)
}

fn delete<'a>(words: &Words<'a>) -> Line<'a> {
    let (key, arguments) = (words.get(1), words.arguments());
    let quiet = arguments > 1 && words.is_quiet();
    // Once a time could be told for which the key was not to be used.
    let held = words.get(2) == b"0";
    let valid = match arguments {
        1 => true,
        2 => held || quiet,
        _ => held && quiet,
    };
    if !valid {
        let usage = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]";
        return refused(usage, quiet);
    }
    if key.len() > MAX_KEY_BYTES {
        return refused(BAD_FORMAT, quiet);
    }
    let delete = Delete { key: Text(key), cas: None, invalidate: false, expiry: None };
    done(Command::Delete(delete), quiet)
}

fn touch<'a>(words: &Words<'a>) -> Line<'a> {
    let (key, quiet) = (words.get(1), words.is_quiet());
    if key.len() > MAX_KEY_BYTES {
        return refused(BAD_FORMAT, quiet);
    }
    let Some(seconds) = number::signed(words.get(2)) else { return refused(BAD_EXPIRY, quiet) };
    done(Command::Touch { key: Text(key), expiry: Expiry::from_signed(seconds) }, quiet)
}

fn flush_all<'a>(words: &Words<'a>) -> Line<'a> {
    let quiet = words.is_quiet();
    let at = if words.arguments() == usize::from(quiet) {
        Expiry::Never
    } else {
        let Some(seconds) = number::signed(words.get(1)) else {
            return refused(BAD_EXPIRY, quiet);
        };
        Expiry::from_signed(seconds)
    };
    done(Command::FlushAll { at }, quiet)
}

fn verbosity<'a>(words: &Words<'a>) -> Line<'a> {
    let quiet = words.is_quiet();
    match number::unsigned_32(words.get(1)) {
        Some(_) => done(Command::Verbosity, quiet),
        None => refused(BAD_FORMAT, quiet),
    }
}
