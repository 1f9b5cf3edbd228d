//! A session as a record of the farm: our header, then rustls' own encoding.
//!
//! Rustls' encoding carries no version and says nothing of the configuration
//! that it was made under, so the header does. Whatever differs there is a
//! [`Miss`]: the client gets a full handshake, never an error. A session of
//! one virtual host, certificate or client CA therefore never resumes in
//! another, and never under a rustls that would read it differently.
//!
//! What the state means, and which record it came from, is not known here.

use std::fmt;
use std::time::Duration;

use proto::time::Wall;
pub use proto::wire::header::Incarnation;
use zeroize::Zeroizing;

use crate::certificates::Fingerprint;
use crate::reader::{Reader, Truncated};

/// The layout of the header. A record of another one is a miss.
const FORMAT: u8 = 2;

/// The rustls that encodes the state. Its encoding is its own business and
/// may change with any release, so sessions do not pass from one to another.
/// A test holds this equal to the lock file.
const RUSTLS: [u8; 3] = [0, 23, 46];

/// How long an id is that rustls gives, in bytes: for session ids of TLS 1.2
/// and for tickets of TLS 1.3 alike.
pub const ID_BYTES: usize = 32;

/// The id of a session: the record's id in the farm. It is a credential.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; ID_BYTES]);

impl SessionId {
    /// The id of these bytes, if they have an id's length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    /// Nothing of its bytes: who knows them can ask for the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId")
    }
}

/// The full handshake that a session goes back to, through however many
/// resumptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The name of the node that did it.
    pub node: String,
    /// When.
    pub at: Wall,
}

impl Origin {
    /// How long ago it was.
    #[must_use]
    pub const fn age(&self, now: Wall) -> Duration {
        now.saturating_since(self.at)
    }
}

/// What a record says before rustls' own part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) origin: Origin,
    /// The node that gave the client this ticket, and that start of it: its
    /// early data is to be claimed there.
    pub(crate) issuer: Incarnation,
}

/// Why a record that was found does not resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Miss {
    /// It was written in another format, or is damaged.
    #[error("the record has another format")]
    Format,
    /// Another version of rustls encoded the session.
    #[error("another version of rustls wrote the session")]
    Rustls,
    /// The session began under another certificate or client CA.
    #[error("the session began under another certificate or client CA")]
    Configuration,
    /// The session began under another server name.
    #[error("the session began under another server name")]
    Name,
    /// The full handshake was longer ago than sessions live.
    #[error("the session's full handshake is too long ago")]
    Expired,
}

impl Miss {
    /// Every cause, for figures.
    pub const ALL: [Self; 5] =
        [Self::Format, Self::Rustls, Self::Configuration, Self::Name, Self::Expired];

    /// The word for it in figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Rustls => "rustls",
            Self::Configuration => "configuration",
            Self::Name => "name",
            Self::Expired => "expired",
        }
    }
}

/// What the sessions of a hello may be resumed under, and what those that
/// begin are bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// Of the certificates for the name, and of the client CA.
    pub(crate) fingerprint: Fingerprint,
    /// The name that the client asked for.
    pub(crate) server_name: Option<&'a str>,
}

/// Writes the record of a session.
///
/// ```text
/// format 1 | rustls 3 | fingerprint 32 | origin: time 8, node 1 + n |
/// issuer 16 | server name 1 + n, empty for none | rustls' encoding
/// ```
pub(crate) fn encode(scope: Scope<'_>, past: &Past, state: &[u8]) -> Zeroizing<Vec<u8>> {
    let Past { origin, issuer } = past;
    let name = scope.server_name.unwrap_or_default();
    let fixed = 1 + RUSTLS.len() + scope.fingerprint.0.len() + 8 + 16 + 2;
    let len = fixed + origin.node.len() + name.len();
    // Its final size from the start: growing would leave copies of the secret
    // behind that nothing zeroizes.
    let mut record = Zeroizing::new(Vec::with_capacity(len + state.len()));
    record.push(FORMAT);
    record.extend_from_slice(&RUSTLS);
    record.extend_from_slice(&scope.fingerprint.0);
    record.extend_from_slice(&origin.at.as_millis().to_be_bytes());
    put_vector8(&mut record, origin.node.as_bytes());
    record.extend_from_slice(&issuer.0.to_be_bytes());
    put_vector8(&mut record, name.as_bytes());
    record.extend_from_slice(state);
    record
}

/// Reads a session's record, if it may be resumed under `scope`: where it comes
/// from, and rustls' encoding.
pub(crate) fn decode<'a>(record: &'a [u8], scope: Scope<'_>) -> Result<(Past, &'a [u8]), Miss> {
    let mut record = Reader::new(record);
    let truncated = |Truncated| Miss::Format;
    if record.u8().map_err(truncated)? != FORMAT {
        return Err(Miss::Format);
    }
    if record.array().map_err(truncated)? != RUSTLS {
        return Err(Miss::Rustls);
    }
    if record.array().map_err(truncated)? != scope.fingerprint.0 {
        return Err(Miss::Configuration);
    }
    let at = Wall::from_millis(record.u64().map_err(truncated)?);
    let node = str::from_utf8(record.vector8().map_err(truncated)?).map_err(|_| Miss::Format)?;
    let issuer = Incarnation(u128::from_be_bytes(record.array().map_err(truncated)?));
    let name = record.vector8().map_err(truncated)?;
    if name != scope.server_name.unwrap_or_default().as_bytes() {
        return Err(Miss::Name);
    }
    let origin = Origin { node: node.to_owned(), at };
    Ok((Past { origin, issuer }, record.rest()))
}

/// Appends a vector of at most 255 bytes: node names are checked to be no
/// longer, and a DNS name has at most 253.
fn put_vector8(record: &mut Vec<u8>, bytes: &[u8]) {
    record.push(u8::try_from(bytes.len()).expect("names are at most 255 bytes long"));
    record.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(fingerprint: u8, server_name: Option<&'static str>) -> Scope<'static> {
        Scope { fingerprint: Fingerprint([fingerprint; 32]), server_name }
    }

    fn past() -> Past {
        let origin = Origin { node: "a".to_owned(), at: Wall::from_millis(1_700_000_000_000) };
        Past { origin, issuer: Incarnation(7) }
    }

    /// Writes a record under one scope, damages it, reads it under another.
    fn check(
        written: Scope<'_>,
        damage: impl FnOnce(&mut Vec<u8>),
        read: Scope<'_>,
        expected: Result<&[u8], Miss>,
    ) {
        let mut record = encode(written, &past(), b"state").to_vec();
        damage(&mut record);
        let found = decode(&record, read);
        assert_eq!(found, expected.map(|state| (past(), state)));
    }

    #[test]
    fn a_record_reads_back_under_its_own_scope() {
        check(scope(1, Some("a.test")), |_| (), scope(1, Some("a.test")), Ok(b"state"));
        check(scope(1, None), |_| (), scope(1, None), Ok(b"state"));
    }

    #[test]
    fn another_scope_is_a_miss() {
        let written = scope(1, Some("a.test"));
        check(written, |_| (), scope(2, Some("a.test")), Err(Miss::Configuration));
        check(written, |_| (), scope(1, Some("b.test")), Err(Miss::Name));
        check(written, |_| (), scope(1, None), Err(Miss::Name));
    }

    #[test]
    fn another_writer_is_a_miss() {
        let scope = scope(1, None);
        check(scope, |record| record[0] += 1, scope, Err(Miss::Format));
        check(scope, |record| record[3] += 1, scope, Err(Miss::Rustls));
        check(scope, |record| record.truncate(40), scope, Err(Miss::Format));
        check(scope, Vec::clear, scope, Err(Miss::Format));
    }

    #[test]
    fn the_version_of_rustls_is_the_one_in_use() {
        let [major, minor, patch] = RUSTLS;
        let package = format!("name = \"rustls\"\nversion = \"{major}.{minor}.{patch}\"");
        assert!(
            include_str!("../../../Cargo.lock").contains(&package),
            "rustls has another version: see whether its session encoding changed, set RUSTLS"
        );
    }

    proptest! {
        #[test]
        fn hostile_records_never_panic(record: Vec<u8>) {
            let _ = decode(&record, scope(1, None));
        }

        #[test]
        fn hostile_tails_never_panic(tail: Vec<u8>) {
            let scope = scope(1, None);
            let mut record = encode(scope, &past(), b"").to_vec();
            record.truncate(1 + RUSTLS.len() + 32);
            record.extend_from_slice(&tail);
            let _ = decode(&record, scope);
        }
    }
}
