//! What is to go over a connection, and how the client tells the backend.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use super::content::Content;

/// A connection that a client is to make, and what for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to.
    pub to: SocketAddr,
    /// How.
    pub security: Security,
    /// What the client sends.
    pub upload: Amount,
    /// What the backend sends.
    pub download: Amount,
}

/// Whether a client speaks TLS.
#[derive(Debug, Clone)]
pub enum Security {
    /// It does not.
    Plain,
    /// As this says, to a server of the name that the certificate of
    /// [`crate::farm::Farm`] is for.
    Tls(Arc<ClientConfig>),
}

/// How much one end sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes as fast as possible, then its end.
    Bytes(u64),
    /// As much as possible, until the client is told to end.
    UntilEnd,
    /// Nothing, until the client is told to end.
    Nothing,
    /// So many bytes, and as many again each time that as many have come back.
    /// The client only.
    Turns(u64),
    /// What comes, as it is. The backend only.
    Echo,
}

/// The length of a [`Header`] on the wire.
pub(super) const HEADER_BYTES: usize = 18;

/// What the client tells the backend first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The connection's, nobody else's. The content follows from it.
    pub(super) id: u64,
    pub(super) download: Amount,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let (kind, bytes) = match self.download {
            Amount::Bytes(bytes) => (0, bytes),
            Amount::UntilEnd => (1, 0),
            Amount::Nothing => (2, 0),
            Amount::Echo => (3, 0),
            Amount::Turns(bytes) => (4, bytes),
        };
        let mut header = [0; HEADER_BYTES];
        header[0] = b'G';
        header[1] = kind;
        header[2..10].copy_from_slice(&self.id.to_be_bytes());
        header[10..].copy_from_slice(&bytes.to_be_bytes());
        header
    }

    /// None: it is no header.
    pub(super) fn decode(header: [u8; HEADER_BYTES]) -> Option<Self> {
        let number = |from: usize| {
            let bytes = header[from..from + 8].try_into().expect("eight bytes");
            u64::from_be_bytes(bytes)
        };
        let download = match header[1] {
            0 => Amount::Bytes(number(10)),
            1 => Amount::UntilEnd,
            2 => Amount::Nothing,
            3 => Amount::Echo,
            _ => return None,
        };
        (header[0] == b'G').then(|| Self { id: number(2), download })
    }

    /// What the client sends.
    pub(super) fn upload(self) -> Content {
        Content::of(self.id.wrapping_mul(2))
    }

    /// What the backend sends.
    pub(super) fn answer(self) -> Content {
        match self.download {
            Amount::Echo => self.upload(),
            Amount::Bytes(_) | Amount::UntilEnd | Amount::Nothing | Amount::Turns(_) => {
                Content::of(self.id.wrapping_mul(2).wrapping_add(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood() {
        for download in [Amount::Bytes(77), Amount::UntilEnd, Amount::Nothing, Amount::Echo] {
            let header = Header { id: 0x0102_0304_0506_0708, download };
            assert_eq!(Header::decode(header.encode()), Some(header));
        }
        assert_eq!(Header::decode([0; HEADER_BYTES]), None);
        assert_eq!(Header::decode([b'G'; HEADER_BYTES]), None);
    }
}
