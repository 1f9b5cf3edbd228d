//! Reading a ClientHello before rustls sees it.
//!
//! [`HelloReader`] owns the bytes of a connection until its ClientHello is
//! complete: it follows TLS's record framing (RFC 8446, section 5.1), in which
//! the hello may be cut anywhere, and bounds what a client may make it keep.
//! What the hello says is [`Hello`]'s business, and whether it is acceptable
//! is for rustls to judge, which is given the very same bytes afterwards.

mod message;
#[cfg(test)]
mod tests;

pub use message::{Hello, MAX_CANDIDATES};

use rustls::AlertDescription;

/// How many bytes may be read for one ClientHello, record headers included.
/// Rustls itself takes handshake messages of up to 64 KiB.
pub const MAX_HELLO_BYTES: usize = 64 * 1024;

/// A record's header: type, version and length (RFC 8446, section 5.1).
const RECORD_HEADER_BYTES: usize = 5;
/// The most that a plaintext record may carry (RFC 8446, section 5.1).
const MAX_FRAGMENT_BYTES: usize = 1 << 14;
/// A handshake message's header: type and length (RFC 8446, section 4).
const MESSAGE_HEADER_BYTES: usize = 4;
/// The record type of handshake messages.
const HANDSHAKE: u8 = 22;
/// The message type of a ClientHello.
const CLIENT_HELLO: u8 = 1;

/// Why a connection's first bytes are no ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// The first record is no handshake record: most often another protocol.
    #[error("a record of type {0} where a handshake record was expected")]
    UnexpectedRecord(u8),
    /// The record's version is none of SSL 3.0 to TLS 1.3.
    #[error("record version {0:#06x}")]
    RecordVersion(u16),
    /// A handshake record that carries nothing.
    #[error("an empty handshake record")]
    EmptyRecord,
    /// A record longer than a plaintext record may be.
    #[error("a record of {0} bytes")]
    RecordTooLong(usize),
    /// The first handshake message is of another type.
    #[error("a handshake message of type {0} where a ClientHello was expected")]
    UnexpectedMessage(u8),
    /// More than [`MAX_HELLO_BYTES`].
    #[error("a ClientHello of more than {MAX_HELLO_BYTES} bytes")]
    TooLong,
    /// The message's content contradicts its lengths, or repeats what may
    /// stand once.
    #[error("a malformed ClientHello: {0}")]
    Malformed(&'static str),
}

impl HelloError {
    /// The alert that tells the client so (RFC 8446, section 6.2).
    #[must_use]
    pub const fn alert(self) -> AlertDescription {
        match self {
            Self::UnexpectedRecord(_) | Self::UnexpectedMessage(_) => {
                AlertDescription::UnexpectedMessage
            }
            Self::RecordVersion(_) => AlertDescription::ProtocolVersion,
            Self::RecordTooLong(_) => AlertDescription::RecordOverflow,
            Self::EmptyRecord | Self::TooLong | Self::Malformed(_) => AlertDescription::DecodeError,
        }
    }
}

/// The bytes of a fatal alert as a plaintext record, for a client that no
/// rustls connection was made for.
#[must_use]
pub fn fatal_alert(alert: AlertDescription) -> [u8; 7] {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    [ALERT, 3, 3, 0, 2, FATAL, alert.into()]
}

/// Collects a connection's first bytes until its ClientHello is complete.
///
/// Read into [`buffer`](Self::buffer), then ask [`poll`](Self::poll); at the
/// end, [`into_bytes`](Self::into_bytes) gives back everything that was read,
/// for rustls.
#[derive(Default)]
pub struct HelloReader {
    /// Everything read so far.
    read: Vec<u8>,
    /// How much of it has been split into records.
    consumed: usize,
    /// What the records carried: the ClientHello's message, growing.
    message: Vec<u8>,
}

impl HelloReader {
    /// Where the next bytes are to be appended. Never let it grow past
    /// [`MAX_HELLO_BYTES`] by more than one read.
    pub const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.read
    }

    /// Takes note of what was appended to the buffer. `None`: the hello is not
    /// complete, read more.
    ///
    /// # Errors
    ///
    /// [`HelloError`] as soon as the bytes cannot become an acceptable
    /// ClientHello, however many are still missing.
    pub fn poll(&mut self) -> Result<Option<Hello>, HelloError> {
        while !self.is_complete()? {
            let Some(fragment) = next_fragment(&self.read[self.consumed..])? else {
                let is_full = self.read.len() >= MAX_HELLO_BYTES;
                return if is_full { Err(HelloError::TooLong) } else { Ok(None) };
            };
            self.message.extend_from_slice(fragment);
            self.consumed += RECORD_HEADER_BYTES + fragment.len();
        }
        let end = self.message_len().expect("a complete message has its header");
        Hello::parse(&self.message[MESSAGE_HEADER_BYTES..end]).map(Some)
    }

    /// How many of the bytes that were read are the records of a hello that is
    /// complete.
    #[must_use]
    pub const fn hello_len(&self) -> usize {
        self.consumed
    }

    /// Everything that was read, the hello and what followed it.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.read
    }

    /// Whether the whole message is there.
    fn is_complete(&self) -> Result<bool, HelloError> {
        if let Some(&kind) = self.message.first()
            && kind != CLIENT_HELLO
        {
            return Err(HelloError::UnexpectedMessage(kind));
        }
        match self.message_len() {
            Some(len) if len > MAX_HELLO_BYTES => Err(HelloError::TooLong),
            Some(len) => Ok(self.message.len() >= len),
            None => Ok(false),
        }
    }

    /// How long the message says that it is, header included, in bytes.
    fn message_len(&self) -> Option<usize> {
        let &[_, high, middle, low] = self.message.first_chunk()?;
        let body = u32::from_be_bytes([0, high, middle, low]) as usize;
        Some(MESSAGE_HEADER_BYTES + body)
    }
}

impl std::fmt::Debug for HelloReader {
    /// Lengths only: a hello may carry session ids.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HelloReader({} bytes)", self.read.len())
    }
}

/// What the first record of `bytes` carries, once it is there as a whole. Its
/// header is judged as soon as it can be.
fn next_fragment(bytes: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    if let Some(&kind) = bytes.first()
        && kind != HANDSHAKE
    {
        return Err(HelloError::UnexpectedRecord(kind));
    }
    let Some(&[_, major, minor, high, low]) = bytes.first_chunk::<RECORD_HEADER_BYTES>() else {
        return Ok(None);
    };
    // RFC 8446, section 5.1: the version is to be ignored for all purposes;
    // only what was never a TLS record is refused.
    if major != 3 {
        return Err(HelloError::RecordVersion(u16::from_be_bytes([major, minor])));
    }
    let len = usize::from(u16::from_be_bytes([high, low]));
    match len {
        0 => Err(HelloError::EmptyRecord),
        1..=MAX_FRAGMENT_BYTES => Ok(bytes[RECORD_HEADER_BYTES..].get(..len)),
        _ => Err(HelloError::RecordTooLong(len)),
    }
}
