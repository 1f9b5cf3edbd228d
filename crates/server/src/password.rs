//! What somebody has to know, as its hash: a copy of it in memory is worth nothing
//! elsewhere, and comparing tells nothing by its time, not even how long it is.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

/// A password or a token.
#[derive(Clone)]
pub(crate) struct Password([u8; 32]);

impl Password {
    pub(crate) fn new(password: &[u8]) -> Self {
        let hash = digest(&SHA256, password);
        Self(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// Whether both are the same.
    pub(crate) fn is(&self, given: &Self) -> bool {
        verify_slices_are_equal(&self.0, &given.0).is_ok()
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}
