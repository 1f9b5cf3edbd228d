//! What has come from a client and is not done with: it may hold passwords and
//! sessions, and leaves nothing behind in memory that is given back.

use std::ops::Deref;

use zeroize::Zeroizing;

/// How much is read at a time: a pipeline of sixteen sets of a kilobyte.
const READ_BYTES: usize = 16 * 1024;
/// Room above which the buffer is given back once it is empty.
const KEPT_BYTES: usize = 64 * 1024;

/// A client's bytes.
#[derive(Default)]
pub(super) struct Input(Zeroizing<Vec<u8>>);

impl Input {
    /// Room for what comes next, behind what is there.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        let needed = self.0.len() + READ_BYTES;
        if needed > self.0.capacity() {
            // What grows by itself leaves its bytes behind.
            let mut larger = Vec::with_capacity(needed.max(2 * self.0.capacity()));
            larger.extend_from_slice(&self.0);
            self.0 = Zeroizing::new(larger);
        }
        &mut self.0
    }

    /// Takes away what is done with.
    pub(super) fn done(&mut self, bytes: usize) {
        self.0.drain(..bytes);
        if self.0.is_empty() && self.0.capacity() > KEPT_BYTES {
            self.0 = Zeroizing::default();
        }
    }
}

impl Deref for Input {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_done_with_stays_however_much_comes() {
        let mut input = Input::default();
        let mut expected = Vec::new();
        for round in 0..40_u8 {
            input.room().extend_from_slice(&[round; 10_000]);
            expected.extend_from_slice(&[round; 10_000]);
            let done = usize::from(round) * 250;
            input.done(done);
            expected.drain(..done);
            assert_eq!(&input[..], expected);
        }
        input.done(expected.len());
        assert!(input.is_empty() && input.room().capacity() == READ_BYTES);
    }
}
