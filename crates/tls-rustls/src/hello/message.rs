//! What a ClientHello says that decides which sessions are looked up.
//!
//! Some of its extensions are read, and its session id; everything else is
//! left to rustls, which reads the same bytes later and has the last word.

use rustls::pki_types::DnsName;

use super::HelloError;
use crate::reader::{Reader, Truncated};
use crate::session::SessionId;

/// How many ids of one hello are looked up at most. A client has one ticket
/// for each handshake it did, so more than a few are an attack: a hello of
/// 61 KB can name 700.
pub const MAX_CANDIDATES: usize = 4;

/// Extension types (RFC 8446, section 4.2; RFC 5077, section 3.2).
mod extension {
    pub(super) const SERVER_NAME: u16 = 0;
    pub(super) const SESSION_TICKET: u16 = 35;
    pub(super) const PRE_SHARED_KEY: u16 = 41;
    pub(super) const EARLY_DATA: u16 = 42;
    pub(super) const SUPPORTED_VERSIONS: u16 = 43;
}

/// The version number of TLS 1.3 (RFC 8446, section 4.2.1).
const TLS13: u16 = 0x0304;

/// A ClientHello, as far as resumption is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    server_name: Option<DnsName<'static>>,
    offers_tls13: bool,
    offers_early_data: bool,
    candidates: Vec<SessionId>,
}

impl Hello {
    /// The name of the server that the client wants (SNI), in lower case.
    /// Rustls ignores a name that is an address, and so does this.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_ref().map(AsRef::as_ref)
    }

    /// Whether the client offers TLS 1.3, which it then gets.
    #[must_use]
    pub const fn offers_tls13(&self) -> bool {
        self.offers_tls13
    }

    /// Whether the client sends data before the handshake (RFC 8446, section
    /// 4.2.10).
    #[must_use]
    pub const fn offers_early_data(&self) -> bool {
        self.offers_early_data
    }

    /// The ids that may name a session of the farm, in the client's order of
    /// preference: at most [`MAX_CANDIDATES`], each of the one length that
    /// rustls gives.
    ///
    /// With TLS 1.3 these are the identities of pre-shared keys; the session
    /// id of such a hello is random (RFC 8446, appendix D.4) and names
    /// nothing. Before, it is the session id, unless a ticket comes with it,
    /// which makes the id random as well (RFC 5077, section 3.4).
    #[must_use]
    pub fn candidates(&self) -> &[SessionId] {
        &self.candidates
    }

    /// Parses the body of a ClientHello message (RFC 8446, section 4.1.2).
    pub(super) fn parse(body: &[u8]) -> Result<Self, HelloError> {
        let mut body = Reader::new(body);
        let session_id = session_id(&mut body).map_err(|Truncated| malformed("its frame"))?;
        let extensions = Extensions::read(body)?;
        let offers_tls13 = match extensions.supported_versions {
            Some(versions) => offers_tls13(versions)?,
            None => false,
        };
        let candidates = if offers_tls13 {
            match extensions.pre_shared_key {
                Some(offer) => psk_identities(offer)?,
                None => Vec::new(),
            }
        } else if extensions.session_ticket.is_some_and(|ticket| !ticket.is_empty()) {
            Vec::new()
        } else {
            SessionId::from_bytes(session_id).into_iter().collect()
        };
        let server_name = match extensions.server_name {
            Some(names) => host_name(names)?,
            None => None,
        };
        let offers_early_data = offers_tls13 && extensions.early_data.is_some();
        Ok(Self { server_name, offers_tls13, offers_early_data, candidates })
    }
}

/// Reads over the fields before the extensions; gives the session id.
fn session_id<'a>(body: &mut Reader<'a>) -> Result<&'a [u8], Truncated> {
    const VERSION_BYTES: usize = 2;
    const RANDOM_BYTES: usize = 32;
    body.take(VERSION_BYTES + RANDOM_BYTES)?;
    let session_id = body.vector8()?;
    let _cipher_suites = body.vector16()?;
    let _compression_methods = body.vector8()?;
    Ok(session_id)
}

/// The content of the extensions that matter here.
#[derive(Default)]
struct Extensions<'a> {
    server_name: Option<&'a [u8]>,
    session_ticket: Option<&'a [u8]>,
    pre_shared_key: Option<&'a [u8]>,
    early_data: Option<&'a [u8]>,
    supported_versions: Option<&'a [u8]>,
}

impl<'a> Extensions<'a> {
    /// Reads the rest of a ClientHello. Each extension takes at least four of
    /// its bytes, which bounds the loop.
    fn read(mut body: Reader<'a>) -> Result<Self, HelloError> {
        let mut found = Self::default();
        if body.is_empty() {
            return Ok(found);
        }
        let truncated = |Truncated| malformed("its extensions");
        let mut list = Reader::new(body.vector16().map_err(truncated)?);
        if !body.is_empty() {
            return Err(malformed("bytes after its extensions"));
        }
        while !list.is_empty() {
            let kind = list.u16().map_err(truncated)?;
            let content = list.vector16().map_err(truncated)?;
            let place = match kind {
                extension::SERVER_NAME => &mut found.server_name,
                extension::SESSION_TICKET => &mut found.session_ticket,
                extension::PRE_SHARED_KEY => &mut found.pre_shared_key,
                extension::EARLY_DATA => &mut found.early_data,
                extension::SUPPORTED_VERSIONS => &mut found.supported_versions,
                _ => continue,
            };
            if place.replace(content).is_some() {
                return Err(malformed("an extension that stands twice"));
            }
        }
        Ok(found)
    }
}

/// Whether the list of supported versions names TLS 1.3.
fn offers_tls13(content: &[u8]) -> Result<bool, HelloError> {
    let error = malformed("its supported versions");
    let mut content = Reader::new(content);
    let versions = content.vector8().map_err(|Truncated| error)?;
    if !content.is_empty() || versions.len() % 2 != 0 {
        return Err(error);
    }
    Ok(versions.chunks_exact(2).any(|version| version == TLS13.to_be_bytes()))
}

/// The first identities of an offer (RFC 8446, section 4.2.11) that have a
/// session id's length. Each takes at least six bytes, which bounds the loop.
fn psk_identities(offer: &[u8]) -> Result<Vec<SessionId>, HelloError> {
    const OBFUSCATED_AGE_BYTES: usize = 4;
    let truncated = |Truncated| malformed("its pre-shared keys");
    let mut offer = Reader::new(offer);
    let mut identities = Reader::new(offer.vector16().map_err(truncated)?);
    let _binders = offer.vector16().map_err(truncated)?;
    let mut candidates = Vec::new();
    while !identities.is_empty() && candidates.len() < MAX_CANDIDATES {
        let identity = identities.vector16().map_err(truncated)?;
        identities.take(OBFUSCATED_AGE_BYTES).map_err(truncated)?;
        candidates.extend(SessionId::from_bytes(identity));
    }
    Ok(candidates)
}

/// The host name in a list of server names (RFC 6066, section 3). Only its
/// first entry can be read, since an entry of another type has no length.
fn host_name(content: &[u8]) -> Result<Option<DnsName<'static>>, HelloError> {
    const HOST_NAME: u8 = 0;
    let truncated = |Truncated| malformed("its server name");
    let mut names = Reader::new(Reader::new(content).vector16().map_err(truncated)?);
    if names.u8().map_err(truncated)? != HOST_NAME {
        return Ok(None);
    }
    let name = names.vector16().map_err(truncated)?;
    Ok(DnsName::try_from(name).ok().map(|name| name.to_lowercase_owned()))
}

const fn malformed(what: &'static str) -> HelloError {
    HelloError::Malformed(what)
}
