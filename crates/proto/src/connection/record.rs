//! What a connection is, apart from its bytes: the record of kind `conn`.
//!
//! Addresses, initial sequence numbers and options of its ends, what TLS needs
//! to go on, and the group and term that it belongs to. The TLS part is bytes
//! that only the TLS layer understands; it holds traffic secrets, so it is
//! overwritten when its last copy goes, and never shown.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::epoch::Term;
use super::sequence::Initial;
use super::{ConnectionId, End, GroupId};
use crate::record::{Key, Kind};
use crate::secret::secret;
use crate::wire::control::{put_address, take_address};
use crate::wire::{Malformed, Reader};

/// The most that TLS says of a connection: both directions' secrets, numbers and
/// cipher come to some 200 bytes, and a record that has begun to at most 2^14
/// and its overhead (RFC 8446, 5.2: 2^14 + 256).
pub const MAX_TLS_BYTES: usize = 20 << 10;
/// The largest shift of a window (RFC 7323, 2.3).
const MAX_SCALE: u8 = 14;

/// What a TCP end agreed on with its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndHeader {
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub peer: SocketAddr,
    /// The initial sequence number of what we send.
    pub sent: Initial,
    /// That of what the peer sends.
    pub received: Initial,
    /// The largest segment that the peer takes.
    pub mss: u16,
    /// By how much windows are shifted, ours and the peer's, if they are.
    pub scales: Option<(u8, u8)>,
    /// Whether selective acknowledgements are used.
    pub sack: bool,
    /// What is added to our clock to make our timestamps, if they are used.
    pub timestamps: Option<u32>,
}

/// What a connection is, apart from its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// Which connection.
    pub id: ConnectionId,
    /// The group that it belongs to.
    pub group: GroupId,
    /// The group's term when this was written; none before its first.
    pub term: Option<Term>,
    /// The client's end.
    pub client: EndHeader,
    /// The backend's end, once there is one.
    pub backend: Option<EndHeader>,
    /// Whether there is to be a backend's end; else the front answers itself.
    pub relayed: bool,
    /// What TLS needs to go on at the client's end; none: plain, so far.
    pub tls: Option<Bytes>,
}

impl Header {
    /// The end whose input is answered at `end`.
    #[must_use]
    pub const fn source(&self, end: End) -> End {
        if self.relayed { end.other() } else { end }
    }

    /// The key of the connection's record.
    ///
    /// # Panics
    ///
    /// Never: an id has 16 bytes.
    #[must_use]
    pub fn key(id: ConnectionId) -> Key {
        Key::new(Kind::Conn, &id.0.to_be_bytes()).expect("16 bytes are an id")
    }

    /// The payload of the connection's record.
    #[must_use]
    pub fn payload(&self) -> Zeroizing<Vec<u8>> {
        // Filled without growing, so that no other copy of the secrets stays.
        let room = MAX_FIXED_BYTES + self.tls.as_ref().map_or(0, Bytes::len);
        let mut out = Zeroizing::new(Vec::with_capacity(room));
        self.encode(&mut out);
        out
    }

    /// Reads a record's payload.
    ///
    /// # Errors
    ///
    /// When it is not what a connection's record has.
    pub fn from_payload(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let header = Self::decode(&mut reader)?;
        reader.finish("connection")?;
        Ok(header)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0.to_be_bytes());
        out.extend_from_slice(&self.group.0.to_be_bytes());
        out.push(
            u8::from(self.term.is_some())
                | u8::from(self.backend.is_some()) << 1
                | u8::from(self.relayed) << 2,
        );
        if let Some(term) = &self.term {
            term.encode(out);
        }
        self.client.encode(out);
        if let Some(backend) = &self.backend {
            backend.encode(out);
        }
        put_tls(self.tls.as_ref(), out);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = take_connection(reader)?;
        let group = GroupId(u128::from_be_bytes(reader.array("group")?));
        let flags = reader.u8("parts")?;
        let (has_term, has_backend, relayed) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
        if flags > 7 || (has_backend && !relayed) {
            return Err(Malformed::Invalid("parts"));
        }
        let term = if has_term { Some(Term::decode(reader)?) } else { None };
        let client = EndHeader::decode(reader)?;
        let backend = if has_backend { Some(EndHeader::decode(reader)?) } else { None };
        let tls = take_tls(reader)?;
        Ok(Self { id, group, term, client, backend, relayed, tls })
    }
}

/// All but the TLS part: 33 bytes of names, 41 of a term, twice 55 of an end, and
/// 4 of a length.
const MAX_FIXED_BYTES: usize = 33 + 41 + 2 * MAX_END_BYTES + 4;
/// Two addresses of 19 bytes, two numbers of 4, and 2, 2, 1 and 5 of options; with
/// room to spare.
const MAX_END_BYTES: usize = 60;

impl EndHeader {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_address(self.local, out);
        put_address(self.peer, out);
        out.extend_from_slice(&self.sent.0.to_be_bytes());
        out.extend_from_slice(&self.received.0.to_be_bytes());
        out.extend_from_slice(&self.mss.to_be_bytes());
        out.push(
            u8::from(self.scales.is_some())
                | u8::from(self.sack) << 1
                | u8::from(self.timestamps.is_some()) << 2,
        );
        if let Some((ours, theirs)) = self.scales {
            out.extend_from_slice(&[ours, theirs]);
        }
        if let Some(offset) = self.timestamps {
            out.extend_from_slice(&offset.to_be_bytes());
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (local, peer) = (take_address(reader)?, take_address(reader)?);
        let sent = Initial(reader.u32("initial sequence number")?);
        let received = Initial(reader.u32("initial sequence number")?);
        let mss = reader.u16("segment size")?;
        let options = reader.u8("options")?;
        if options > 7 {
            return Err(Malformed::Invalid("options"));
        }
        let scales = if options & 1 == 0 {
            None
        } else {
            let [ours, theirs] = reader.array("window scales")?;
            if ours.max(theirs) > MAX_SCALE {
                return Err(Malformed::Invalid("window scales"));
            }
            Some((ours, theirs))
        };
        let sack = options & 2 != 0;
        let timestamps =
            if options & 4 == 0 { None } else { Some(reader.u32("timestamp offset")?) };
        Ok(Self { local, peer, sent, received, mss, scales, sack, timestamps })
    }
}

impl fmt::Debug for Header {
    /// Who and where; of TLS only that it is there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("id", &self.id)
            .field("term", &self.term)
            .field("client", &self.client)
            .field("backend", &self.backend)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

pub(super) fn take_connection(reader: &mut Reader<'_>) -> Result<ConnectionId, Malformed> {
    Ok(ConnectionId(u128::from_be_bytes(reader.array("connection")?)))
}

/// Appends what TLS needs; nothing is as long as 0 bytes.
pub(super) fn put_tls(tls: Option<&Bytes>, out: &mut Vec<u8>) {
    let bytes = tls.map_or(&[][..], |tls| &tls[..]);
    let len = u32::try_from(bytes.len()).expect("at most MAX_TLS_BYTES");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn take_tls(reader: &mut Reader<'_>) -> Result<Option<Bytes>, Malformed> {
    let len = reader.u32("TLS length")? as usize;
    if len > MAX_TLS_BYTES {
        return Err(Malformed::Invalid("TLS length"));
    }
    let bytes = reader.take(len, "TLS")?;
    Ok((!bytes.is_empty()).then(|| secret(bytes)))
}
