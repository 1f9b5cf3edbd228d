//! What must hold in a farm whose nodes keep shares.
//!
//! - A write that was confirmed by a holder is at a holder at that moment, and
//!   one that all holders confirmed at all of them.
//! - Where a node held a tombstone, it never holds what that is above of,
//!   though both may have gone and come in between.
//! - At rest nothing is near that is older than what the holders have.
//! - At rest all nodes agree on who holds what; each key's holders, as many as
//!   there are replicas or live nodes, hold the same of it; nothing that had to
//!   survive is missing; and no node's portion has what is not its own.

use std::collections::BTreeMap;

use proto::cluster::portion::Keep;
use proto::cluster::slots::{Slot, SlotSet};
use proto::nak::acks::{Ack, WriteId};
use proto::node::Event;
use proto::record::Key;

use crate::farm::running::{Running, Written};
use crate::farm::{Farm, Portions};
use crate::model::Holding;
use crate::tombstones::Tombstones;

/// A write that was made.
#[derive(Debug)]
struct Write {
    /// The node that made it; none when it is gone.
    at: Option<usize>,
    ack: Ack,
    holding: Holding,
    confirmed: bool,
    /// Whether a node was lost before it was confirmed: what says that one has
    /// it may come from that node, and after its end.
    overtaken: bool,
}

/// Every write of a run.
#[derive(Debug)]
pub(super) struct Ledger {
    portions: Portions,
    writes: BTreeMap<WriteId, Write>,
    tombstones: Tombstones,
}

impl Ledger {
    pub(super) fn new(portions: Portions) -> Self {
        Self { portions, writes: BTreeMap::new(), tombstones: Tombstones::default() }
    }

    /// A node has made a write.
    pub(super) fn wrote(&mut self, at: usize, ack: Ack, written: Written) {
        let Written { write, holding, .. } = written;
        self.writes.insert(
            write,
            Write { at: Some(at), ack, holding, confirmed: false, overtaken: false },
        );
    }

    /// A node is lost: of what it wrote, only what was confirmed must survive.
    pub(super) fn gone(&mut self, number: usize) {
        self.writes.retain(|_, write| write.at != Some(number) || write.confirmed);
        for write in self.writes.values_mut().filter(|write| write.at == Some(number)) {
            write.at = None;
        }
        for write in self.writes.values_mut().filter(|write| !write.confirmed) {
            write.overtaken = true;
        }
        self.tombstones.forget(number);
    }

    pub(super) fn check_events(&mut self, farm: &mut Farm) -> Result<(), String> {
        for number in farm.running() {
            let events = std::mem::take(&mut farm.nodes[number].as_mut().expect("runs").events);
            for (event, _) in events {
                if let Event::Acknowledged(write) = event
                    && let Some(write) = self.writes.get_mut(&write)
                {
                    write.confirmed = true;
                    check_confirmed(farm, number, write)?;
                }
            }
        }
        self.check_deleted(farm)
    }

    pub(super) fn check_deleted(&mut self, farm: &Farm) -> Result<(), String> {
        self.tombstones.check(farm)
    }

    pub(super) fn check_end(&self, farm: &Farm) -> Result<(), String> {
        check_views(farm)?;
        let mut last: BTreeMap<Key, &Write> = BTreeMap::new();
        for write in self.writes.values() {
            let known = last.entry(write.holding.key).or_insert(write);
            if known.holding.is_superseded_by(&write.holding) {
                *known = write;
            }
        }
        for (key, write) in last {
            self.check_key(farm, &key, write)?;
        }
        farm.running().into_iter().try_for_each(|number| check_own(farm, number))?;
        self.check_superset(farm)
    }

    /// What the last write of a key made is at all of its holders.
    fn check_key(&self, farm: &Farm, key: &Key, write: &Write) -> Result<(), String> {
        let running = farm.running();
        let Some(&first) = running.first() else { return Ok(()) };
        let view = running_at(farm, first);
        let slot = Slot::of(view.holdings.hash(key));
        let holders: Vec<usize> = farm.numbers(&view.node.placement().holders(slot)).collect();
        let sharers = |number: &&usize| self.portions.of(**number).keep == Keep::Share;
        let expected = view.node.placement().replicas().min(running.iter().filter(sharers).count());
        if holders.iter().filter(sharers).count() != expected {
            return Err(format!("{key:?} has the holders {holders:?}, not {expected} of a share"));
        }
        for &number in &holders {
            match farm.held_of(number, key) {
                Some(held) if write.holding.is_superseded_by(&held) => {}
                found => {
                    return Err(format!("{write:?} is not at its holder {number}: {found:?}"));
                }
            }
        }
        check_near(farm, key, &holders)
    }

    /// A node that keeps what others keep has all of it.
    fn check_superset(&self, farm: &Farm) -> Result<(), String> {
        let Portions::ShareAndOf(_, last) = self.portions else { return Ok(()) };
        if farm.nodes[last].is_none() {
            return Ok(());
        }
        let kept = running_at(farm, last).holdings.kept().get();
        for number in farm.running().into_iter().filter(|&number| number < 2) {
            let theirs = running_at(farm, number).holdings.kept().get();
            if !theirs.without(&kept).is_empty() {
                return Err(format!("node {last} does not keep all that node {number} keeps"));
            }
            for holding in farm.held(number) {
                if !farm
                    .held_of(last, &holding.key)
                    .is_some_and(|held| holding.is_superseded_by(&held))
                {
                    return Err(format!("node {last} lacks {holding:?} of node {number}"));
                }
            }
        }
        Ok(())
    }
}

fn running_at(farm: &Farm, number: usize) -> &Running {
    farm.nodes[number].as_ref().expect("it runs")
}

/// What is near at other nodes is not older than what the holders have. It may
/// be later where their delete is final: who wrote again did not know of it.
fn check_near(farm: &Farm, key: &Key, holders: &[usize]) -> Result<(), String> {
    let held = holders.first().and_then(|&holder| farm.held_of(holder, key));
    let Some(held) = held else { return Ok(()) };
    for number in farm.running().into_iter().filter(|number| !holders.contains(number)) {
        match farm.held_of(number, key) {
            Some(near) if near.version < held.version => {
                return Err(format!("node {number} has {near:?} near, and not {held:?}"));
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// A write is where its acknowledgement says.
fn check_confirmed(farm: &Farm, number: usize, write: &Write) -> Result<(), String> {
    let writer = running_at(farm, number);
    let hash = writer.holdings.hash(&write.holding.key);
    let has = |other: &usize| {
        let holdings = &running_at(farm, *other).holdings;
        holdings.kept().keeps(hash)
            && farm
                .held_of(*other, &write.holding.key)
                .is_some_and(|held| write.holding.is_superseded_by(&held))
    };
    let holders = writer.node.placement().holders(Slot::of(hash));
    let others = || farm.numbers(&holders).filter(|&other| other != number);
    // A holder that has just become one, and fetches its slots, may have let
    // it pass: it is fetched with the rest.
    let settled = |other: &usize| running_at(farm, *other).node.portion().moving == 0;
    let alone = writer.node.placement().replicas() == 1 && holders.contains(&writer.incarnation());
    match write.ack {
        Ack::All if !others().filter(settled).all(|other| has(&other)) => {
            Err(format!("{write:?} was confirmed by all, but not all of {holders:?} have it"))
        }
        Ack::One if !write.overtaken && !alone && !others().any(|other| has(&other)) => {
            Err(format!("{write:?} was confirmed by one, but no holder has it"))
        }
        Ack::Local | Ack::One | Ack::All => Ok(()),
    }
}

/// All nodes are ready, nothing moves, and all say the same of who holds what.
fn check_views(farm: &Farm) -> Result<(), String> {
    let running = farm.running();
    for &number in &running {
        let node = &running_at(farm, number).node;
        let portion = node.portion();
        if !node.is_ready() || portion.moving + portion.lingering > 0 {
            return Err(format!("node {number} does not come to rest: {portion:?}"));
        }
        let other = &running_at(farm, running[0]).node;
        let differs =
            |slot: &Slot| node.placement().holders(*slot) != other.placement().holders(*slot);
        // Every slot alike, so that some tell of all.
        if let Some(slot) = Slot::all().step_by(257).find(differs) {
            return Err(format!("nodes {number} and {} differ in {slot:?}", running[0]));
        }
    }
    Ok(())
}

/// A node keeps what placement says, and holds nothing else.
fn check_own(farm: &Farm, number: usize) -> Result<(), String> {
    let running = running_at(farm, number);
    let kept = running.holdings.kept().get();
    let placed: SlotSet = running.node.placement().slots_of(running.incarnation());
    let more = kept.without(&placed);
    // Who keeps what others keep goes on with it when these are gone.
    let of = running.node.placement().members().get(&running.incarnation());
    let sticks = of.is_some_and(|member| matches!(member.portion.keep, Keep::Of(_)));
    if !placed.without(&kept).is_empty() || (!sticks && !more.is_empty()) {
        return Err(format!("node {number} keeps {kept:?}, and not {placed:?}"));
    }
    let strange =
        |holding: &Holding| !running.holdings.kept().keeps(running.holdings.hash(&holding.key));
    match farm.held(number).into_iter().find(strange) {
        Some(holding) => Err(format!("node {number} still holds {holding:?}")),
        None => Ok(()),
    }
}
