//! The forms of replies: lines, lines with flags, and packets. It knows how
//! each is laid out, and not what is said by it.

use super::super::base64;
use super::super::command::{Form, Keys};
use super::{Found, Writer};
use crate::gateway::number::append_u64;

/// What a binary reply says of its request's success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(in super::super) enum Status {
    Success = 0x00,
    NotFound = 0x01,
    Exists = 0x02,
    TooLarge = 0x03,
    Invalid = 0x04,
    NotStored = 0x05,
    NotNumeric = 0x06,
    Unknown = 0x81,
    OutOfMemory = 0x82,
}

impl Status {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Success => "",
            Self::NotFound => "Not found",
            Self::Exists => "Data exists for key.",
            Self::TooLarge => "Too large.",
            Self::Invalid => "Invalid arguments",
            Self::NotStored => "Not stored.",
            Self::NotNumeric => "Non-numeric server-side value for incr or decr",
            Self::Unknown => "Unknown command",
            Self::OutOfMemory => "Out of memory",
        }
    }
}

/// The parts of a binary reply.
#[derive(Default)]
pub(super) struct Packet<'a> {
    pub(super) extras: &'a [u8],
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) cas: u64,
}

impl Writer<'_, '_> {
    /// A binary reply that says what is wrong: quiet requests get it as well.
    pub(in super::super) fn error(&mut self, status: Status) {
        self.packet(status, &Packet { value: status.text().as_bytes(), ..Packet::default() });
    }

    /// A line, which a classic client that asked for quiet does not get.
    pub(in super::super) fn line(&mut self, text: &str) {
        if !matches!(self.form, Form::Classic { quiet: true, .. }) {
            self.text(text.as_bytes());
            self.end_line();
        }
    }

    /// A meta reply without a value.
    pub(super) fn meta(&mut self, code: &[u8], letters: &[u8], found: &Found<'_>) {
        self.text(code);
        self.flags(letters, found);
        self.end_line();
    }

    /// A meta reply with its value, where that was asked for.
    pub(super) fn meta_value(&mut self, value: &[u8], letters: &[u8], found: &Found<'_>) {
        let Form::Meta { value: asked, .. } = self.form else { return };
        if !asked {
            return self.meta(b"HD", letters, found);
        }
        self.text(b"VA");
        self.word(value.len() as u64);
        self.flags(letters, found);
        self.end_line();
        self.text(value);
        self.end_line();
    }

    /// The flags of the request that a reply repeats or fills, in its order.
    pub(super) fn flags(&mut self, letters: &[u8], found: &Found<'_>) {
        let Form::Meta { flags, encoded, .. } = self.form else { return };
        for word in Keys::words(flags.0) {
            let letter = word[0];
            if !letters.contains(&letter) {
                continue;
            }
            self.text(b" ");
            if letter == b'O' {
                self.text(word);
                continue;
            }
            self.out.push(letter);
            match letter {
                b's' => append_u64(self.out, found.value.0.len() as u64),
                b't' if found.left_s.is_none() => self.text(b"-1"),
                b't' => append_u64(self.out, found.left_s.unwrap_or(0).into()),
                b'c' => append_u64(self.out, found.cas),
                b'f' => append_u64(self.out, found.flags.into()),
                b'l' => append_u64(self.out, found.idle_s.into()),
                b'h' => self.out.push(if found.fetched { b'1' } else { b'0' }),
                _ => {
                    self.key();
                    self.text(if encoded { b" b" } else { b"" });
                }
            }
        }
        let marks = [(found.sent, b" Z"), (found.stale, b" X"), (found.won, b" W")];
        marks.iter().filter(|(marked, _)| *marked).for_each(|(_, mark)| self.text(*mark));
    }

    /// The request's key, as it was written.
    pub(super) fn key(&mut self) {
        let Form::Meta { key, encoded, .. } = self.form else { return };
        if encoded {
            base64::encode(key.0, self.out);
        } else {
            self.text(key.0);
        }
    }

    /// A binary reply that a quiet request does not get.
    pub(super) fn success(&mut self, packet: &Packet<'_>) {
        if !matches!(self.form, Form::Binary { quiet: true, .. }) {
            self.packet(Status::Success, packet);
        }
    }

    pub(super) fn packet(&mut self, status: Status, packet: &Packet<'_>) {
        const MAGIC: u8 = 0x81;
        let Form::Binary { opcode, opaque, .. } = self.form else { return };
        let Packet { extras, key, value, cas } = *packet;
        let len = |part: usize, what| u32::try_from(part).expect(what);
        let key_len = u16::try_from(key.len()).expect("a key has at most 250 bytes");
        let extras_len = u8::try_from(extras.len()).expect("extras have at most 4 bytes");
        let body = len(extras.len() + key.len() + value.len(), "a record has at most a megabyte");
        self.out.extend_from_slice(&[MAGIC, opcode]);
        self.out.extend_from_slice(&key_len.to_be_bytes());
        self.out.extend_from_slice(&[extras_len, 0]);
        self.out.extend_from_slice(&(status as u16).to_be_bytes());
        self.out.extend_from_slice(&body.to_be_bytes());
        self.out.extend_from_slice(&opaque);
        self.out.extend_from_slice(&cas.to_be_bytes());
        for part in [extras, key, value] {
            self.out.extend_from_slice(part);
        }
    }

    /// A blank and a number.
    pub(super) fn word(&mut self, number: u64) {
        self.out.push(b' ');
        append_u64(self.out, number);
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    pub(super) fn end_line(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}
