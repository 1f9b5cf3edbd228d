//! Bringing registers under the present roster, and forgetting those that are
//! over.
//!
//! What a node accepted under earlier electorates is read once under the
//! present one, which has it chosen again; then the earlier ones can be let go
//! of. A register whose content has ended is forgotten only after *all* its
//! voters have accepted that nothing is there, and when no earlier electorate
//! counts: an older state that one voter still had would come back.

use std::collections::{BTreeMap, VecDeque};
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
/// How many registers are looked at each time: all of a full node within some
/// five seconds.
const LOOKED_AT: usize = 2_048;
/// How long all voters have to accept that a register is empty. Its other
/// requests wait meanwhile.
const RETIRE_PATIENCE: Duration = Duration::from_millis(200);
/// How many registers are retired at a time: on a LAN, where it takes a tick,
/// some 10,000 a second.
const RETIRED_AT_A_TIME: usize = 64;
/// The most registers that are known to be over and wait for it.
const MAX_OVER: usize = 16_384;

/// Registers that are still to be swept, or retired.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    keys: VecDeque<(Key, KeyHash)>,
    under_way: usize,
    over: BTreeMap<Key, KeyHash>,
    retiring: usize,
}

impl Sweep {
    pub(super) fn is_idle(&self) -> bool {
        self.keys.is_empty() && self.under_way == 0 && self.over.is_empty() && self.retiring == 0
    }

    /// A register was retired, or could not be.
    pub(super) fn retire_done(&mut self) {
        self.retiring = self.retiring.saturating_sub(1);
    }
}

impl Agree {
    /// Another roster is agreed: what was accepted before its electorate is to
    /// be brought under it.
    pub(super) fn begin_sweep(&mut self) {
        let Some(roster) = &self.roster else { return };
        // Nothing is retired while an earlier electorate counts.
        self.sweep.over.clear();
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

    /// Looks at some registers for such that are over. Each voter of a key
    /// would have it retired, one after another: the first one's word to forget
    /// may not have reached all.
    pub(super) fn tend_registers(&mut self, now: Now) {
        let me = self.config.incarnation;
        let states = self.acceptor.look(now.instant, LOOKED_AT);
        let Some(roster) = self.roster.as_ref().filter(|roster| roster.earlier.is_empty()) else {
            self.sweep.over.clear();
            return;
        };
        let lives = |voter| voter == me || self.members.is_alive(voter);
        for (key, hash, ended) in states {
            if self.sweep.over.len() >= MAX_OVER {
                break;
            }
            let voters = roster.voters_of(hash);
            let turn = voters.iter().position(|&voter| voter == me);
            let waits = turn.and_then(|turn| u32::try_from(turn + 1).ok());
            let is_due = waits.is_some_and(|waits| is_over(ended, waits, now.wall));
            if is_due && voters.into_iter().all(lives) {
                self.sweep.over.insert(key, hash);
            }
        }
    }

    /// Retires some of the registers that are over.
    pub(super) fn tend_retiring(&mut self, now: Now) {
        while self.sweep.retiring < RETIRED_AT_A_TIME
            && let Some((key, hash)) = self.sweep.over.pop_first()
        {
            self.sweep.retiring += 1;
            let id = RequestId(u128::from(self.rng.next_u64()));
            let deadline = now.instant + RETIRE_PATIENCE;
            let retire = Job::new(id, hash, Operation::Retire, Origin::Retire, deadline);
            self.bring_about(key, retire);
        }
    }
}
