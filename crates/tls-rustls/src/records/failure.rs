//! What ends a connection: alerts (RFC 8446, section 6) and the reasons for
//! them.

use std::fmt;

/// An alert, by its number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Alert(pub u8);

impl Alert {
    /// The sender has nothing more to say.
    pub const CLOSE_NOTIFY: Self = Self(0);
    /// A message that may not come here.
    pub const UNEXPECTED_MESSAGE: Self = Self(10);
    /// A record that does not open.
    pub const BAD_RECORD_MAC: Self = Self(20);
    /// A record that is too large.
    pub const RECORD_OVERFLOW: Self = Self(22);
    /// A message with an impossible value.
    pub const ILLEGAL_PARAMETER: Self = Self(47);
    /// A message of the wrong length.
    pub const DECODE_ERROR: Self = Self(50);
    /// The sender does not want to go on. It says nothing by itself.
    pub const USER_CANCELED: Self = Self(90);
}

impl fmt::Debug for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::CLOSE_NOTIFY => "close_notify",
            Self::UNEXPECTED_MESSAGE => "unexpected_message",
            Self::BAD_RECORD_MAC => "bad_record_mac",
            Self::RECORD_OVERFLOW => "record_overflow",
            Self::ILLEGAL_PARAMETER => "illegal_parameter",
            Self::DECODE_ERROR => "decode_error",
            Self::USER_CANCELED => "user_canceled",
            Self(number) => return write!(f, "alert {number}"),
        };
        f.write_str(name)
    }
}

/// Why what the peer sent ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A record does not open under the key and number that are due.
    #[error("a record that does not open")]
    Forged,
    /// A record is larger than TLS allows.
    #[error("a record with more than 16 KiB of content")]
    TooLarge,
    /// A record or message that may not come after the handshake.
    #[error("a message that may not come here")]
    Unexpected,
    /// A message of the wrong length.
    #[error("a message of the wrong length")]
    Malformed,
    /// A key update that neither asks for another nor does not.
    #[error("a key update with an impossible value")]
    IllegalKeyUpdate,
    /// Too many records or messages that carry nothing, in a row.
    #[error("too many messages without data")]
    Flood,
    /// The peer gave up, with this alert.
    #[error("the peer gave up: {0}")]
    Peer(Alert),
    /// The connection had ended for one of the other reasons.
    #[error("the connection has failed already")]
    Over,
}

impl Failure {
    /// The alert that tells the peer; none answers an alert.
    #[must_use]
    pub const fn alert(self) -> Option<Alert> {
        Some(match self {
            Self::Forged => Alert::BAD_RECORD_MAC,
            Self::TooLarge => Alert::RECORD_OVERFLOW,
            Self::Unexpected | Self::Flood => Alert::UNEXPECTED_MESSAGE,
            Self::Malformed => Alert::DECODE_ERROR,
            Self::IllegalKeyUpdate => Alert::ILLEGAL_PARAMETER,
            Self::Peer(_) | Self::Over => return None,
        })
    }
}
