//! Bringing registers under the present roster, and forgetting those that are
//! over.
//!
//! What a node accepted under earlier electorates is read once under the
//! present one, which has it chosen again; then the earlier ones can be let go
//! of. A register whose content has ended is forgotten only after *all* its
//! voters have accepted that nothing is there, and when no earlier electorate
//! counts: an older state that one voter still had would come back.

use std::collections::VecDeque;
use std::time::Duration;

use super::Agree;
use super::ballot::Term;
use super::operation::{Operation, is_over};
use super::proposer::{Job, Origin};
use super::state::RequestId;
use crate::record::{Key, KeyHash};
use crate::time::Now;

/// How many registers are swept at a time: enough to bring some 10,000 a
/// second over on a LAN, few enough to leave room for requests.
const AT_A_TIME: usize = 16;
/// How many registers are looked at each time.
const LOOKED_AT: usize = 256;
/// How long all voters have to accept that a register is empty. Its other
/// requests wait meanwhile.
const RETIRE_PATIENCE: Duration = Duration::from_millis(200);
/// How many registers are retired after each look.
const RETIRED_AT_A_TIME: usize = 16;

/// Registers that are still to be swept.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    keys: VecDeque<(Key, KeyHash)>,
    under_way: usize,
}

impl Agree {
    /// Another roster is agreed: what was accepted before its electorate is to
    /// be brought under it.
    pub(super) fn begin_sweep(&mut self) {
        let Some(roster) = &self.roster else { return };
        // What is under way is counted still, and ends as it would have.
        self.sweep.keys = self.acceptor.accepted_before(roster.electorate.since).into();
    }

    pub(super) fn tend_sweep(&mut self, now: Now) {
        let Some(since) = self.roster.as_ref().map(|roster| roster.electorate.since) else {
            return;
        };
        while self.sweep.under_way < AT_A_TIME
            && let Some((key, hash)) = self.sweep.keys.pop_front()
        {
            self.sweep.under_way += 1;
            self.ask_sweep(now.instant, key, hash, since);
        }
        if self.sweep.keys.is_empty() && self.sweep.under_way == 0 && self.swept != since.epoch {
            // What failed is tried again.
            self.begin_sweep();
            if self.sweep.keys.is_empty() {
                self.swept = since.epoch;
            }
        }
    }

    /// A register was swept, or could not be: whatever of it had been chosen
    /// has been chosen again since.
    pub(super) fn sweep_done(&mut self, key: &Key, since: Term, swept: bool) {
        self.sweep.under_way = self.sweep.under_way.saturating_sub(1);
        if swept {
            self.acceptor.drop_of(key, since);
        }
    }

    /// Looks at some registers, and retires those that are over.
    pub(super) fn tend_registers(&mut self, now: Now) {
        let me = self.config.incarnation;
        let states = self.acceptor.look(now.instant, LOOKED_AT);
        let Some(roster) = self.roster.as_ref().filter(|roster| roster.earlier.is_empty()) else {
            return;
        };
        let lives = |voter| voter == me || self.members.is_alive(voter);
        let over: Vec<(Key, KeyHash)> = states
            .into_iter()
            .filter(|(_, hash, state)| {
                let voters = roster.voters_of(*hash);
                is_over(state, now.wall)
                    && voters.first() == Some(&me)
                    && voters.into_iter().all(lives)
            })
            .map(|(key, hash, _)| (key, hash))
            .take(RETIRED_AT_A_TIME)
            .collect();
        for (key, hash) in over {
            let id = RequestId(u128::from(self.rng.next_u64()));
            let deadline = now.instant + RETIRE_PATIENCE;
            self.bring_about(key, hash, Job::new(id, Operation::Retire, Origin::Retire, deadline));
        }
    }
}
