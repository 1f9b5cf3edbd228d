//! The secrets of one direction and the keys that come from them (RFC 8446,
//! sections 5.2, 5.3, 7.2 and 7.3).
//!
//! It seals and opens single records under a sequence number that it is told.
//! That no number is used twice is the business of who tells it: `seal`.

use std::fmt;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, KeyType, Prk};
use rustls::{CipherSuite, ConnectionTrafficSecrets, ServerConnection};
use zeroize::Zeroizing;

/// A record's header: type, version, length.
pub(super) const HEADER_BYTES: usize = 5;

/// What authenticates a record, of all three suites.
pub(super) const TAG_BYTES: usize = 16;

/// The longest traffic secret: SHA-384's.
pub(super) const MAX_SECRET_BYTES: usize = 48;

/// The longest label of a key, with the prefix that all labels have.
const MAX_LABEL_BYTES: usize = 32;

/// A cipher suite of TLS 1.3: all those that rustls has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// `TLS_AES_128_GCM_SHA256`.
    Aes128Gcm,
    /// `TLS_AES_256_GCM_SHA384`.
    Aes256Gcm,
    /// `TLS_CHACHA20_POLY1305_SHA256`.
    ChaCha20Poly1305,
}

impl Suite {
    /// The suite of a connection; `None` while there is none, and for TLS 1.2,
    /// which is not carried.
    #[must_use]
    pub fn of(connection: &ServerConnection) -> Option<Self> {
        let suite = connection.negotiated_cipher_suite()?.tls13()?.common.suite;
        [Self::Aes128Gcm, Self::Aes256Gcm, Self::ChaCha20Poly1305]
            .into_iter()
            .find(|known| known.number() == suite)
    }

    /// As the handshake names it.
    pub(super) const fn number(self) -> CipherSuite {
        match self {
            Self::Aes128Gcm => CipherSuite::TLS13_AES_128_GCM_SHA256,
            Self::Aes256Gcm => CipherSuite::TLS13_AES_256_GCM_SHA384,
            Self::ChaCha20Poly1305 => CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        }
    }

    /// The suite whose number ends in this byte; they all begin with 0x13.
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Aes128Gcm, Self::Aes256Gcm, Self::ChaCha20Poly1305]
            .into_iter()
            .find(|suite| u16::from(suite.number()) == u16::from_be_bytes([0x13, byte]))
    }

    pub(super) const fn secret_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::ChaCha20Poly1305 => 32,
            Self::Aes256Gcm => MAX_SECRET_BYTES,
        }
    }

    /// How many records one key may seal. AES-GCM: 2^24, below the 2^24.5 full
    /// records of RFC 8446, section 5.5. `ChaCha20` sets no bound but that of
    /// the number itself; 2^62 leaves that out of reach.
    pub(super) const fn records_a_key(self) -> u64 {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => 1 << 24,
            Self::ChaCha20Poly1305 => 1 << 62,
        }
    }

    const fn aead(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes128Gcm => &aead::AES_128_GCM,
            Self::Aes256Gcm => &aead::AES_256_GCM,
            Self::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }

    const fn hkdf(self) -> hkdf::Algorithm {
        match self {
            Self::Aes128Gcm | Self::ChaCha20Poly1305 => hkdf::HKDF_SHA256,
            Self::Aes256Gcm => hkdf::HKDF_SHA384,
        }
    }
}

/// The traffic secret of one direction, of one generation. It is never printed.
#[derive(Clone)]
pub(super) struct Secret {
    suite: Suite,
    bytes: Zeroizing<[u8; MAX_SECRET_BYTES]>,
}

impl Secret {
    /// `None` if it has not the suite's length.
    pub(super) fn new(suite: Suite, secret: &[u8]) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; MAX_SECRET_BYTES]);
        if secret.len() != suite.secret_bytes() {
            return None;
        }
        bytes[..secret.len()].copy_from_slice(secret);
        Some(Self { suite, bytes })
    }

    pub(super) const fn suite(&self) -> Suite {
        self.suite
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.suite.secret_bytes()]
    }

    /// That of the next generation (RFC 8446, section 7.2).
    pub(super) fn next(&self) -> Self {
        let mut next = Self { suite: self.suite, bytes: Zeroizing::new([0; MAX_SECRET_BYTES]) };
        self.expand("traffic upd", &mut next.bytes[..self.suite.secret_bytes()]);
        next
    }

    pub(super) fn key(&self) -> Key {
        let (key, iv) = self.key_and_iv();
        let key = UnboundKey::new(self.suite.aead(), &key[..self.suite.aead().key_len()]);
        Key { aead: LessSafeKey::new(key.expect("the key has the suite's length")), iv }
    }

    /// Whether rustls' keys come from this secret.
    pub(super) fn gives(&self, extracted: &ConnectionTrafficSecrets) -> bool {
        let (suite, key, iv) = match extracted {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Suite::Aes128Gcm, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Suite::Aes256Gcm, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (Suite::ChaCha20Poly1305, key, iv)
            }
            _ => return false,
        };
        let own = self.key_and_iv();
        suite == self.suite
            && own.0[..self.suite.aead().key_len()] == *key.as_ref()
            && *own.1 == *iv.as_ref()
    }

    fn key_and_iv(&self) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; NONCE_LEN]>) {
        let mut key = Zeroizing::new([0; 32]);
        let mut iv = Zeroizing::new([0; NONCE_LEN]);
        self.expand("key", &mut key[..self.suite.aead().key_len()]);
        self.expand("iv", &mut *iv);
        (key, iv)
    }

    /// HKDF-Expand-Label with an empty context (RFC 8446, section 7.1).
    fn expand(&self, label: &str, out: &mut [u8]) {
        let mut info = [0; MAX_LABEL_BYTES];
        let length = u16::try_from(out.len()).expect("a key is short");
        let label_bytes = "tls13 ".len() + label.len();
        info[..2].copy_from_slice(&length.to_be_bytes());
        info[2] = u8::try_from(label_bytes).expect("a label is short");
        info[3..9].copy_from_slice(b"tls13 ");
        info[9..9 + label.len()].copy_from_slice(label.as_bytes());
        let info = [&info[..3 + label_bytes + 1]];
        Prk::new_less_safe(self.suite.hkdf(), self.as_bytes())
            .expand(&info, Length(out.len()))
            .and_then(|okm| okm.fill(out))
            .expect("HKDF gives 255 hashes, and this is at most one");
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// How much HKDF is to give.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// A record did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forged;

/// What seals or opens the records of one direction and one generation.
pub(super) struct Key {
    aead: LessSafeKey,
    iv: Zeroizing<[u8; NONCE_LEN]>,
}

impl Key {
    /// Opens a record's body, of [`TAG_BYTES`] at least, onto the end of `out`;
    /// `out` is as before if that fails.
    pub(super) fn open(
        &self,
        sequence: u64,
        header: [u8; HEADER_BYTES],
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Forged> {
        let (sealed, tag) = body.split_at(body.len() - TAG_BYTES);
        let start = out.len();
        out.resize(start + sealed.len(), 0);
        let opened = self.aead.open_separate_gather(
            self.nonce(sequence),
            Aad::from(header),
            sealed,
            tag,
            &mut out[start..],
        );
        opened.map_err(|_| {
            out.truncate(start);
            Forged
        })
    }

    /// Seals a record of `len` bytes of content, which may be in several pieces,
    /// onto the end of `out`.
    pub(super) fn seal<'a>(
        &self,
        (sequence, kind): (u64, u8),
        len: usize,
        content: impl Iterator<Item = &'a [u8]>,
        out: &mut Vec<u8>,
    ) {
        let body = len + 1 + TAG_BYTES;
        let [high, low] = u16::try_from(body).expect("content is at most 16 KiB").to_be_bytes();
        let header = [APPLICATION_DATA, 3, 3, high, low];
        out.reserve(HEADER_BYTES + body);
        out.extend_from_slice(&header);
        let start = out.len();
        content.for_each(|piece| out.extend_from_slice(piece));
        debug_assert_eq!(out.len(), start + len, "the content is as long as it was said to be");
        out.push(kind);
        // In place, the type with the content: to have it sealed apart is slow
        // with ChaCha20, and a copy costs less.
        let sealed = self.aead.seal_in_place_separate_tag(
            self.nonce(sequence),
            Aad::from(header),
            &mut out[start..],
        );
        let tag = sealed.expect("a record is shorter than what an AEAD seals");
        out.extend_from_slice(tag.as_ref());
    }

    fn nonce(&self, sequence: u64) -> Nonce {
        let mut nonce = *self.iv;
        for (byte, number) in nonce[NONCE_LEN - 8..].iter_mut().zip(sequence.to_be_bytes()) {
            *byte ^= number;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// The content types of RFC 8446, section 5.1, that there are after the
/// handshake. Sealed records have the first on their outside.
pub(super) const APPLICATION_DATA: u8 = 23;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const ALERT: u8 = 21;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    /// RFC 8448, section 3: the server's application traffic.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let secret = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
        let secret = Secret::new(Suite::Aes128Gcm, &bytes(secret)).unwrap();
        let (key, iv) = secret.key_and_iv();
        assert_eq!(key[..16], bytes("9f02283b6c9c07efc26bb9f2ac92e356"));
        assert_eq!(iv[..], bytes("cf782b88dd83549aadf1e984"));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let secret = Secret::new(Suite::Aes256Gcm, &[0xab; 48]).unwrap();
        assert_eq!(format!("{secret:?} {:?}", secret.key()), "Secret { suite: Aes256Gcm, .. } Key");
    }

    #[test]
    fn a_secret_has_its_suite_s_length() {
        assert!(Secret::new(Suite::Aes256Gcm, &[0; 32]).is_none());
        assert!(Secret::new(Suite::ChaCha20Poly1305, &[0; 48]).is_none());
    }
}
