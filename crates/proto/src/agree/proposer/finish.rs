//! What voters answer, and how jobs end.

use super::attempt::{Phase, Promise};
use super::{BACK_OFF, Known, Proposer, Scene, count};
use crate::agree::ballot::Ballot;
use crate::agree::message::{About, Failure};
use crate::agree::operation::Outcome;
use crate::agree::roster::majority;
use crate::agree::state::State;
use crate::record::Key;
use crate::wire::header::Incarnation;

impl Proposer {
    /// A voter promised something.
    pub(in crate::agree) fn handle_promise(
        &mut self,
        scene: &mut Scene<'_>,
        key: Key,
        under: Ballot,
        promise: Promise,
    ) {
        let Some(desk) = self.desks.get_mut(&key) else { return };
        let Phase::Preparing(preparing) = &mut desk.phase else { return };
        if preparing.ballot != under {
            return;
        }
        preparing.promise(promise);
        let Some(read) = preparing.read(scene.roster) else { return };
        let Some(job) = desk.jobs.front() else { return };
        let found = read.best.as_ref();
        // Others' changes came after ours may have: it cannot be told whether
        // theirs were made on top of it.
        let is_ours = found.is_some_and(|(_, state)| {
            state.last.as_ref().is_some_and(|(request, _)| *request == job.id)
        });
        let after = found.is_some_and(|(ballot, _)| job.tried.is_some_and(|tried| tried < *ballot));
        if after && !is_ours {
            return self.finish(scene, key, Err(Failure::Unknown), None);
        }
        // Whoever brought it about may not have told the others: it died, or
        // does not know that it came about.
        let is_told = read.settled || found.is_none();
        let (room, settled) = (read.room, read.settled);
        let state = read.best.map_or_else(State::default, |(_, state)| state);
        self.propose(scene, key, Known { ballot: under, state, room, settled, is_told });
    }

    /// A voter accepted something.
    pub(in crate::agree) fn handle_accepted(
        &mut self,
        scene: &mut Scene<'_>,
        key: Key,
        from: Incarnation,
        (under, room): (Ballot, u64),
    ) {
        let Some(desk) = self.desks.get_mut(&key) else { return };
        let voters = scene.roster.voters_of(desk.hash);
        let Phase::Accepting(accepting) = &mut desk.phase else { return };
        if accepting.ballot != under || !voters.contains(&from) {
            return;
        }
        accepting.accepted.insert(from);
        accepting.room = accepting.room.min(room);
        if !accepting.is_chosen(&voters) {
            return;
        }
        let (outcome, changed) = (accepting.outcome.clone(), accepting.changed);
        let (state, room) = (accepting.state.clone(), accepting.room);
        if outcome == Outcome::Retired {
            self.out.extend(voters.iter().map(|&voter| (voter, key, About::Forget(under))));
        } else {
            self.remember(key, under.next(), state.clone(), room);
        }
        self.finish(scene, key, Ok(outcome), changed.then_some(state));
    }

    /// A voter has promised a higher ballot.
    pub(in crate::agree) fn handle_reject(
        &mut self,
        scene: &mut Scene<'_>,
        key: Key,
        under: Ballot,
        promised: Ballot,
    ) {
        self.raise(promised.round);
        let Some(desk) = self.desks.get_mut(&key) else { return };
        let ballot = match &desk.phase {
            Phase::Waiting => return,
            Phase::Preparing(preparing) => preparing.ballot,
            Phase::Accepting(accepting) => accepting.ballot,
        };
        // What was sent twice is refused when it comes again after what
        // followed it.
        if ballot != under || promised == ballot.next() {
            return;
        }
        self.conflicts += 1;
        let longest = BACK_OFF * (1 << desk.conflicts.min(7));
        desk.conflicts += 1;
        let micros = u64::try_from(longest.as_micros()).expect("milliseconds");
        let wait = std::time::Duration::from_micros(scene.rng.below(micros));
        let due = scene.now.instant + wait;
        (desk.phase, desk.due) = (Phase::Waiting, due);
        self.wait_until(due);
    }

    /// A voter has no memory for it.
    pub(in crate::agree) fn handle_full(
        &mut self,
        scene: &mut Scene<'_>,
        key: Key,
        from: Incarnation,
        under: Ballot,
    ) {
        let Some(desk) = self.desks.get_mut(&key) else { return };
        // In the second round others may have accepted: it stays to be seen
        // what comes of it.
        let Phase::Preparing(preparing) = &mut desk.phase else { return };
        if preparing.ballot == under && preparing.full(from) {
            let tried = desk.jobs.front().is_some_and(|job| job.tried.is_some());
            let failure = if tried { Failure::Unknown } else { Failure::Full };
            self.finish(scene, key, Err(failure), None);
        }
    }

    /// Gives up what took too long.
    pub(super) fn expire(&mut self, scene: &mut Scene<'_>, key: Key) {
        let now = scene.now.instant;
        let Some(desk) = self.desks.get_mut(&key) else { return };
        let voters = scene.roster.voters_of(desk.hash);
        let (alive, needed) = match &desk.phase {
            Phase::Waiting => (majority(voters.len()), majority(voters.len())),
            Phase::Preparing(preparing) => preparing.lacks(),
            Phase::Accepting(it) => (count(&it.accepted, &voters), majority(voters.len())),
        };
        // Where enough answer, it was not they who were missing.
        let failure = if alive < needed {
            let number = |count| u8::try_from(count).unwrap_or(u8::MAX);
            Failure::NoQuorum { alive: number(alive), needed: number(needed) }
        } else {
            Failure::Busy
        };
        let first = desk.jobs.front().is_some_and(|job| job.deadline <= now);
        let (kept, late): (Vec<_>, Vec<_>) = std::mem::take(&mut desk.jobs)
            .into_iter()
            .enumerate()
            .partition(|(at, job)| *at == 0 || job.deadline > now);
        desk.jobs = kept.into_iter().map(|(_, job)| job).collect();
        late.into_iter().for_each(|(_, job)| self.end(key, job, Err(failure), None));
        if first {
            let tried = self.desks[&key].jobs.front().is_some_and(|job| job.tried.is_some());
            let failure = if tried { Failure::Unknown } else { failure };
            self.finish(scene, key, Err(failure), None);
        }
    }

    /// The first job of a key has ended; the next one begins.
    pub(super) fn finish(
        &mut self,
        scene: &mut Scene<'_>,
        key: Key,
        result: Result<Outcome, Failure>,
        chosen: Option<State>,
    ) {
        let Some(desk) = self.desks.get_mut(&key) else { return };
        desk.phase = Phase::Waiting;
        if let Some(job) = desk.jobs.pop_front() {
            self.end(key, job, result, chosen);
        }
        self.start(scene, key);
    }
}
