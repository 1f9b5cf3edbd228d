//! Requests, from bytes that come in any pieces. It owns which protocol a
//! connection speaks, how far its input has been read, and what of it is not
//! to be read at all; what a line or a packet says is for [`text`](super::text)
//! and [`binary`](super::binary) to know.

use super::base64::MAX_DECODED_BYTES;
use super::binary::{self, HEADER_BYTES, Header, Packet};
use super::command::{Answer, Command, Form, Mode, Request, Store, Text};
use super::reply::{Status, Writer};
use super::text::{self, Line};
use super::{BINARY_REQUEST, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::gateway::scan::find;

/// The longest line, but for a list of keys. memcached waits so long for the
/// end of a line before it takes its client for somebody else's; the longest
/// that has a meaning, with [`MAX_KEY_BYTES`], has a third of it.
pub const MAX_LINE_BYTES: usize = 2048;

/// The longest line of `get` or `gets`, for which memcached knows no limit:
/// room for four thousand of the longest keys.
pub const MAX_MULTIGET_BYTES: usize = 4096 * (MAX_KEY_BYTES + 1);

/// So many blanks may stand before a `get` that is longer than other lines.
const MAX_INDENT_BYTES: usize = 100;

/// What a request may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a value may be.
    pub value_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { value_bytes: MAX_VALUE_BYTES }
    }
}

/// What a connection's input has.
#[derive(Debug)]
pub enum Parsed<'a> {
    /// A request.
    Request(Request<'a>),
    /// Something that is none.
    Refused(Refusal),
}

/// What is said of input that is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(Reply);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Nothing,
    Line(&'static str),
    Packet { opcode: u8, opaque: [u8; 4], status: Status, closes: bool },
}

impl Refusal {
    /// Appends it to the connection's output.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.0 {
            Reply::Nothing => {}
            Reply::Line(text) => {
                let answer = Answer(Form::Classic { quiet: false, cas: false });
                Writer::new(out, answer).line(text);
            }
            Reply::Packet { opcode, opaque, status, .. } => {
                let answer = Answer(Form::Binary { opcode, opaque, quiet: false });
                Writer::new(out, answer).error(status);
            }
        }
    }

    /// Whether the connection ends after it.
    #[must_use]
    pub const fn closes(&self) -> bool {
        matches!(self.0, Reply::Packet { closes: true, .. })
    }

    fn packet(form: Form<'_>, status: Status, closes: bool) -> Self {
        let Form::Binary { opcode, opaque, .. } = form else { return Self(Reply::Nothing) };
        Self(Reply::Packet { opcode, opaque, status, closes })
    }
}

/// Why a connection ends without a reply, as memcached ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// A line that does not end.
    #[error("a line of more bytes than a command has")]
    EndlessLine,
    /// A line of HTTP.
    #[error("a request of HTTP")]
    Http,
    /// A packet that begins with another byte than all do.
    #[error("a packet that begins with {0:#04x}, where {BINARY_REQUEST:#04x} was expected")]
    Magic(u8),
}

/// How far a connection's input has been read.
///
/// The input is the caller's, who keeps what is not consumed and appends to
/// it. A value is looked at once, however it comes in; the line before it is
/// read again when all of it is there.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    /// By the first byte.
    binary: Option<bool>,
    /// How many bytes at the start of the input are no one's.
    unwanted: usize,
    /// What of the input has been searched for the end of a line.
    searched: usize,
    /// The length of the input that lets reading go on.
    needed: usize,
    /// How long the input was when it did not suffice.
    had: usize,
    /// A key that came in base64.
    room: [u8; MAX_DECODED_BYTES],
}

impl Parser {
    /// A parser at the start of a connection.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            binary: None,
            unwanted: 0,
            searched: 0,
            needed: 1,
            had: 0,
            room: [0; MAX_DECODED_BYTES],
        }
    }

    /// Whether the connection speaks the binary protocol, once it has spoken.
    #[must_use]
    pub const fn is_binary(&self) -> Option<bool> {
        self.binary
    }

    /// The request at the start of `input`, which is moved past it. Nothing
    /// when it is not complete; the next call's input has then to begin with
    /// what this one left.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the connection is to be closed without a word.
    pub fn next<'p, 'i: 'p>(
        &'p mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Parsed<'p>>, Closed> {
        let passed = self.unwanted.min(input.len());
        *input = &input[passed..];
        self.unwanted -= passed;
        self.had = input.len();
        if input.len() < self.needed {
            return Ok(None);
        }
        let binary = *self.binary.get_or_insert(input[0] == BINARY_REQUEST);
        if binary { self.packet(input) } else { self.line(input) }
    }

    /// How many bytes are lacking, at least, when there was no request. It is
    /// what the client says: no reason to make room for all of them at once.
    #[must_use]
    pub const fn missing(&self) -> usize {
        self.needed.saturating_sub(self.had)
    }

    fn line<'p, 'i: 'p>(&'p mut self, input: &mut &'i [u8]) -> Result<Option<Parsed<'p>>, Closed> {
        let all = *input;
        let Some(end) = self.find_end(all)? else { return Ok(None) };
        let line = all[..end].strip_suffix(b"\r").unwrap_or(&all[..end]);
        let (mut used, mut unwanted) = (end + 1, 0);
        let parsed = match text::read(line, &mut self.room) {
            Line::Request(command, form) => {
                Parsed::Request(Request { command, answer: Answer(form) })
            }
            Line::Store(store, form, bytes) if bytes > self.limits.value_bytes => {
                unwanted = bytes + 2;
                Parsed::Request(too_large(&store, form))
            }
            Line::Store(store, form, bytes) => {
                let value = used..used + bytes;
                used = value.end + 2;
                if all.len() < used {
                    self.needed = used;
                    return Ok(None);
                }
                let (value, end) = (&all[value.clone()], &all[value.end..used]);
                if end == b"\r\n" { stored(store, form, value) } else { bad_chunk(form) }
            }
            Line::Refused(text) => Parsed::Refused(Refusal(Reply::Line(text))),
            Line::RefusedWithValue(text, bytes) => {
                unwanted = bytes + 2;
                Parsed::Refused(Refusal(Reply::Line(text)))
            }
            Line::Ignored => Parsed::Refused(Refusal(Reply::Nothing)),
            Line::Foreign => return Err(Closed::Http),
        };
        (self.searched, self.needed, self.unwanted) = (0, 1, unwanted);
        *input = &all[used..];
        Ok(Some(parsed))
    }

    /// Where the line that the input begins with has its end.
    fn find_end(&mut self, input: &[u8]) -> Result<Option<usize>, Closed> {
        let limit = if self.searched < MAX_LINE_BYTES || !is_get(input) {
            MAX_LINE_BYTES
        } else {
            MAX_MULTIGET_BYTES
        };
        let last = input.len().min(limit);
        let found = find(&input[self.searched..last], b'\n');
        if let Some(place) = found {
            // It is found again at once when a value is waited for.
            self.searched += place;
            return Ok(Some(self.searched));
        }
        self.searched = last;
        if input.len() > limit {
            if limit == MAX_LINE_BYTES && is_get(input) {
                return self.find_end(input);
            }
            return Err(Closed::EndlessLine);
        }
        self.needed = input.len() + 1;
        Ok(None)
    }

    fn packet<'p, 'i: 'p>(
        &'p mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Parsed<'p>>, Closed> {
        let all = *input;
        if all[0] != BINARY_REQUEST {
            return Err(Closed::Magic(all[0]));
        }
        let Some((header, rest)) = all.split_first_chunk::<HEADER_BYTES>() else {
            self.needed = HEADER_BYTES;
            return Ok(None);
        };
        let header = Header::read(header);
        let Some((head, rest)) = rest.split_at_checked(header.head_bytes()) else {
            self.needed = HEADER_BYTES + header.head_bytes();
            return Ok(None);
        };
        let value_bytes = header.body_bytes().saturating_sub(header.head_bytes());
        let (mut used, mut unwanted) = (HEADER_BYTES + header.head_bytes(), 0);
        let parsed = match header.packet(head) {
            Packet::Request(command, form) => {
                Parsed::Request(Request { command, answer: Answer(form) })
            }
            Packet::Store(store, form) if value_bytes > self.limits.value_bytes => {
                unwanted = value_bytes;
                Parsed::Request(too_large(&store, form))
            }
            Packet::Store(store, form) => {
                used += value_bytes;
                let Some(value) = rest.get(..value_bytes) else {
                    self.needed = used;
                    return Ok(None);
                };
                stored(store, form, value)
            }
            Packet::Unknown(form) => {
                unwanted = value_bytes;
                Parsed::Refused(Refusal::packet(form, Status::Unknown, false))
            }
            Packet::Invalid(form) => Parsed::Refused(Refusal::packet(form, Status::Invalid, true)),
            Packet::Endless(form) => Parsed::Refused(Refusal::packet(form, Status::Unknown, true)),
        };
        (self.needed, self.unwanted) = (1, unwanted);
        *input = &all[used..];
        Ok(Some(parsed))
    }
}

/// Whether a line that has come to [`MAX_LINE_BYTES`] may be longer.
fn is_get(line: &[u8]) -> bool {
    let indent = line.iter().take_while(|byte| **byte == b' ').count();
    let name = &line[indent..];
    indent <= MAX_INDENT_BYTES && (name.starts_with(b"get ") || name.starts_with(b"gets "))
}

fn stored<'a>(store: Store<'a>, form: Form<'a>, value: &'a [u8]) -> Parsed<'a> {
    let command = Command::Store(Store { value: Text(value), ..store });
    Parsed::Request(Request { command, answer: Answer(form) })
}

/// A value that does not end where its line said.
fn bad_chunk(form: Form<'_>) -> Parsed<'static> {
    let quiet = matches!(form, Form::Classic { quiet: true, .. });
    let text = "CLIENT_ERROR bad data chunk";
    Parsed::Refused(Refusal(if quiet { Reply::Nothing } else { Reply::Line(text) }))
}

/// What a request becomes whose value is longer than allowed.
fn too_large<'a>(store: &Store<'a>, form: Form<'a>) -> Request<'a> {
    let forget = match form {
        // Of the older commands only a plain `set` leaves nothing behind.
        Form::Classic { .. } => store.mode == Mode::Set && store.cas.is_none(),
        Form::Meta { .. } => true,
        Form::Binary { opcode, .. } => binary::kind(opcode) == binary::SET,
    };
    Request { command: Command::TooLarge { key: store.key, forget }, answer: Answer(form) }
}
