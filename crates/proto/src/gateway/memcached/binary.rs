//! Packets of the binary protocol: a header of 24 bytes, extras, a key and a
//! value. It knows what each opcode has of these, and which opcodes are those
//! of another one whose client wants to hear of what is unexpected only.
//!
//! ```text
//! magic(1) opcode(1) key length(2) extras length(1) data type(1) bucket(2)
//! body length(4) opaque(4) cas(8) extras key value
//! ```

use super::MAX_KEY_BYTES;
use super::command::{Arithmetic, Command, Delete, Expiry, Form, Keys, Mode, Store, Text};

/// The length of a header, and of the least packet.
pub(super) const HEADER_BYTES: usize = 24;

pub(super) const GET: u8 = 0x00;
pub(super) const SET: u8 = 0x01;
pub(super) const ADD: u8 = 0x02;
pub(super) const REPLACE: u8 = 0x03;
const DELETE: u8 = 0x04;
const INCREMENT: u8 = 0x05;
const DECREMENT: u8 = 0x06;
const QUIT: u8 = 0x07;
const FLUSH: u8 = 0x08;
const GETQ: u8 = 0x09;
const NOOP: u8 = 0x0a;
const VERSION: u8 = 0x0b;
pub(super) const GETK: u8 = 0x0c;
const GETKQ: u8 = 0x0d;
const APPEND: u8 = 0x0e;
const PREPEND: u8 = 0x0f;
const STAT: u8 = 0x10;
const SETQ: u8 = 0x11;
const ADDQ: u8 = 0x12;
const REPLACEQ: u8 = 0x13;
const DELETEQ: u8 = 0x14;
const INCREMENTQ: u8 = 0x15;
const DECREMENTQ: u8 = 0x16;
const QUITQ: u8 = 0x17;
const FLUSHQ: u8 = 0x18;
const APPENDQ: u8 = 0x19;
const PREPENDQ: u8 = 0x1a;
const VERBOSITY: u8 = 0x1b;
pub(super) const TOUCH: u8 = 0x1c;
const GAT: u8 = 0x1d;
const GATQ: u8 = 0x1e;
/// What lists the ways of SASL to log in; the next two log in by one.
const SASL_LIST: u8 = 0x20;
const SASL_AUTH: u8 = 0x21;
const SASL_STEP: u8 = 0x22;
pub(super) const GATK: u8 = 0x23;
const GATKQ: u8 = 0x24;

/// An expiry that says: where nothing is, nothing is stored.
const NOT_STORED: u32 = u32::MAX;

/// What a header says, as far as it says what follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    opcode: u8,
    key_bytes: usize,
    extras_bytes: usize,
    body_bytes: usize,
    opaque: [u8; 4],
    cas: u64,
}

/// What a packet is.
#[derive(Debug)]
pub(super) enum Packet<'a> {
    /// A request.
    Request(Command<'a>, Form<'a>),
    /// A value that is to be stored.
    Store(Store<'a>, Form<'a>),
    /// None that is known.
    Unknown(Form<'a>),
    /// None that can be: the lengths do not fit its opcode.
    Invalid(Form<'a>),
    /// None whose end could be found.
    Endless(Form<'a>),
}

impl Header {
    /// Reads a header whose first byte was looked at.
    pub(super) fn read(bytes: &[u8; HEADER_BYTES]) -> Self {
        let [_, opcode, k0, k1, extras, _, _, _, b0, b1, b2, b3, o0, o1, o2, o3, cas @ ..] = *bytes;
        Self {
            opcode,
            key_bytes: usize::from(u16::from_be_bytes([k0, k1])),
            extras_bytes: usize::from(extras),
            body_bytes: u32::from_be_bytes([b0, b1, b2, b3]) as usize,
            opaque: [o0, o1, o2, o3],
            cas: u64::from_be_bytes(cas),
        }
    }

    /// How long extras, key and value are together.
    pub(super) const fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// How long extras and key are together: at most 64 KiB.
    pub(super) const fn head_bytes(&self) -> usize {
        self.key_bytes + self.extras_bytes
    }

    /// Reads the extras and the key, which `head` is.
    pub(super) fn packet<'a>(&self, head: &'a [u8]) -> Packet<'a> {
        let (opcode, quiet) = loud(self.opcode);
        let form = Form::Binary { opcode: self.opcode, opaque: self.opaque, quiet };
        if self.head_bytes() > self.body_bytes {
            return Packet::Endless(form);
        }
        if self.key_bytes > MAX_KEY_BYTES {
            return Packet::Invalid(form);
        }
        let (extras, key) = head.split_at(self.extras_bytes);
        let value_bytes = self.body_bytes - head.len();
        let has_value = match opcode {
            SET | ADD | REPLACE | APPEND | PREPEND => true,
            0..=TOUCH | GAT | GATK => false,
            // A server without SASL knows their form all the same.
            SASL_LIST if self.body_bytes > 0 => return Packet::Invalid(form),
            SASL_AUTH | SASL_STEP if key.is_empty() || !extras.is_empty() => {
                return Packet::Invalid(form);
            }
            _ => return Packet::Unknown(form),
        };
        if !has_value && value_bytes > 0 {
            return Packet::Invalid(form);
        }
        let cas = (self.cas != 0).then_some(self.cas);
        if has_value {
            return match store(opcode, extras, key, cas) {
                Some(store) => Packet::Store(store, form),
                None => Packet::Invalid(form),
            };
        }
        match request(opcode, extras, key, cas) {
            Some(command) => Packet::Request(command, form),
            None => Packet::Invalid(form),
        }
    }
}

/// The opcode that another one is the quiet kind of.
const fn loud(opcode: u8) -> (u8, bool) {
    let loud = match opcode {
        GETQ => GET,
        GETKQ => GETK,
        SETQ => SET,
        ADDQ => ADD,
        REPLACEQ => REPLACE,
        DELETEQ => DELETE,
        INCREMENTQ => INCREMENT,
        DECREMENTQ => DECREMENT,
        QUITQ => QUIT,
        FLUSHQ => FLUSH,
        APPENDQ => APPEND,
        PREPENDQ => PREPEND,
        GATQ => GAT,
        GATKQ => GATK,
        _ => return (opcode, false),
    };
    (loud, true)
}

/// The opcode that a reply's form goes by.
pub(super) const fn kind(opcode: u8) -> u8 {
    loud(opcode).0
}

fn store<'a>(opcode: u8, extras: &[u8], key: &'a [u8], cas: Option<u64>) -> Option<Store<'a>> {
    let (mode, extras) = match opcode {
        SET => (Mode::Set, extras.try_into().ok()?),
        ADD => (Mode::Add, extras.try_into().ok()?),
        REPLACE => (Mode::Replace, extras.try_into().ok()?),
        _ if !extras.is_empty() => return None,
        APPEND => (Mode::Append, [0; 8]),
        _ => (Mode::Prepend, [0; 8]),
    };
    if key.is_empty() {
        return None;
    }
    let [f0, f1, f2, f3, expiry @ ..] = extras;
    Some(Store {
        // With a number all three are a compare-and-set there.
        mode: if cas.is_some() && matches!(mode, Mode::Add) { Mode::Set } else { mode },
        key: Text(key),
        flags: u32::from_be_bytes([f0, f1, f2, f3]),
        expiry: Expiry::from_unsigned(u32::from_be_bytes(expiry)),
        cas,
        invalidate: false,
        value: Text(&[]),
    })
}

fn request<'a>(opcode: u8, extras: &[u8], key: &'a [u8], cas: Option<u64>) -> Option<Command<'a>> {
    let (has_key, text) = (!key.is_empty(), Text(key));
    let expiry =
        || extras.try_into().ok().map(|four| Expiry::from_unsigned(u32::from_be_bytes(four)));
    Some(match (opcode, has_key, extras.len()) {
        (GET | GETK, true, 0) => Command::Get { keys: Keys::one(key), touch: None },
        (GAT | GATK, true, 4) => Command::Get { keys: Keys::one(key), touch: Some(expiry()?) },
        (TOUCH, true, 4) => Command::Touch { key: text, expiry: expiry()? },
        (DELETE, true, 0) => {
            Command::Delete(Delete { key: text, cas, invalidate: false, expiry: None })
        }
        (INCREMENT | DECREMENT, true, 20) => {
            let (delta, rest) = extras.split_first_chunk()?;
            let (initial, expiry) = rest.split_first_chunk()?;
            let seconds = u32::from_be_bytes(expiry.try_into().ok()?);
            let initial = (u64::from_be_bytes(*initial), Expiry::from_unsigned(seconds));
            Command::Arithmetic(Arithmetic {
                key: text,
                up: opcode == INCREMENT,
                delta: u64::from_be_bytes(*delta),
                initial: (seconds != NOT_STORED).then_some(initial),
                cas,
                touch: None,
            })
        }
        (FLUSH, false, 0) => Command::FlushAll { at: Expiry::Never },
        (FLUSH, false, 4) => Command::FlushAll { at: expiry()? },
        (STAT, _, 0) => Command::Stats { group: text },
        (VERBOSITY, false, 4) => Command::Verbosity,
        (VERSION, false, 0) => Command::Version,
        (NOOP, false, 0) => Command::Noop,
        (QUIT, false, 0) => Command::Quit,
        _ => return None,
    })
}
