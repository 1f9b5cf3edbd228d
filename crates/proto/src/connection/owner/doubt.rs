//! An owner that cannot know whether its term still stands.
//!
//! While its node stood still, another may have gone on with all that it has, and
//! so it may while nobody can be reached. The register tells: the next term is
//! claimed, alone, and until that is decided nothing is done of what was decided
//! before. What an owner does is right in any case, as its understudy holds it;
//! but two must not speak at once.

use super::{Owner, Standing};
use crate::connection::epoch::{Claim, Term};
use crate::time::Instant;

impl Owner {
    /// This node stood still, or was cut off. The driver takes the address off,
    /// and puts it on again when nothing is doubted any more.
    pub fn doubt(&mut self, now: Instant) {
        self.handovers.doubt(now);
        match (&mut self.claim, self.standing) {
            // Of a group that never had a term nobody else knows.
            (_, Standing::Fenced) | (None, Standing::Alone(None)) => return,
            (Some(claim), _) => claim.doubt(now),
            (None, Standing::Followed(term) | Standing::Alone(Some(term))) => {
                self.claim_alone(now, term);
            }
        }
        self.doubted = true;
    }

    /// Whether nothing is done until it is known who owns.
    #[must_use]
    pub const fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// Where the understudy could not be left for as long as it is waited for, the
    /// farm is out of reach, and the understudy may be the owner.
    pub(super) fn doubt_late_claim(&mut self, now: Instant) {
        let since = self.claim.as_ref().map(Claim::since);
        self.doubted |= since.is_some_and(|since| since + self.config.wait <= now);
    }

    pub(super) fn claim_alone(&mut self, now: Instant, term: Term) {
        let alone = Term::after(Some(term), self.config.me, None);
        self.claim = Some(Claim::new(now, self.config.group, Some(term), alone));
    }
}
