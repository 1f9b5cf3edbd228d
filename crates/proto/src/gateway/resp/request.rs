//! Requests, from bytes that come in any pieces. It owns how far the request
//! at the start of the input has been read, and copies none of it but typed
//! lines, whose quotes are taken away.
//!
//! A request is an array of strings, `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`, or a
//! typed line (`inline`). Input that can be neither is answered by one
//! [`ProtocolError`], after which nothing more can be read of the connection.

use std::fmt;

use zeroize::{Zeroize as _, Zeroizing};

use super::{MAX_LINE_BYTES, ProtocolError, inline};
use crate::gateway::number::parse_i64;
use crate::record::MAX_PAYLOAD_BYTES;

/// How many arguments a client may send before it has logged in: room for
/// `HELLO 3 AUTH user password SETNAME name`. Redis' own limit.
pub const UNAUTHENTICATED_ARGUMENTS: u32 = 10;
/// How long they may be. Redis' own limit.
pub const UNAUTHENTICATED_BULK_BYTES: u32 = 16 * 1024;

/// Up to so many arguments' places are kept for the next request: more than
/// nearly every request has, in 8 KiB.
const KEPT_ARGUMENTS: usize = 1024;
/// So much room is kept for the next typed line.
const KEPT_LINE_BYTES: usize = 1024;

/// What a request may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many arguments it may have, its name counted.
    pub arguments: u32,
    /// How long each of them may be.
    pub bulk_bytes: u32,
    /// How long all of it may be, as it stands in the input.
    pub total_bytes: u32,
}

impl Default for Limits {
    /// A million arguments, as Redis long had it; strings four times as long
    /// as a record's payload, so that it is the command which says that a
    /// value is too long; and sixteen such payloads in all.
    fn default() -> Self {
        let payload = u32::try_from(MAX_PAYLOAD_BYTES).expect("a megabyte");
        Self { arguments: 1 << 20, bulk_bytes: 4 * payload, total_bytes: 16 * payload }
    }
}

/// Where an argument stands.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

/// A command and its arguments, at least one in all, where they stand in the
/// input.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Request<'a> {
    /// How many arguments there are, the command's name counted.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.spans.len()
    }

    /// The command's name, in the case that the client has chosen.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.get(0).expect("a request has a name")
    }

    /// The argument at a place; the name is at 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).map(|span| &self.bytes[span.start as usize..span.end as usize])
    }

    /// All arguments, the name first.
    #[must_use]
    pub fn arguments(&self) -> Arguments<'a> {
        Arguments { bytes: self.bytes, spans: self.spans.iter() }
    }
}

impl fmt::Debug for Request<'_> {
    /// Arguments may be passwords and sessions: only how much they are is told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: usize = self.arguments().map(<[u8]>::len).sum();
        write!(f, "Request({} arguments, {bytes} bytes)", self.count())
    }
}

/// The arguments of a [`Request`], in order.
#[derive(Clone)]
pub struct Arguments<'a> {
    bytes: &'a [u8],
    spans: std::slice::Iter<'a, Span>,
}

impl<'a> Iterator for Arguments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.spans.next().map(|span| &self.bytes[span.start as usize..span.end as usize])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl ExactSizeIterator for Arguments<'_> {}

impl fmt::Debug for Arguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arguments({} left)", self.len())
    }
}

/// How far the request at the start of a connection's input has been read.
///
/// The input is the caller's, who keeps what is not consumed and appends to
/// it. No byte is looked at twice, however it comes in.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    authenticated: bool,
    /// What has been read, counted from the request's start.
    at: usize,
    /// What of the line at `at` has been searched for its end.
    searched: usize,
    /// The length of the input that lets reading go on.
    needed: usize,
    /// How long the input was when it did not suffice.
    had: usize,
    /// How many arguments are to come.
    remaining: u32,
    /// The length of the argument at `at`, where that has been read.
    bulk: Option<u32>,
    spans: Vec<Span>,
    /// The words of a typed line, which may have been a password.
    words: Zeroizing<Vec<u8>>,
}

impl Parser {
    /// A parser at the start of a connection, whose client has to log in
    /// first if it is not `authenticated`.
    #[must_use]
    pub fn new(limits: Limits, authenticated: bool) -> Self {
        Self {
            limits,
            authenticated,
            at: 0,
            searched: 0,
            needed: 1,
            had: 0,
            remaining: 0,
            bulk: None,
            spans: Vec::new(),
            words: Zeroizing::default(),
        }
    }

    /// Takes the limits off, or puts them on, that hold until a client has
    /// logged in.
    pub const fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
    }

    /// The request at the start of `input`, which is moved past it, and past
    /// empty requests before it. Nothing when it is not complete; the next
    /// call's input has then to begin with what this one left.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`] when it can be no request, whatever follows.
    pub fn next<'p, 'i: 'p>(
        &'p mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Request<'p>>, ProtocolError> {
        let (request, typed) = loop {
            if input.len() < self.needed {
                self.had = input.len();
                return Ok(None);
            }
            let typed = input[0] != b'*';
            if self.at == 0 {
                self.forget();
            }
            let end = if typed { self.read_line(input)? } else { self.read_array(input)? };
            let Some(end) = end else {
                self.had = input.len();
                return Ok(None);
            };
            let (request, rest) = input.split_at(end);
            *input = rest;
            (self.at, self.searched, self.needed) = (0, 0, 1);
            if !self.spans.is_empty() {
                break (request, typed);
            }
        };
        let bytes = if typed { self.words.as_slice() } else { request };
        Ok(Some(Request { bytes, spans: &self.spans }))
    }

    /// Whether a request begins with the next input.
    #[must_use]
    pub const fn is_at_start(&self) -> bool {
        self.at == 0 && self.searched == 0
    }

    /// How many bytes are lacking, at least, when there was no request. It is
    /// what the client says: no reason to make room for all of them at once.
    #[must_use]
    pub const fn missing(&self) -> usize {
        self.needed.saturating_sub(self.had)
    }

    /// Reads on in an array of strings, and gives its end once it is there.
    fn read_array(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        if self.at == 0 {
            let (count, end) = match short(input, 0) {
                Some((count, end)) => (i64::from(count), end),
                None => match self.line(input, ProtocolError::TooBigCount)? {
                    Some(line) => {
                        let count = parse_i64(&line[1..]).ok_or(ProtocolError::InvalidCount)?;
                        (count, line.len() + 2)
                    }
                    None => return Ok(None),
                },
            };
            if count > i64::from(self.limits.arguments) {
                return Err(ProtocolError::InvalidCount);
            }
            if !self.authenticated && count > i64::from(UNAUTHENTICATED_ARGUMENTS) {
                return Err(ProtocolError::UnauthenticatedCount);
            }
            self.at = end;
            // Redis takes a negative count for an empty request as well.
            self.remaining = u32::try_from(count).unwrap_or(0);
        }
        while self.remaining > 0 {
            let bulk = match self.bulk {
                Some(bulk) => bulk,
                None => match self.read_length(input)? {
                    Some(bulk) => bulk,
                    None => return Ok(None),
                },
            };
            let end = self.at + bulk as usize;
            // Redis does not look at the two bytes behind a string either.
            if input.len() < end + 2 {
                self.bulk = Some(bulk);
                self.needed = end + 2;
                return Ok(None);
            }
            self.push(self.at, end);
            self.at = end + 2;
            self.bulk = None;
            self.remaining -= 1;
        }
        Ok(Some(self.at))
    }

    /// The length of the argument that begins at `at`, which moves past it.
    fn read_length(&mut self, input: &[u8]) -> Result<Option<u32>, ProtocolError> {
        let (length, start) = match short(input, self.at) {
            Some((length, start)) if input[self.at] == b'$' => (length, start),
            _ => match self.line(input, ProtocolError::TooBigLength)? {
                Some(line) => (length(line)?, self.at + line.len() + 2),
                None => return Ok(None),
            },
        };
        if length > self.limits.bulk_bytes {
            return Err(ProtocolError::InvalidLength);
        }
        if !self.authenticated && length > UNAUTHENTICATED_BULK_BYTES {
            return Err(ProtocolError::UnauthenticatedLength);
        }
        if start + length as usize + 2 > self.limits.total_bytes as usize {
            return Err(ProtocolError::TooBigRequest);
        }
        self.at = start;
        Ok(Some(length))
    }

    /// The line that begins at `at`, once both bytes of its end are there. As
    /// in Redis, the second may be any, and a line with a zero does not end.
    fn line<'i>(
        &mut self,
        input: &'i [u8],
        too_big: ProtocolError,
    ) -> Result<Option<&'i [u8]>, ProtocolError> {
        let Some(end) = self.find(input, b'\r', too_big)? else { return Ok(None) };
        if input.len() < end + 2 {
            self.needed = end + 2;
            return Ok(None);
        }
        Ok(Some(&input[self.at..end]))
    }

    /// Where the line that begins at `at` has its first `end`.
    fn find(
        &mut self,
        input: &[u8],
        end: u8,
        too_big: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let first = self.searched.max(self.at);
        let last = input.len().min(self.at + MAX_LINE_BYTES + 1);
        let stop = input[first..last].iter().position(|byte| *byte == end || *byte == 0);
        let stop = first + stop.unwrap_or(last - first);
        if stop < last && input[stop] == end {
            self.searched = stop;
            return Ok(Some(stop));
        }
        if input.len() > self.at + MAX_LINE_BYTES {
            return Err(too_big);
        }
        self.searched = stop;
        self.needed = input.len() + 1;
        Ok(None)
    }

    /// Reads a typed line, and gives its end once it is there.
    fn read_line(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let Some(end) = self.find(input, b'\n', ProtocolError::TooBigInline)? else {
            return Ok(None);
        };
        let line = &input[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // What grows leaves its bytes behind: it is wiped before it does.
        self.words.zeroize();
        self.words.reserve_exact(line.len());
        let (spans, mut start) = (&mut self.spans, 0);
        let split = inline::split(line, &mut self.words, |end| {
            spans.push(Span::new(start, end));
            start = end;
        });
        split.map_err(|_| ProtocolError::UnbalancedQuotes)?;
        Ok(Some(end + 1))
    }

    fn push(&mut self, start: usize, end: usize) {
        self.spans.push(Span::new(start, end));
    }

    /// Lets the last request's arguments go, and much room that it took.
    fn forget(&mut self) {
        if self.spans.capacity() > KEPT_ARGUMENTS {
            self.spans = Vec::new();
        }
        if self.words.capacity() > KEPT_LINE_BYTES {
            self.words = Zeroizing::default();
        }
        self.spans.clear();
    }
}

/// A number of up to seven digits between the byte at `at` and the end of its
/// line, and where the next line begins: what all but a few lines are. Nothing
/// when it is otherwise, or not all there.
pub(super) fn short(input: &[u8], at: usize) -> Option<(u32, usize)> {
    const MAX_DIGITS: usize = 7;
    let digits = input.get(at + 1..)?;
    let mut value = 0;
    for (place, byte) in digits.iter().take(MAX_DIGITS + 1).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let good = *byte == b'\r' && place > 0 && (digits[0] != b'0' || place == 1);
            return (good && digits.len() > place + 1).then_some((value, at + place + 3));
        }
        value = value * 10 + u32::from(digit);
    }
    None
}

/// The length that any line says.
fn length(line: &[u8]) -> Result<u32, ProtocolError> {
    let Some(digits) = line.strip_prefix(b"$") else {
        // An empty line has its end at the place of that byte.
        return Err(ProtocolError::ExpectedBulk(line.first().copied().unwrap_or(b'\r')));
    };
    let length = parse_i64(digits).and_then(|length| u32::try_from(length).ok());
    length.ok_or(ProtocolError::InvalidLength)
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        let within = "a request is no longer than its limit, which is a u32";
        Self { start: u32::try_from(start).expect(within), end: u32::try_from(end).expect(within) }
    }
}
