//! How two ends of a connection prove to each other that they have the farm's
//! key.
//!
//! What they prove it over is a secret of that one connection that both ends
//! have, as TLS exports one (RFC 8446, 7.5): whoever stands between them has two
//! connections, and a proof for one is none for the other. What carries proofs,
//! and who may speak before, is others' to know.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::keyring::FarmKey;

/// How long the secret of a connection is, in bytes: as long as a farm key, so
/// that it is not what is guessed.
pub const EXPORTED_BYTES: usize = 32;
/// How long a proof is, in bytes: HMAC-SHA-256's output.
pub const PROOF_BYTES: usize = 32;

/// The end that a proof is of. Neither end's proof, sent back to it, is the
/// other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The end that opened the connection.
    Opener,
    /// The end that was called.
    Called,
}

impl Side {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Opener => b"segue link opener v1",
            Self::Called => b"segue link called v1",
        }
    }
}

/// The proof that `side` of the connection with this secret has `key`.
#[must_use]
pub fn prove(key: &FarmKey, side: Side, exported: &[u8; EXPORTED_BYTES]) -> [u8; PROOF_BYTES] {
    let tag = hmac::sign(&derived(key, side), exported);
    tag.as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// Whether `proof` is what [`prove`] gives. Takes as long whether it is or not.
#[must_use]
pub fn holds(
    key: &FarmKey,
    side: Side,
    exported: &[u8; EXPORTED_BYTES],
    proof: &[u8; PROOF_BYTES],
) -> bool {
    hmac::verify(&derived(key, side), exported, proof).is_ok()
}

fn derived(key: &FarmKey, side: Side) -> hmac::Key {
    let secret = Zeroizing::new(key.derive::<32>(&[side.label()]));
    hmac::Key::new(hmac::HMAC_SHA256, &*secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::FARM_KEY_BYTES;

    #[test]
    fn a_proof_holds_for_its_key_its_side_and_its_connection_only() {
        let [key, other] = [1, 2].map(|byte| FarmKey::new([byte; FARM_KEY_BYTES]));
        let (ours, theirs) = ([3; EXPORTED_BYTES], [4; EXPORTED_BYTES]);
        let proof = prove(&key, Side::Opener, &ours);
        assert!(holds(&key, Side::Opener, &ours, &proof));
        assert!(!holds(&other, Side::Opener, &ours, &proof), "another farm's key");
        assert!(!holds(&key, Side::Called, &ours, &proof), "sent back to where it came from");
        assert!(!holds(&key, Side::Opener, &theirs, &proof), "from another connection");
        for bit in 0..8 * PROOF_BYTES {
            let mut changed = proof;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&key, Side::Opener, &ours, &changed), "bit {bit}");
        }
    }
}
