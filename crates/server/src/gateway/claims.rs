//! Several keys that are written together, all of them or none.
//!
//! Each key has voters of its own, who agree on that key and on nothing else. So
//! there is one more register, the *decision*: every key gets its text with a
//! claim, that it is there if the decision says so; once all have one, the decision
//! is made, by one compare-and-set; then each key is told. Whoever meets a claim
//! meanwhile asks the decision. Should the node that began die, its decision is
//! open for some seconds, in which the keys read as they did before, and then
//! whoever meets a claim decides against it. The argument stands in
//! `docs/gateways.md`.

use std::time::Duration;

use proto::gateway::Need;
use proto::gateway::redis::Fail;
use proto::record::{Hlc, Key, Kind, Version};
use proto::web::draft::Until;
use proto::web::{Beside, Draft, Stamp};
use segue::{OneAnswerError, Pending};

use super::keys::{DECISION, Name};
use super::store::{Store, undecided, unwritten};

/// The most keys that are written together: each is agreed on three times.
pub(super) const MOST_TOGETHER: usize = 128;
/// How long a decision stays open before others make it: a node that has not
/// come to it by then is dead, or as good as.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a decision that is made is remembered after all keys were told, for
/// those who have yet to hear of that.
const REMEMBERED: Duration = Duration::from_secs(60);

const OPEN: &[u8] = b"open";
const HOLDS: &[u8] = b"holds";
const DROPPED: &[u8] = b"dropped";

const GIVEN_UP: Fail = Fail::Said(
    "ERR it took so long that others did not wait for it: nothing was written, try it again",
);

/// What has become of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing yet.
    Open,
    /// What hangs on it is there, or is not.
    Decided(bool),
}

/// What is to be written: by their keys' order, so that of two who write some of
/// the same keys one waits for the other, and never each for the other.
pub(super) type Pairs<'p> = [(Name<'p>, &'p [u8])];

impl Store {
    /// Writes texts where nothing is at any of their keys. Gives whether it has.
    pub(super) async fn set_all_absent(&self, pairs: &Pairs<'_>) -> Result<bool, Fail> {
        if self.is_alone() {
            return self.set_all_here(pairs).await;
        }
        let claim = self.cache.next_version();
        // It has no end: what it is not can be known only from what it has become.
        let open = self.decide(claim, None, OPEN, Duration::MAX).await.map_err(undecided)?;
        let open = open.ok_or(GIVEN_UP)?;
        let claimed = match self.claim_all(pairs, claim).await {
            Ok(true) => self.decide(claim, Some(open), HOLDS, Duration::MAX).await,
            other => {
                self.drop_all(pairs, (claim, open)).await;
                return other;
            }
        };
        match claimed {
            // From here on it is done, whatever becomes of this node.
            Ok(Some(held)) => {
                if self.settle_all(pairs, claim, true).await.is_ok() {
                    let _ = self.decide(claim, Some(held), HOLDS, REMEMBERED).await;
                }
                Ok(true)
            }
            Ok(None) => {
                self.drop_all(pairs, (claim, open)).await;
                Err(GIVEN_UP)
            }
            // Whoever meets a claim learns what was decided.
            Err(error) => Err(undecided(error)),
        }
    }

    /// What has become of a decision; nothing was decided for a claim whose decision
    /// is not known.
    pub(super) async fn fate(&self, claim: Version) -> Result<Fate, OneAnswerError> {
        loop {
            let held = self.cache.agreed(&decision(claim)).await?;
            let Some(held) = held else { return Ok(Fate::Decided(false)) };
            if *held.value != *OPEN {
                return Ok(Fate::Decided(*held.value == *HOLDS));
            }
            if self.cache.now() < claim.time.wall() + PATIENCE {
                return Ok(Fate::Open);
            }
            // Either this is the decision, or another one has been made.
            self.decide(claim, Some(held.version), DROPPED, REMEMBERED).await?;
        }
    }

    /// Puts something in the place of what stands in a decision's register.
    async fn decide(
        &self,
        claim: Version,
        held: Option<Hlc>,
        what: &[u8],
        lasting: Duration,
    ) -> Result<Option<Hlc>, OneAnswerError> {
        let end = self.cache.now() + lasting;
        self.cache.agree_on(&decision(claim), held, what, end).await
    }

    /// Writes all texts with a claim. Gives whether nothing was in the way.
    async fn claim_all(&self, pairs: &Pairs<'_>, claim: Version) -> Result<bool, Fail> {
        let mut pending = Vec::new();
        for (name, text) in pairs {
            let mut is_free = false;
            let mut work = |draft: &mut Draft, _: &mut Vec<u8>| {
                is_free = !draft.is_there();
                if is_free {
                    let beside = Beside { claim: Some(claim), ..Beside::default() };
                    draft.write_item(text.to_vec(), beside, Until::Never);
                }
                Ok(())
            };
            pending.extend(self.agree(name, Need::OneAnswer, &mut Vec::new(), &mut work).await?);
            if !is_free {
                return Ok(false);
            }
        }
        // Whoever sees one of them once it holds is to see all of them.
        self.confirm_all(pending).await?;
        Ok(true)
    }

    /// Decides against claims, and takes them back as far as they were made.
    async fn drop_all(&self, pairs: &Pairs<'_>, (claim, open): (Version, Hlc)) {
        // What fails here is done by whoever meets a claim.
        if self.decide(claim, Some(open), DROPPED, REMEMBERED).await.is_ok() {
            let _ = self.settle_all(pairs, claim, false).await;
        }
    }

    /// Has the voters of all keys that have this claim know what was decided.
    async fn settle_all(&self, pairs: &Pairs<'_>, claim: Version, holds: bool) -> Result<(), Fail> {
        let mut pending = Vec::new();
        for (name, _) in pairs {
            pending.extend(self.settle(name, claim, holds).await?);
        }
        // Whoever has not heard of it in time has the claim still, and asks the voters.
        let _ = self.confirm_all(pending).await;
        Ok(())
    }

    async fn confirm_all(&self, pending: Vec<Pending>) -> Result<(), Fail> {
        let by = self.cache.confirmed_by();
        for pending in pending {
            let confirmed = self.cache.confirm_by(pending, by).await;
            confirmed.map_err(|error| unwritten(&error))?;
        }
        Ok(())
    }

    /// The same where there is nobody to agree with: nobody else changes one of the
    /// keys meanwhile.
    async fn set_all_here(&self, pairs: &Pairs<'_>) -> Result<bool, Fail> {
        let Some(placed) = self.place_all(pairs)? else { return Ok(false) };
        for (placed, (name, _)) in placed.into_iter().zip(pairs) {
            let _ = self.spread(placed, self.ack(name)).await?;
        }
        Ok(true)
    }

    fn place_all(&self, pairs: &Pairs<'_>) -> Result<Option<Vec<segue::Placed>>, Fail> {
        let mut stripes: Vec<usize> = pairs.iter().map(|(name, _)| self.stripe(name)).collect();
        stripes.sort_unstable();
        stripes.dedup();
        let _guards: Vec<_> = stripes.iter().map(|&stripe| self.stripes[stripe].lock()).collect();
        let held = |name| self.draft(self.held(name), Stamp::Agreed);
        if pairs.iter().any(|(name, _)| held(name).is_there()) {
            return Ok(None);
        }
        let mut all = Vec::new();
        for (name, text) in pairs {
            let version = self.cache.next_version();
            let mut draft = self.draft(self.held(name), Stamp::Plain(version));
            draft.set_text(text.to_vec(), Until::Never);
            draft.set_name(name.long);
            let (payload, deadlines) = draft.finish();
            let placed = self.cache.place(&name.key, version, payload, deadlines);
            all.push(placed.map_err(|error| unwritten(&error))?);
        }
        Ok(Some(all))
    }
}

/// The register that says what has become of a claim. No client can name it.
fn decision(claim: Version) -> Key {
    let mut id = [DECISION; 13];
    id[1..9].copy_from_slice(&claim.time.0.to_be_bytes());
    id[9..].copy_from_slice(&claim.writer.0.to_be_bytes());
    Key::new(Kind::Web, &id).expect("thirteen bytes")
}
