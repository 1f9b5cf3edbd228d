//! Who owns: what the farm is asked, and who would have the address.
//!
//! The address has a group of its own, whose term says who has the address and
//! what began at it. Its understudy takes over by itself; where there is none,
//! or it is gone as well, any node is a candidate.

use std::net::IpAddr;
use std::time::Duration;

use proto::connection::GroupId;
use proto::connection::epoch::{Answer, Ask, Claim, Term, Verdict};
use proto::connection::owner::{Config, Owner};
use proto::time::Instant;
use proto::wire::header::Incarnation;
use segue::Neighbour;
use sys::address::Found;

use super::Driver;
use super::links::Owned;
use crate::carrier;
use crate::carrier::registers::Asker;

/// How long the address is without a living owner before a candidate claims it:
/// its understudy, if it lives, has long done so.
const VACANT: Duration = Duration::from_millis(500);
/// How often a candidate looks.
const LOOK: Duration = Duration::from_millis(20);
/// How long a candidate rests that found another machine with the address.
const OCCUPIED: Duration = Duration::from_secs(10);
/// How long an owner rests that lost its understudy, before it chooses another:
/// by then the members say who is gone.
pub(super) const REST: Duration = Duration::from_millis(50);

/// How long a node is not chosen that could not be reached: it may have no live
/// connections, or be gone and not known to be.
pub(super) const AVOIDED: Duration = Duration::from_secs(1);

/// Who would have the address if nobody has it.
pub(super) struct Candidate {
    group: GroupId,
    claim: Option<Claim>,
    vacant_since: Option<Instant>,
    looked: Instant,
    rests_until: Instant,
}

impl Candidate {
    pub(super) const fn new(config: &carrier::Config) -> Self {
        let start = Instant::from_micros(0);
        Self {
            group: group_of(config.address),
            claim: None,
            vacant_since: None,
            looked: start,
            rests_until: start,
        }
    }

    /// What was answered until now may be so no more.
    pub(super) fn doubt(&mut self, now: Instant) {
        if let Some(claim) = &mut self.claim {
            claim.doubt(now);
        }
    }

    /// The group of the address.
    pub(super) const fn group(&self) -> GroupId {
        self.group
    }
}

/// The group of an address: named by it, so that all nodes have the same.
const fn group_of(address: IpAddr) -> GroupId {
    match address {
        IpAddr::V4(address) => GroupId(address.to_ipv6_mapped().to_bits()),
        IpAddr::V6(address) => GroupId(address.to_bits()),
    }
}

impl Driver {
    /// The group in which what begins here begins; none where the address is not
    /// here.
    pub(super) fn own_group(&mut self) -> Option<GroupId> {
        let mut owners = self.owners.iter().filter(|(_, owned)| !owned.owner.is_fenced());
        let main = self.candidate.group;
        if self.owners.get(&main).is_some_and(|owned| !owned.owner.is_fenced()) {
            return Some(main);
        }
        if let Some((&group, _)) = owners.next() {
            return Some(group);
        }
        if !self.parts.place.is_here() {
            return None;
        }
        let group = GroupId(Self::name());
        self.owners.insert(group, Owned::new(Owner::new(self.owner_config(group))));
        Some(group)
    }

    /// What owners of this node are told.
    pub(super) fn owner_config(&self, group: GroupId) -> Config {
        Config { wait: self.parts.config.hold, ..Config::new(self.parts.me, group) }
    }

    /// Has owners choose understudies, and lets time pass for them.
    pub(super) fn tend_owners(&mut self) {
        let main = self.candidate.group;
        self.avoided.retain(|_, until| *until > self.now);
        let mut empty = Vec::new();
        let may_follow = self.parts.hold.is_some() || self.leaving.is_some();
        let next = if may_follow { self.next_understudy() } else { None };
        for (&group, owned) in &mut self.owners {
            let rests = owned.rests_until > self.now;
            if let Some(understudy) = next
                && owned.owner.wants_understudy()
                && !rests
            {
                owned.owner.choose_understudy(understudy);
            }
            owned.owner.handle_timeout(self.now);
            let is_idle = owned.owner.len().0 == 0 && owned.owner.moving() == 0;
            if is_idle && (owned.owner.is_fenced() || group != main) {
                empty.push(group);
            }
        }
        for group in empty {
            // One that is over may still wait for the understudy to hear of it.
            if self.splices.values().any(|splice| splice.group == Some(group)) {
                continue;
            }
            let Some(owned) = self.owners.remove(&group) else { continue };
            if let Some(term) = owned.owner.term() {
                self.parts.registers.release(group, term);
            }
            self.end_call_of(&owned);
        }
        self.tend_streams();
    }

    /// Who is next in line: by name, the first behind this node that lives.
    fn next_understudy(&self) -> Option<Incarnation> {
        if let Some(leaving) = &self.leaving
            && let Some(to) = leaving.to()
            // Where that one is gone, anybody is better than nobody.
            && self.is_alive(to)
            && !self.is_avoided(to)
        {
            return Some(to);
        }
        let own = &self.parts.config.name;
        let mut living: Vec<Neighbour> = self.parts.neighbours.list();
        living.retain(|it| it.alive && it.ready && !self.is_avoided(it.incarnation));
        living.sort_by(|a, b| (a.name <= *own, &a.name).cmp(&(b.name <= *own, &b.name)));
        living.first().map(|it| it.incarnation)
    }

    fn is_avoided(&self, incarnation: Incarnation) -> bool {
        self.avoided.get(&incarnation).is_some_and(|until| *until > self.now)
    }

    pub(super) fn neighbour(&self, incarnation: Incarnation) -> Option<Neighbour> {
        self.parts.neighbours.list().into_iter().find(|it| it.incarnation == incarnation)
    }

    /// Asks the farm what owners, understudies and the candidate want to know.
    pub(super) fn ask_registers(&mut self) {
        let registers = &self.parts.registers;
        for (&group, owned) in &mut self.owners {
            while let Some(ask) = owned.owner.poll_ask(self.now) {
                registers.ask(Asker::Owner(group), ask);
            }
        }
        for (&(group, epoch), study) in &mut self.studies {
            while let Some(ask) = study.machine.poll_ask(self.now) {
                registers.ask(Asker::Study(group, epoch), ask);
            }
        }
        if let Some(ask) = self.candidate.claim.as_mut().and_then(|claim| claim.poll_ask(self.now))
        {
            registers.ask(Asker::Candidate, ask);
        }
    }

    pub(super) fn take_answer(&mut self, asker: Asker, ask: &Ask, answer: Answer) {
        match asker {
            Asker::Owner(group) => {
                let Some(owned) = self.owners.get_mut(&group) else { return };
                owned.owner.handle_answer(self.now, ask, answer);
                if owned.owner.is_fenced() {
                    // At once, and before one without connections is forgotten: the
                    // address is another node's.
                    self.act();
                }
            }
            Asker::Study(group, epoch) => {
                if let Some(study) = self.studies.get_mut(&(group, epoch)) {
                    study.machine.handle_answer(self.now, ask, answer);
                }
            }
            Asker::Candidate => self.take_claim_answer(ask, answer),
        }
    }

    fn take_claim_answer(&mut self, ask: &Ask, answer: Answer) {
        let Some(claim) = &mut self.candidate.claim else { return };
        let Some(verdict) = claim.handle_answer(self.now, ask.number, answer) else { return };
        self.candidate.claim = None;
        self.candidate.vacant_since = None;
        if let Verdict::Won(term) = verdict {
            tracing::info!(address = %self.parts.place.address(), "the virtual address is here");
            self.restore(self.candidate.group, term, Vec::new(), None);
        }
    }

    /// Claims the address where nobody has it.
    pub(super) fn tend_candidate(&mut self) {
        let group = self.candidate.group;
        let is_due = self.candidate.looked + LOOK <= self.now
            && self.candidate.rests_until <= self.now
            && self.candidate.claim.is_none()
            && self.leaving.is_none()
            && !self.owners.contains_key(&group)
            && !self.studies.keys().any(|(of, _)| *of == group);
        if !is_due {
            return;
        }
        self.candidate.looked = self.now;
        let heard = self.parts.registers.heard(group);
        if heard.is_some_and(|term| self.has_heir(term)) {
            self.candidate.vacant_since = None;
            return;
        }
        let since = *self.candidate.vacant_since.get_or_insert(self.now);
        if since + VACANT > self.now || (heard.is_none() && self.has_none() && self.is_occupied()) {
            return;
        }
        let new = Term::after(heard, self.parts.me, None);
        self.candidate.claim = Some(Claim::new(self.now, group, heard, new));
    }

    fn is_alive(&self, incarnation: Incarnation) -> bool {
        self.neighbour(incarnation).is_some_and(|it| it.alive)
    }

    /// Whether nothing of this node stands still while it looks around: no
    /// connection of its own, and none of others.
    fn has_none(&self) -> bool {
        self.splices.is_empty() && self.studies.is_empty()
    }

    /// Whether somebody else has the address by that term, or is to have it. An
    /// owner that this node does not hear may be heard by its understudy, which
    /// then knows better.
    fn has_heir(&self, term: Term) -> bool {
        let understudy = term.understudy.is_some_and(|it| self.is_alive(it));
        understudy || self.is_alive(term.owner)
    }

    /// Whether a machine that is none of the farm's has the address.
    fn is_occupied(&mut self) -> bool {
        match self.parts.place.probe() {
            Ok(Found::Nobody) => false,
            Ok(Found::Machine(hardware)) => {
                self.candidate.rests_until = self.now + OCCUPIED;
                let hardware = hardware.map(|byte| format!("{byte:02x}")).join(":");
                tracing::error!(
                    "connections.address: {} is already used by the machine {hardware}; choose an \
                     address that nobody has, or take it from that machine",
                    self.parts.place.address()
                );
                true
            }
            Err(error) => {
                self.candidate.rests_until = self.now + OCCUPIED;
                tracing::warn!(%error, "cannot look whether somebody has the virtual address");
                true
            }
        }
    }
}
