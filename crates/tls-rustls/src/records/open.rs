//! The direction from the client: TCP bytes to plaintext, and what the
//! messages between them ask for.
//!
//! Bounds, since everything here is the client's to choose: one unfinished
//! record is kept, one call takes in [`MAX_OPEN_BYTES`], and what carries no
//! data may come only so often in a row.

use std::fmt;

use super::failure::{Alert, Failure};
use super::keys::{
    ALERT, APPLICATION_DATA, HANDSHAKE, HEADER_BYTES, Key, Secret, Suite, TAG_BYTES,
};
use super::state::{KEY_UPDATE_BYTES, Phase, Received, Update};

/// The most bytes that one call takes in: four of the largest records. It
/// bounds what it gives, and the key updates between two steps that an
/// understudy hears of.
pub const MAX_OPEN_BYTES: usize = 64 * 1024;

/// The most content of a record (RFC 8446, section 5.1).
pub(super) const MAX_CONTENT_BYTES: usize = 1 << 14;

/// The longest body of a record: RFC 8446, section 5.2, allows 256 bytes more
/// than the content.
pub(super) const MAX_BODY_BYTES: usize = MAX_CONTENT_BYTES + 256;

/// How many records or key updates may come in a row without data. Rustls and
/// BoringSSL allow as many of each.
const MAX_IDLE: u8 = 32;

/// How many `user_canceled` may come; as with BoringSSL.
const MAX_CANCELS: u8 = 4;

/// The number of a key update among handshake messages.
pub(super) const KEY_UPDATE: u8 = 24;

/// Opens records.
pub(super) struct Opener {
    secret: Secret,
    key: Key,
    /// The beginning of a record whose rest has not come.
    pending: Vec<u8>,
}

/// What a message asks of the other direction.
pub(super) type Asks = Option<Update>;

impl Opener {
    pub(super) fn new(secret: Secret, pending: Vec<u8>) -> Self {
        Self { key: secret.key(), secret, pending }
    }

    /// Takes in up to [`MAX_OPEN_BYTES`] of `input`, says how many, and puts
    /// what they carry onto the end of `out`. What came before a failure is
    /// there even so, and `state` says how far that goes.
    pub(super) fn open(
        &mut self,
        state: &mut Received,
        input: &[u8],
        out: &mut Vec<u8>,
        asks: &mut Asks,
    ) -> Result<usize, Failure> {
        let taken = input.len().min(MAX_OPEN_BYTES);
        let mut rest = &input[..taken];
        while !rest.is_empty() && state.phase == Phase::Open {
            if self.pending.is_empty() {
                match split_record(rest)? {
                    Some((record, after)) => {
                        rest = after;
                        self.open_record(state, record, out, asks)?;
                    }
                    None => {
                        self.pending.extend_from_slice(rest);
                        break;
                    }
                }
            } else if self.complete(&mut rest)? {
                let record = std::mem::take(&mut self.pending);
                let opened = self.open_record(state, &record, out, asks);
                self.pending = record;
                self.pending.clear();
                opened?;
            }
        }
        match state.phase {
            Phase::Open => {}
            // What follows a closure is passed over (RFC 8446, section 6.1).
            Phase::Closed | Phase::Failed => self.forget(),
        }
        Ok(taken)
    }

    /// Adds to the unfinished record what `rest` has of it; whether it is whole.
    fn complete(&mut self, rest: &mut &[u8]) -> Result<bool, Failure> {
        if self.pending.len() < HEADER_BYTES {
            take(HEADER_BYTES - self.pending.len(), rest, &mut self.pending);
        }
        let Some(body) = body_bytes(&self.pending)? else { return Ok(false) };
        let missing = HEADER_BYTES + body - self.pending.len();
        self.pending.reserve_exact(missing);
        take(missing, rest, &mut self.pending);
        Ok(self.pending.len() == HEADER_BYTES + body)
    }

    fn open_record(
        &mut self,
        state: &mut Received,
        record: &[u8],
        out: &mut Vec<u8>,
        asks: &mut Asks,
    ) -> Result<(), Failure> {
        let (header, body) = record.split_first_chunk().expect("a record has a header");
        if body.len() < TAG_BYTES {
            return Err(Failure::Forged);
        }
        // Content, its type, and padding are one byte longer than content alone
        // (RFC 8446, section 5.4).
        if body.len() > MAX_CONTENT_BYTES + 1 + TAG_BYTES {
            return Err(Failure::TooLarge);
        }
        let start = out.len();
        let opened = self.key.open(state.at.sequence, *header, body, out);
        opened.map_err(|_| Failure::Forged)?;
        state.at.pass(body.len());
        let last = out[start..].iter().rposition(|&byte| byte != 0);
        let Some(last) = last else {
            out.truncate(start);
            return Err(Failure::Unexpected);
        };
        let kind = out[start + last];
        out.truncate(start + last);
        if state.message_bytes > 0 && kind != HANDSHAKE {
            out.truncate(start);
            return Err(Failure::Unexpected);
        }
        if kind == APPLICATION_DATA {
            return note_data(state, last);
        }
        let outcome = match kind {
            HANDSHAKE => self.handshake(state, &out[start..], asks),
            ALERT => alert(state, &out[start..]),
            _ => Err(Failure::Unexpected),
        };
        out.truncate(start);
        outcome
    }

    /// The one message that a client may send after the handshake is a key
    /// update (RFC 8446, section 4.6.3): we ask for no certificates.
    fn handshake(
        &mut self,
        state: &mut Received,
        content: &[u8],
        asks: &mut Asks,
    ) -> Result<(), Failure> {
        let before = usize::from(state.message_bytes);
        let [.., _] = content else { return Err(Failure::Unexpected) };
        let mut message = [0; KEY_UPDATE_BYTES];
        message[..before].copy_from_slice(&state.message[..before]);
        let taken = content.len().min(KEY_UPDATE_BYTES - before);
        message[before..before + taken].copy_from_slice(&content[..taken]);
        if message[0] != KEY_UPDATE {
            return Err(Failure::Unexpected);
        }
        if before + taken >= 4 && message[1..4] != [0, 0, 1] {
            return Err(Failure::Malformed);
        }
        if before + taken < KEY_UPDATE_BYTES {
            state.message.copy_from_slice(&message[..KEY_UPDATE_BYTES - 1]);
            state.message_bytes = u8::try_from(before + taken).expect("it is below five");
            return Ok(());
        }
        // The key changes with the next record, so this one must end here
        // (RFC 8446, section 5.1).
        if taken < content.len() {
            return Err(Failure::Unexpected);
        }
        state.message_bytes = 0;
        let both = match message[4] {
            0 => false,
            1 => true,
            _ => return Err(Failure::IllegalKeyUpdate),
        };
        bump(&mut state.updates, MAX_IDLE)?;
        if !state.at.turn() {
            return Err(Failure::Flood);
        }
        self.secret = self.secret.next();
        self.key = self.secret.key();
        if both {
            *asks = Some(Update::Own);
        }
        Ok(())
    }

    pub(super) const fn suite(&self) -> Suite {
        self.secret.suite()
    }

    pub(super) const fn secret(&self) -> &Secret {
        &self.secret
    }

    pub(super) fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Drops the unfinished record: nothing is opened any more.
    pub(super) fn forget(&mut self) {
        self.pending = Vec::new();
    }

    pub(super) fn shrink(&mut self) {
        self.pending.shrink_to_fit();
    }
}

type RecordAndRest<'a> = (&'a [u8], &'a [u8]);

/// The first record of `bytes` and the rest, if it is there as a whole.
pub(super) fn split_record(bytes: &[u8]) -> Result<Option<RecordAndRest<'_>>, Failure> {
    Ok(body_bytes(bytes)?.and_then(|body| bytes.split_at_checked(HEADER_BYTES + body)))
}

/// How long the body is that this header announces; `None` if the header is
/// not there as a whole. What is wrong with it shows as soon as it can.
pub(super) fn body_bytes(record: &[u8]) -> Result<Option<usize>, Failure> {
    // After the handshake, all records are sealed (RFC 8446, section 5). The
    // version is legacy, and is to be ignored for all purposes (section 5.1).
    let Some(&kind) = record.first() else { return Ok(None) };
    if kind != APPLICATION_DATA {
        return Err(Failure::Unexpected);
    }
    let Some(&[_, _, _, high, low]) = record.first_chunk() else { return Ok(None) };
    let body = usize::from(u16::from_be_bytes([high, low]));
    if body > MAX_BODY_BYTES { Err(Failure::TooLarge) } else { Ok(Some(body)) }
}

/// Moves up to `len` bytes.
fn take(len: usize, from: &mut &[u8], to: &mut Vec<u8>) {
    let (taken, rest) = from.split_at(len.min(from.len()));
    to.extend_from_slice(taken);
    *from = rest;
}

fn note_data(state: &mut Received, len: usize) -> Result<(), Failure> {
    if len == 0 {
        return bump(&mut state.empties, MAX_IDLE);
    }
    (state.empties, state.updates) = (0, 0);
    state.at.plain += len as u64;
    Ok(())
}

fn alert(state: &mut Received, content: &[u8]) -> Result<(), Failure> {
    // The level means nothing any more (RFC 8446, section 6).
    let &[_, number] = content else { return Err(Failure::Malformed) };
    match Alert(number) {
        Alert::CLOSE_NOTIFY => state.phase = Phase::Closed,
        Alert::USER_CANCELED => bump(&mut state.cancels, MAX_CANCELS)?,
        alert => return Err(Failure::Peer(alert)),
    }
    Ok(())
}

fn bump(count: &mut u8, most: u8) -> Result<(), Failure> {
    if *count >= most {
        return Err(Failure::Flood);
    }
    *count += 1;
    Ok(())
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("suite", &self.suite())
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}
