//! What comes of a command, as bytes in the protocol that its request came in.
//! It knows what each protocol says in which words, and what a client that
//! asked for quiet is spared; what came of a command is for others to know.

mod form;

pub(super) use form::Status;

use form::Packet;

use super::binary;
use super::command::{Answer, Form, Text};
use crate::gateway::number::{MAX_DIGITS, append_u64, digits};

/// A value that is there, and its circumstances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found<'a> {
    /// The value.
    pub value: Text<'a>,
    /// What its client keeps beside it.
    pub flags: u32,
    /// Its number, by which a compare-and-set knows it.
    pub cas: u64,
    /// In how many seconds it expires, if it does.
    pub left_s: Option<u32>,
    /// How many seconds ago it was last accessed.
    pub idle_s: u32,
    /// Whether it has been read before.
    pub fetched: bool,
    /// Whether it was marked as stale.
    pub stale: bool,
    /// Whether another client had won the right to fill it before.
    pub sent: bool,
    /// Whether this client has won it.
    pub won: bool,
}

/// What `me` tells of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inspected {
    /// In how many seconds its value expires, if it does.
    pub left_s: Option<u32>,
    /// How many seconds ago it was last accessed.
    pub idle_s: u32,
    /// Its number.
    pub cas: u64,
    /// Whether it has been read before.
    pub fetched: bool,
    /// How many bytes of memory it takes.
    pub bytes: u64,
}

/// Appends the reply to one request.
#[derive(Debug)]
pub struct Writer<'o, 'a> {
    out: &'o mut Vec<u8>,
    form: Form<'a>,
}

impl<'o, 'a> Writer<'o, 'a> {
    /// A writer to the end of `out`.
    #[must_use]
    pub const fn new(out: &'o mut Vec<u8>, answer: Answer<'a>) -> Self {
        Self { out, form: answer.0 }
    }

    /// A value that was asked for.
    pub fn hit(&mut self, key: &[u8], found: &Found<'_>) {
        match self.form {
            Form::Classic { cas, .. } => {
                self.text(b"VALUE ");
                self.text(key);
                self.word(found.flags.into());
                self.word(found.value.0.len() as u64);
                if cas {
                    self.word(found.cas);
                }
                self.end_line();
                self.text(found.value.0);
                self.end_line();
            }
            Form::Meta { .. } => self.meta_value(found.value.0, b"stcflhOk", found),
            Form::Binary { opcode, .. } => {
                let with_key = matches!(binary::kind(opcode), binary::GETK | binary::GATK);
                let (extras, value) = (&found.flags.to_be_bytes(), found.value.0);
                let key = if with_key { key } else { &[] };
                self.packet(Status::Success, &Packet { extras, key, value, cas: found.cas });
            }
        }
    }

    /// A key without a value, of which one was asked for.
    pub fn miss(&mut self, key: &[u8]) {
        match self.form {
            Form::Meta { quiet: false, .. } => self.meta(b"EN", b"Ok", &Found::default()),
            Form::Binary { opcode, quiet: false, .. } => {
                let with_key = matches!(binary::kind(opcode), binary::GETK | binary::GATK);
                let key = if with_key { key } else { &[] };
                let value: &[u8] = if with_key { &[] } else { Status::NotFound.text().as_bytes() };
                self.packet(Status::NotFound, &Packet { key, value, ..Packet::default() });
            }
            Form::Classic { .. } | Form::Meta { .. } | Form::Binary { .. } => {}
        }
    }

    /// All values that were asked for have been told.
    pub fn end(&mut self) {
        if let Form::Classic { .. } = self.form {
            self.text(b"END\r\n");
        }
    }

    /// The value is stored, and has this number.
    pub fn stored(&mut self, cas: u64) {
        match self.form {
            Form::Meta { quiet: false, .. } => {
                self.meta(b"HD", b"Okc", &Found { cas, ..Found::default() });
            }
            Form::Meta { .. } => {}
            Form::Classic { .. } => self.line("STORED"),
            Form::Binary { .. } => self.success(&Packet { cas, ..Packet::default() }),
        }
    }

    /// The value is not stored: nothing is there, or something is.
    pub fn not_stored(&mut self) {
        match self.form {
            Form::Meta { .. } => self.meta(b"NS", b"Okc", &Found::default()),
            Form::Classic { .. } => self.line("NOT_STORED"),
            Form::Binary { opcode, .. } => self.error(match binary::kind(opcode) {
                binary::ADD => Status::Exists,
                binary::REPLACE => Status::NotFound,
                _ => Status::NotStored,
            }),
        }
    }

    /// What is there has another number.
    pub fn exists(&mut self) {
        match self.form {
            Form::Meta { number, .. } => self.meta(b"EX", failed(number), &Found::default()),
            Form::Classic { .. } => self.line("EXISTS"),
            Form::Binary { .. } => self.error(Status::Exists),
        }
    }

    /// Nothing is there.
    pub fn not_found(&mut self) {
        match self.form {
            Form::Meta { number, .. } => self.meta(b"NF", failed(number), &Found::default()),
            Form::Classic { .. } => self.line("NOT_FOUND"),
            Form::Binary { .. } => self.error(Status::NotFound),
        }
    }

    /// The key is gone, or marked as stale.
    pub fn deleted(&mut self) {
        match self.form {
            Form::Meta { quiet: false, .. } => self.meta(b"HD", b"Ok", &Found::default()),
            Form::Meta { .. } => {}
            Form::Classic { .. } => self.line("DELETED"),
            Form::Binary { .. } => self.success(&Packet::default()),
        }
    }

    /// What is there has its new expiry.
    pub fn touched(&mut self, found: &Found<'_>) {
        let extras = &found.flags.to_be_bytes();
        match self.form {
            Form::Binary { .. } => {
                self.packet(
                    Status::Success,
                    &Packet { extras, cas: found.cas, ..Packet::default() },
                );
            }
            Form::Classic { .. } | Form::Meta { .. } => self.line("TOUCHED"),
        }
    }

    /// The number, which is this now.
    pub fn number(&mut self, number: u64, found: &Found<'_>) {
        match self.form {
            Form::Classic { quiet: true, .. } | Form::Meta { quiet: true, .. } => {}
            Form::Classic { .. } => {
                append_u64(self.out, number);
                self.end_line();
            }
            Form::Meta { .. } => {
                self.meta_value(digits(number, &mut [0; MAX_DIGITS]), b"ctOk", found);
            }
            Form::Binary { .. } => {
                let value = &number.to_be_bytes();
                self.success(&Packet { value, cas: found.cas, ..Packet::default() });
            }
        }
    }

    /// What is there is no number.
    pub fn not_numeric(&mut self) {
        match self.form {
            Form::Binary { .. } => self.error(Status::NotNumeric),
            Form::Classic { .. } | Form::Meta { .. } => {
                self.line("CLIENT_ERROR cannot increment or decrement non-numeric value");
            }
        }
    }

    /// The value is longer than allowed.
    pub fn too_large(&mut self) {
        match self.form {
            Form::Binary { .. } => self.error(Status::TooLarge),
            Form::Classic { .. } | Form::Meta { .. } => {
                self.line("SERVER_ERROR object too large for cache");
            }
        }
    }

    /// It is nothing that this client may ask, and this is why.
    pub fn client_error(&mut self, why: &str) {
        match self.form {
            Form::Binary { .. } => {
                let value = why.as_bytes();
                self.packet(Status::Invalid, &Packet { value, ..Packet::default() });
            }
            Form::Classic { quiet: true, .. } => {}
            Form::Classic { .. } | Form::Meta { .. } => {
                self.text(b"CLIENT_ERROR ");
                self.line(why);
            }
        }
    }

    /// It could not be done, and this is why.
    pub fn server_error(&mut self, why: &str) {
        match self.form {
            Form::Binary { .. } => {
                let value = why.as_bytes();
                self.packet(Status::OutOfMemory, &Packet { value, ..Packet::default() });
            }
            Form::Classic { quiet: true, .. } => {}
            Form::Classic { .. } | Form::Meta { .. } => {
                self.text(b"SERVER_ERROR ");
                self.line(why);
            }
        }
    }

    /// What is known of a key beside its value.
    pub fn inspected(&mut self, inspected: &Inspected) {
        self.text(b"ME ");
        self.key();
        // Counted from its end: so does memcached.
        self.text(b" exp=-");
        append_u64(self.out, inspected.left_s.unwrap_or(1).into());
        for (name, figure) in [(" la=", inspected.idle_s.into()), (" cas=", inspected.cas)] {
            self.text(name.as_bytes());
            append_u64(self.out, figure);
        }
        self.text(if inspected.fetched { b" fetch=yes" } else { b" fetch=no" });
        // Memory is not divided into classes here: all is of the first.
        self.text(b" cls=1 size=");
        append_u64(self.out, inspected.bytes);
        self.end_line();
    }

    /// A figure of those that were asked for.
    pub fn stat(&mut self, name: &[u8], figure: &[u8]) {
        if let Form::Binary { .. } = self.form {
            let packet = Packet { key: name, value: figure, ..Packet::default() };
            return self.packet(Status::Success, &packet);
        }
        self.text(b"STAT ");
        self.text(name);
        self.text(b" ");
        self.text(figure);
        self.end_line();
    }

    /// All figures have been told.
    pub fn end_of_stats(&mut self) {
        match self.form {
            Form::Binary { .. } => self.packet(Status::Success, &Packet::default()),
            Form::Classic { .. } | Form::Meta { .. } => self.text(b"END\r\n"),
        }
    }

    /// There are no such figures.
    pub fn no_such_stats(&mut self) {
        match self.form {
            Form::Binary { .. } => self.error(Status::NotFound),
            Form::Classic { .. } | Form::Meta { .. } => self.line("ERROR"),
        }
    }

    /// Figures were set to nothing.
    pub fn stats_reset(&mut self) {
        match self.form {
            Form::Binary { .. } => self.packet(Status::Success, &Packet::default()),
            Form::Classic { .. } | Form::Meta { .. } => self.line("RESET"),
        }
    }

    /// It is done.
    pub fn ok(&mut self) {
        match self.form {
            Form::Binary { .. } => self.success(&Packet::default()),
            Form::Classic { .. } | Form::Meta { .. } => self.line("OK"),
        }
    }

    /// The version.
    pub fn version(&mut self, version: &str) {
        match self.form {
            Form::Binary { .. } => {
                self.success(&Packet { value: version.as_bytes(), ..Packet::default() });
            }
            Form::Classic { .. } | Form::Meta { .. } => {
                self.text(b"VERSION ");
                self.line(version);
            }
        }
    }

    /// All before it is done.
    pub fn noop(&mut self) {
        match self.form {
            Form::Binary { .. } => self.success(&Packet::default()),
            Form::Classic { .. } | Form::Meta { .. } => self.line("MN"),
        }
    }

    /// The connection ends.
    pub fn quit(&mut self) {
        if let Form::Binary { .. } = self.form {
            self.success(&Packet::default());
        }
    }
}

/// The flags that a reply to what failed repeats.
const fn failed(number: bool) -> &'static [u8] {
    if number { b"Okc" } else { b"Ok" }
}
