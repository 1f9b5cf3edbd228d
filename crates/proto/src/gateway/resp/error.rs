//! Why input is no request, in Redis' words. It knows no input.

/// Why a connection's input is no request. The connection is closed after the
/// reply ([`Writer::protocol_error`](super::Writer::protocol_error)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A typed line of more than [`MAX_LINE_BYTES`](super::MAX_LINE_BYTES).
    #[error("{}", self.text())]
    TooBigInline,
    /// Quotes in a typed line that do not end, or end within a word.
    #[error("{}", self.text())]
    UnbalancedQuotes,
    /// The count of arguments does not end.
    #[error("{}", self.text())]
    TooBigCount,
    /// The count of arguments is no integer, or too high.
    #[error("{}", self.text())]
    InvalidCount,
    /// The count of arguments is too high for who has not logged in.
    #[error("{}", self.text())]
    UnauthenticatedCount,
    /// The length of an argument does not end.
    #[error("{}", self.text())]
    TooBigLength,
    /// Another byte than the one that an argument begins with.
    #[error("expected '$', got '{}'", .0.escape_ascii())]
    ExpectedBulk(u8),
    /// The length of an argument is no integer, negative, or too high.
    #[error("{}", self.text())]
    InvalidLength,
    /// The length of an argument is too high for who has not logged in.
    #[error("{}", self.text())]
    UnauthenticatedLength,
    /// All arguments together are too long.
    #[error("{}", self.text())]
    TooBigRequest,
}

impl ProtocolError {
    /// Redis' own words, but for [`Self::TooBigRequest`], where it says
    /// nothing, and closes.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::TooBigInline => "too big inline request",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::TooBigCount => "too big mbulk count string",
            Self::InvalidCount => "invalid multibulk length",
            Self::UnauthenticatedCount => "unauthenticated multibulk length",
            Self::TooBigLength => "too big bulk count string",
            Self::ExpectedBulk(_) => "expected '$'",
            Self::InvalidLength => "invalid bulk length",
            Self::UnauthenticatedLength => "unauthenticated bulk length",
            Self::TooBigRequest => "too big request",
        }
    }
}
