//! Lines of the meta commands: two letters, a key, and flags of one letter
//! each, some with an argument. It knows what each flag asks for; which of
//! them a reply repeats is for [`reply`](super::reply) to know.

use super::base64::{self, MAX_DECODED_BYTES};
use super::command::{Arithmetic, Command, Delete, Expiry, Fetch, Form, Mode, Store, Text};
use super::text::{BAD_FORMAT, Line, Words, value_len};
use super::{MAX_KEY_BYTES, number};

/// How many words a line may have (`MFLAG_MAX_OPT_LENGTH`, of which one stands
/// for the end).
const MAX_WORDS: usize = 19;
/// How long an opaque flag may be, its letter counted
/// (`MFLAG_MAX_OPAQUE_LENGTH`).
const MAX_OPAQUE_BYTES: usize = 32;

const BAD_TOKEN: &str = "CLIENT_ERROR bad token in command line format";
const OPAQUE_TOO_LONG: &str = "CLIENT_ERROR opaque token too long";
const INVALID_FLAG: &str = "CLIENT_ERROR invalid or duplicate flag";

/// What the flags of a line say.
#[derive(Debug, Default, Clone, Copy)]
struct Flags {
    /// How long the key is that was in base64.
    decoded: Option<usize>,
    value: bool,
    quiet: bool,
    silent_access: bool,
    invalidate: bool,
    opaque_too_long: bool,
    mode: Option<u8>,
    vivify: Option<Expiry>,
    touch: Option<Expiry>,
    recache: Option<Expiry>,
    client_flags: u32,
    cas: Option<u64>,
    initial: u64,
    delta: Option<u64>,
}

impl Flags {
    /// Reads flags as memcached does: one that is unknown, or there twice,
    /// ends it; of others that are wrong, the last one gives the words.
    fn read(
        words: &[&[u8]],
        key: &[u8],
        room: &mut [u8; MAX_DECODED_BYTES],
    ) -> Result<Self, &'static str> {
        let (mut flags, mut seen, mut wrong) = (Self::default(), 0u128, None);
        for word in words {
            let letter = word[0];
            // The highest letter of seven bits counts as one of eight there.
            if letter >= 127 || seen >> letter & 1 == 1 {
                return Err("CLIENT_ERROR duplicate flag");
            }
            seen |= 1 << letter;
            let taken = match letter {
                b'b' => base64::decode(key, room).map(|len| flags.decoded = Some(len)),
                _ => flags.take(letter, &word[1..]),
            };
            match taken {
                Some(()) => {}
                None if is_known(letter) => {
                    wrong = words_of(letter).or(wrong).or(Some(BAD_FORMAT));
                }
                None => return Err("CLIENT_ERROR invalid flag"),
            }
        }
        wrong.map_or(Ok(flags), Err)
    }

    fn take(&mut self, letter: u8, argument: &[u8]) -> Option<()> {
        let expiry = || number::signed(argument).map(Expiry::from_signed);
        match letter {
            b'v' => self.value = true,
            b'q' => self.quiet = true,
            b'u' => self.silent_access = true,
            b'I' => self.invalidate = true,
            b'O' => self.opaque_too_long = argument.len() >= MAX_OPAQUE_BYTES,
            b'N' => self.vivify = Some(expiry()?),
            b'T' => self.touch = Some(expiry()?),
            b'R' => self.recache = Some(expiry()?),
            b'F' => self.client_flags = number::unsigned_32(argument)?,
            b'C' => self.cas = Some(number::unsigned(argument)?),
            b'J' => self.initial = number::unsigned(argument)?,
            b'D' => self.delta = Some(number::unsigned(argument)?),
            b'M' => self.mode = Some(*argument.first().filter(|_| argument.len() == 1)?),
            // What a reply is to say, and what is for proxies.
            b'l' | b'P' | b'L' | b'k' | b's' | b't' | b'c' | b'f' | b'h' => {}
            _ => return None,
        }
        Some(())
    }
}

/// Whether a flag may be wrong by itself.
const fn is_known(letter: u8) -> bool {
    matches!(letter, b'b' | b'N' | b'T' | b'R' | b'F' | b'C' | b'J' | b'D' | b'M')
}

/// The words in which such a flag is refused, where there are any.
const fn words_of(letter: u8) -> Option<&'static str> {
    match letter {
        b'F' => None,
        b'b' => Some("CLIENT_ERROR error decoding key"),
        b'J' => Some("CLIENT_ERROR invalid numeric initial value"),
        b'D' => Some("CLIENT_ERROR invalid numeric delta value"),
        b'M' => Some("CLIENT_ERROR incorrect length for M token"),
        _ => Some(BAD_TOKEN),
    }
}

/// Reads the line of a command that the letter behind `m` names.
pub(super) fn read<'a>(
    command: u8,
    words: &Words<'a>,
    room: &'a mut [u8; MAX_DECODED_BYTES],
) -> Line<'a> {
    match command {
        b'n' => Line::Request(Command::Noop, Form::Classic { quiet: false, cas: false }),
        b'e' => inspect(words, room),
        b's' | b'g' | b'd' | b'a' if words.arguments() == 0 => Line::Refused("ERROR"),
        b's' => store(words, room),
        b'g' => request(words, room, get),
        b'd' => request(words, room, delete),
        b'a' => request(words, room, arithmetic),
        _ => Line::Refused("ERROR"),
    }
}

/// What makes a command of a key and its flags.
type Make<'a> = fn(Text<'a>, Result<Flags, &'static str>) -> Result<Command<'a>, &'static str>;

/// A command whose flags stand right behind its key.
fn request<'a>(
    words: &Words<'a>,
    room: &'a mut [u8; MAX_DECODED_BYTES],
    make: Make<'a>,
) -> Line<'a> {
    let key = words.get(1);
    if key.len() > MAX_KEY_BYTES {
        return Line::Refused(BAD_FORMAT);
    }
    if words.all().len() > MAX_WORDS {
        return Line::Refused(match words.get(0) {
            b"mg" => "CLIENT_ERROR options flags are too long",
            _ => "CLIENT_ERROR options flags too long",
        });
    }
    let flags = Flags::read(&words.all()[2..], key, room);
    let (key, form) = key_and_form(words.behind(2), key, flags.unwrap_or_default(), room);
    match make(key, flags) {
        Ok(command) => Line::Request(command, form),
        Err(text) => Line::Refused(text),
    }
}

fn key_and_form<'a>(
    text: &'a [u8],
    key: &'a [u8],
    flags: Flags,
    room: &'a [u8; MAX_DECODED_BYTES],
) -> (Text<'a>, Form<'a>) {
    let key = Text(flags.decoded.map_or(key, |len| &room[..len]));
    let encoded = flags.decoded.is_some();
    let Flags { value, quiet, .. } = flags;
    let number = false;
    (key, Form::Meta { flags: Text(text), key, encoded, value, number, quiet })
}

fn get<'a>(key: Text<'a>, flags: Result<Flags, &'static str>) -> Result<Command<'a>, &'static str> {
    let flags = flags?;
    if flags.opaque_too_long {
        return Err(OPAQUE_TOO_LONG);
    }
    let Flags { touch, vivify, recache, silent_access, .. } = flags;
    Ok(Command::Fetch(Fetch { key, touch, vivify, recache, counts: !silent_access }))
}

fn delete<'a>(
    key: Text<'a>,
    flags: Result<Flags, &'static str>,
) -> Result<Command<'a>, &'static str> {
    let flags = flags.map_err(|_| INVALID_FLAG)?;
    if flags.opaque_too_long {
        return Err(OPAQUE_TOO_LONG);
    }
    let Flags { cas, invalidate, touch, .. } = flags;
    Ok(Command::Delete(Delete { key, cas, invalidate, expiry: touch }))
}

fn arithmetic<'a>(
    key: Text<'a>,
    flags: Result<Flags, &'static str>,
) -> Result<Command<'a>, &'static str> {
    let flags = flags.map_err(|_| INVALID_FLAG)?;
    let up = match flags.mode {
        None | Some(b'I' | b'+') => true,
        Some(b'D' | b'-') => false,
        Some(_) => return Err("CLIENT_ERROR invalid mode for ma M token"),
    };
    if flags.opaque_too_long {
        return Err(OPAQUE_TOO_LONG);
    }
    let Flags { cas, touch, .. } = flags;
    let delta = flags.delta.unwrap_or(1);
    let initial = flags.vivify.map(|expiry| (flags.initial, expiry));
    Ok(Command::Arithmetic(Arithmetic { key, up, delta, initial, cas, touch }))
}

/// `ms`, whose flags stand behind the length of its value.
fn store<'a>(words: &Words<'a>, room: &'a mut [u8; MAX_DECODED_BYTES]) -> Line<'a> {
    let key = words.get(1);
    if key.len() > MAX_KEY_BYTES || words.arguments() == 1 {
        return Line::Refused(BAD_FORMAT);
    }
    if words.all().len() > MAX_WORDS {
        return Line::Refused("CLIENT_ERROR options flags too long");
    }
    let Some(bytes) = value_len(words.get(2)) else { return Line::Refused(BAD_FORMAT) };
    // From here on the value is known, and passed over with the line.
    let flags = match Flags::read(&words.all()[3..], key, room) {
        Ok(flags) => flags,
        Err(text) => return Line::RefusedWithValue(text, bytes),
    };
    let mode = match flags.mode {
        None | Some(b'S') => Mode::Set,
        Some(b'E') => Mode::Add,
        Some(b'A') => Mode::Append,
        Some(b'P') => Mode::Prepend,
        Some(b'R') => Mode::Replace,
        Some(_) => {
            return Line::RefusedWithValue("CLIENT_ERROR invalid mode for ms M token", bytes);
        }
    };
    if flags.opaque_too_long {
        return Line::RefusedWithValue(OPAQUE_TOO_LONG, bytes);
    }
    let (key, mut form) = key_and_form(words.behind(3), key, flags, room);
    if let Form::Meta { number, .. } = &mut form {
        *number = true;
    }
    let expiry = flags.touch.unwrap_or(Expiry::Never);
    let (flags, cas, invalidate) = (flags.client_flags, flags.cas, flags.invalidate);
    let value = Text(&[]);
    Line::Store(Store { mode, key, flags, expiry, cas, invalidate, value }, form, bytes)
}

fn inspect<'a>(words: &Words<'a>, room: &'a mut [u8; MAX_DECODED_BYTES]) -> Line<'a> {
    let key = words.get(1);
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Line::Refused(BAD_FORMAT);
    }
    let mut flags = Flags::default();
    if words.get(2) == b"b" {
        flags.decoded = base64::decode(key, room);
        if flags.decoded.is_none() {
            return Line::Refused(BAD_FORMAT);
        }
    }
    let (key, form) = key_and_form(&[], key, flags, room);
    Line::Request(Command::Inspect { key }, form)
}
