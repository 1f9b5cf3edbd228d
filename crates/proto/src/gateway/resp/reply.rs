//! Replies as bytes, in either version of the protocol. It knows what the
//! older version writes in place of what only the newer one has.

use super::ProtocolError;
use crate::gateway::number::{append_f64, append_i64, append_u64};

/// Which version of the protocol a connection has agreed on by `HELLO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// Every connection's first.
    #[default]
    Resp2,
    /// With maps, sets, pushes, doubles, booleans and a null of its own.
    Resp3,
}

/// Appends replies to a connection's output.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    version: Version,
}

impl<'a> Writer<'a> {
    /// A writer to the end of `out`.
    #[must_use]
    pub const fn new(out: &'a mut Vec<u8>, version: Version) -> Self {
        Self { out, version }
    }

    /// The version that is written.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Goes on in another version, as `HELLO` asks for.
    pub const fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// How many bytes the output has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the output has nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Takes back what was written since the output had `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A status: one short line.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error: its code and what is wrong, as `ERR no such key`. What would
    /// end the line is written as blanks.
    pub fn error(&mut self, text: &str) {
        self.line(b'-', text.as_bytes());
    }

    /// An error whose text has bytes of the client's.
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.line(b'-', text);
    }

    /// The last reply of a connection whose input is no request.
    pub fn protocol_error(&mut self, error: ProtocolError) {
        self.out.extend_from_slice(b"-ERR Protocol error: ");
        if let ProtocolError::ExpectedBulk(found) = error {
            // A byte, whichever it is, and not a character.
            let found = if matches!(found, b'\r' | b'\n') { b' ' } else { found };
            self.out.extend_from_slice(b"expected '$', got '");
            self.out.extend_from_slice(&[found, b'\'']);
        } else {
            self.out.extend_from_slice(error.text().as_bytes());
        }
        self.end();
    }

    /// An integer.
    pub fn integer(&mut self, value: i64) {
        self.out.push(b':');
        append_i64(self.out, value);
        self.end();
    }

    /// A string of any bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.head(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.end();
    }

    /// An integer as a string.
    pub fn bulk_integer(&mut self, value: i64) {
        self.measured(|out| append_i64(out, value));
    }

    /// No value where a string could be.
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.version {
            Version::Resp2 => b"$-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }

    /// No value where an array could be.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.version {
            Version::Resp2 => b"*-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }

    /// Yes or no: 1 or 0 in the older version.
    pub fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(match (self.version, value) {
            (Version::Resp2, true) => b":1\r\n",
            (Version::Resp2, false) => b":0\r\n",
            (Version::Resp3, true) => b"#t\r\n",
            (Version::Resp3, false) => b"#f\r\n",
        });
    }

    /// A double: a string in the older version.
    pub fn double(&mut self, value: f64) {
        match self.version {
            Version::Resp2 => self.measured(|out| append_f64(out, value)),
            Version::Resp3 => {
                self.out.push(b',');
                append_f64(self.out, value);
                self.end();
            }
        }
    }

    /// An integer of any length, as its digits: a string in the older version.
    pub fn big_number(&mut self, digits: &str) {
        match self.version {
            Version::Resp2 => self.bulk(digits.as_bytes()),
            Version::Resp3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// Text for people, of a format that three letters name (`txt`, `mkd`): a
    /// string in the older version.
    pub fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        if self.version == Version::Resp2 {
            return self.bulk(text);
        }
        self.head(b'=', format.len() + 1 + text.len());
        self.out.extend_from_slice(&format);
        self.out.push(b':');
        self.out.extend_from_slice(text);
        self.end();
    }

    /// The head of so many replies in a row.
    pub fn array(&mut self, len: usize) {
        self.head(b'*', len);
    }

    /// The head of so many pairs of replies: an array of twice as many in the
    /// older version.
    pub fn map(&mut self, pairs: usize) {
        match self.version {
            Version::Resp2 => self.head(b'*', 2 * pairs),
            Version::Resp3 => self.head(b'%', pairs),
        }
    }

    /// The head of so many replies in no order: an array in the older version.
    pub fn set(&mut self, len: usize) {
        self.head(if self.version == Version::Resp2 { b'*' } else { b'~' }, len);
    }

    /// The head of what nobody has asked for: an array in the older version.
    pub fn push(&mut self, len: usize) {
        self.head(if self.version == Version::Resp2 { b'*' } else { b'>' }, len);
    }

    /// A string whose length is known only when it is written.
    fn measured(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        // Two digits hold the length of any integer, and of any double.
        const HEAD: &[u8] = b"$00\r\n";
        let start = self.out.len();
        self.out.extend_from_slice(HEAD);
        write(self.out);
        let len = u8::try_from(self.out.len() - start - HEAD.len()).expect("below 100");
        self.out[start + 1] = b'0' + len / 10;
        self.out[start + 2] = b'0' + len % 10;
        if len < 10 {
            self.out.remove(start + 1);
        }
        self.end();
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        let printed = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
        self.out.extend(text.iter().map(printed));
        self.end();
    }

    fn head(&mut self, kind: u8, len: usize) {
        self.out.push(kind);
        append_u64(self.out, len as u64);
        self.end();
    }

    fn end(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}
