//! The keys of one direction, one after the other.

use aws_lc_rs::aead::{AES_128_GCM, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};

use super::{LENGTH_BYTES, MOST_BYTES};
use crate::proof::Side;

/// How long the secret is that all keys of a stream follow from: as long as
/// what it is extracted to.
pub const SECRET_BYTES: usize = 32;
/// How many records one key seals. TLS allows 2^24.5 of 2^10 blocks (RFC 8446,
/// section 5.5), these have less than 2^13, so it would be 2^21.5.
pub const RECORDS_A_KEY: u64 = 1 << 21;
const _: () = assert!(MOST_BYTES < 16 << 13);

/// A direction's key, and what the next one follows from.
pub(super) struct Keys {
    chain: Prk,
    key: LessSafeKey,
    /// How many records it has sealed or opened.
    pub(super) records: u64,
}

impl Keys {
    /// Those of what `from` sends.
    pub(super) fn new(secret: &[u8; SECRET_BYTES], from: Side) -> Self {
        let root = Salt::new(HKDF_SHA256, b"segue stream v2").extract(secret);
        let chain = follow(
            &root,
            match from {
                Side::Opener => b"opener",
                Side::Called => b"called",
            },
        );
        Self { key: key(&chain), chain, records: 0 }
    }

    /// The key and the nonce of the next record, and what is authenticated with
    /// it.
    pub(super) fn next(&mut self) -> (&LessSafeKey, Nonce) {
        if self.records == RECORDS_A_KEY {
            self.chain = follow(&self.chain, b"next");
            self.key = key(&self.chain);
            self.records = 0;
        }
        let mut nonce = [0; 12];
        nonce[LENGTH_BYTES..].copy_from_slice(&self.records.to_be_bytes());
        self.records += 1;
        (&self.key, Nonce::assume_unique_for_key(nonce))
    }
}

fn follow(chain: &Prk, label: &[u8]) -> Prk {
    let label = [label];
    chain.expand(&label, HKDF_SHA256).map(Prk::from).expect("it is as long as one output")
}

fn key(chain: &Prk) -> LessSafeKey {
    let key = chain.expand(&[b"key"], &AES_128_GCM).map(UnboundKey::from);
    LessSafeKey::new(key.expect("it is shorter than one output"))
}
