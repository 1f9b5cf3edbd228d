//! Under which term an owner acts, and how it comes to another.

use std::collections::VecDeque;

use super::{Action, Keeping, Owner, Returned, Standing, Waiting};
use crate::connection::epoch::{Answer, Ask, Claim, Term, Verdict};
use crate::connection::handover::Outcome;
use crate::connection::ledger::Broken;
use crate::connection::stream::{MAX_MOVED, Message, Reply};
use crate::connection::{ConnectionId, GroupId};
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// How much may be told and not held for another plain connection to be told: a
/// sixteenth of what there is room for, so that those that are kept wait little.
const SEED_SHARE: usize = 16;

impl Owner {
    /// Who is to be the understudy. Whoever is one has to be left first.
    pub const fn choose_understudy(&mut self, understudy: Incarnation) {
        self.wish = Some(understudy);
    }

    /// Whether an understudy is to be chosen: there is none, and none on its way.
    #[must_use]
    pub const fn wants_understudy(&self) -> bool {
        matches!(self.standing, Standing::Alone(_)) && self.wish.is_none() && self.claim.is_none()
    }

    /// The understudy is known to be gone: it is not waited for any longer.
    pub fn leave_understudy(&mut self, now: Instant) {
        if let Standing::Followed(term) = self.standing
            && self.claim.is_none()
        {
            self.claim_alone(now, term);
        }
    }

    /// A stream to the understudy of the present term is up.
    pub fn handle_stream_up(&mut self, now: Instant) {
        self.log.begin();
        self.seed_some(now);
    }

    /// It is broken, or was refused.
    pub fn handle_stream_down(&mut self, now: Instant) {
        self.log.end(now);
    }

    /// The understudy has answered.
    pub fn handle_reply(&mut self, now: Instant, reply: Reply) {
        match (reply, self.standing) {
            (Reply::Held { epoch, count }, Standing::Followed(term)) if epoch == term.epoch => {
                if self.log.hold(count) {
                    self.handovers.handle_held(count);
                    self.release();
                    self.seed_some(now);
                } else {
                    self.counters.senseless += 1;
                }
            }
            // Of an earlier term, or of none any more.
            (Reply::Held { .. }, _) => {}
            (Reply::Moved(group), _) => {
                if let Some(connections) = self.handovers.handle_moved(group) {
                    self.ready.push_back(Action::Abandon(connections));
                }
            }
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.standing {
            Standing::Followed(_) => {
                let since = self.log.waits_since();
                if since.is_some_and(|since| since + self.config.wait <= now) {
                    self.leave_understudy(now);
                }
                self.doubt_late_claim(now);
                self.seed_some(now);
            }
            Standing::Alone(term) if self.claim.is_none() => {
                if let Some(understudy) = self.wish.take() {
                    let followed = Term::after(term, self.config.me, Some(understudy));
                    self.claim = Some(Claim::new(now, self.config.group, term, followed));
                }
            }
            Standing::Alone(_) | Standing::Fenced => {}
        }
        self.handovers.handle_timeout(now, self.config.wait, self.config.me);
    }

    /// What the farm is to be asked.
    pub fn poll_ask(&mut self, now: Instant) -> Option<Ask> {
        let ask = self.claim.as_mut().and_then(|claim| claim.poll_ask(now));
        ask.or_else(|| self.handovers.poll_ask(now))
    }

    /// What the farm has answered to the question of that group and number.
    pub fn handle_answer(&mut self, now: Instant, ask: &Ask, answer: Answer) {
        if ask.group != self.config.group {
            match self.handovers.handle_answer(now, ask, answer) {
                Some(Outcome::Gone(connections)) => {
                    self.ready.push_back(Action::Abandon(connections));
                }
                Some(Outcome::Back { group, term, ledgers }) => {
                    let returned = Box::new(Returned { group, term, ledgers });
                    self.ready.push_back(Action::Restore(returned));
                }
                None => {}
            }
            return;
        }
        let Some(claim) = &mut self.claim else { return };
        let Some(verdict) = claim.handle_answer(now, ask.number, answer) else { return };
        self.claim = None;
        self.doubted = false;
        match verdict {
            Verdict::Won(term) => self.enter(now, term),
            Verdict::Lost => self.fence(now),
        }
    }

    /// Moves connections to the understudy, which goes on with them at once. The
    /// driver has frozen their sockets; from here on nothing of them is done.
    ///
    /// # Errors
    ///
    /// When one of them is not protected, or they are too many.
    pub fn hand_over(
        &mut self,
        now: Instant,
        group: GroupId,
        connections: &[ConnectionId],
    ) -> Result<(), Broken> {
        if connections.len() > MAX_MOVED {
            return Err(Broken::TooMuch);
        }
        let mut unique = connections.to_vec();
        unique.sort_unstable();
        unique.dedup();
        if unique.is_empty() || !unique.iter().all(|id| self.is_protected(*id)) {
            return Err(Broken::Unknown);
        }
        let ledgers = unique
            .iter()
            .filter_map(|id| self.connections.remove(id))
            .map(|carried| carried.ledger)
            .collect();
        self.forget_waiting(&unique);
        self.log.tell(now, Message::Move { group, connections: unique });
        self.handovers.begin(now, (group, self.log.told()), ledgers);
        Ok(())
    }

    /// How many batches of connections are on their way to the understudy.
    #[must_use]
    pub fn moving(&self) -> usize {
        self.handovers.len()
    }

    /// Acts under a term that was won.
    fn enter(&mut self, now: Instant, term: Term) {
        self.log = super::Log::new(now);
        self.handovers.handle_term();
        if term.understudy.is_some() {
            self.standing = Standing::Followed(term);
            self.seed_some(now);
        } else {
            self.standing = Standing::Alone(Some(term));
            self.counters.alone += 1;
            for carried in self.connections.values_mut() {
                carried.keeping = Keeping::Plain;
            }
            self.plain = self.connections.len();
            // Nobody else can go on with them: nothing has to be held.
            self.release();
        }
    }

    /// Is silent from here on.
    fn fence(&mut self, now: Instant) {
        self.standing = Standing::Fenced;
        self.waiting.clear();
        // What is left in it was decided before, and of connections that are
        // another's: but batches that were apart are decided by themselves.
        self.ready.retain(|action| matches!(action, Action::Abandon(_) | Action::Restore(_)));
        let connections = std::mem::take(&mut self.connections).into_keys();
        let connections = connections.chain(self.handovers.handle_fenced()).collect();
        self.plain = 0;
        self.log = super::Log::new(now);
        self.ready.push_back(Action::Abandon(connections));
    }

    /// Gives out what waits for nothing any more.
    fn release(&mut self) {
        let held = match self.standing {
            Standing::Followed(_) => self.log.held(),
            Standing::Alone(_) => u64::MAX,
            Standing::Fenced => return,
        };
        while self.waiting.front().is_some_and(|(needs, _)| *needs <= held) {
            match self.waiting.pop_front() {
                Some((_, Waiting::Action(_, action))) => self.ready.push_back(action),
                Some((_, Waiting::Plain(id))) => {
                    if let Some(carried) = self.connections.get_mut(&id)
                        && carried.keeping == Keeping::Leaving
                    {
                        carried.keeping = Keeping::Plain;
                        self.plain += 1;
                        self.release_all_of(id);
                    }
                }
                None => return,
            }
        }
    }

    /// Gives out all that waits for a connection which has become plain: what
    /// comes next does not wait, and must not overtake it.
    fn release_all_of(&mut self, id: ConnectionId) {
        let mut others = VecDeque::with_capacity(self.waiting.len());
        for (needs, waiting) in self.waiting.drain(..) {
            match waiting {
                Waiting::Action(of, action) if of == id => self.ready.push_back(action),
                waiting @ (Waiting::Action(..) | Waiting::Plain(_)) => {
                    others.push_back((needs, waiting));
                }
            }
        }
        self.waiting = others;
    }

    /// Tells of plain connections, as far as there is room and somebody hears it: one
    /// that is told of waits, and while a stream is made that is for tens of
    /// milliseconds.
    fn seed_some(&mut self, now: Instant) {
        let share = self.config.max_unheld_bytes / SEED_SHARE;
        while self.plain > 0
            && self.log.is_heard()
            && self.follower_has_room()
            && self.log.bytes() <= share
        {
            let mut carried = self.connections.iter();
            let plain = carried.find(|(_, carried)| carried.keeping == Keeping::Plain);
            let Some((&id, _)) = plain else { return };
            self.seed(now, id);
        }
    }

    /// Drops what waits for connections that were moved: their packets are sent
    /// again to who has them then, and so is what was to be written.
    fn forget_waiting(&mut self, moved: &[ConnectionId]) {
        let is_moved = |id: &ConnectionId| moved.binary_search(id).is_ok();
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        for (needs, waiting) in self.waiting.drain(..) {
            match waiting {
                Waiting::Action(id, Action::Admit(token)) if is_moved(&id) => {
                    self.ready.push_back(Action::Refuse(token));
                }
                Waiting::Action(id, _) if is_moved(&id) => {}
                waiting @ (Waiting::Action(..) | Waiting::Plain(_)) => {
                    kept.push_back((needs, waiting));
                }
            }
        }
        self.waiting = kept;
        self.ready.retain(
            |action| !matches!(action, Action::Write { connection, .. } if is_moved(connection)),
        );
    }
}
