//! Portions at size: a hundred nodes, three replicas, ten million records.
//!
//! Placement is the farm's own. What moves is counted slot by slot and not
//! stored: each slot knows how many records it has and which nodes have them.
//! Nodes fail at intervals and start again, empty; that one failed is known
//! after a while, what it held is fetched after another, and takes the time
//! that its bytes take. So the table shows what placement and restoring do, and
//! nothing of packets: these are the seeds' business.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use proto::cluster::placement::{Member, Placement};
use proto::cluster::portion::{Keep, Portion};
use proto::cluster::slots::{SLOTS, Slot, SlotRun};
use proto::rng::Rng;
use proto::wire::header::Incarnation;

const NODES: u128 = 100;
const REPLICAS: u8 = 3;
const RECORDS: u64 = 10_000_000;
/// A record of 200 bytes, as pages have it.
const RECORD_BYTES: u64 = 270;
/// How long each farm is watched.
const WATCHED: u64 = 300;
/// From a failure until every node knows of it, the half second included that
/// a change is waited on, as the node does it.
const FOUND_AFTER: u64 = 2;
/// From a failure until the node is there again, empty.
const RESTARTED_AFTER: u64 = 30;
/// What a node takes in while it restores: half of a link of 1 Gbit/s.
const BYTES_A_SECOND: u64 = 60_000_000;
/// Look-ups of which something is told, each second.
const LOOKUPS: u64 = 500;

/// What failed how often, and what came of it.
#[derive(Debug)]
pub struct Row {
    every: u64,
    at_once: usize,
    failures: u64,
    lost: u64,
    moved: u64,
    ideal: u64,
    /// Look-ups by what they cost: none, one way and back, more, in vain.
    lookups: [u64; 4],
}

/// The table of all of them.
#[derive(Debug)]
pub struct Report(Vec<Row>);

/// Measures farms in which ever more nodes fail.
#[must_use]
pub fn measure() -> Report {
    let cases = [(60, 1), (10, 1), (5, 1), (2, 1), (30, 2), (10, 2), (30, 3), (30, 6)];
    Report(cases.into_iter().map(|(every, at_once)| World::new().watch(every, at_once)).collect())
}

struct World {
    rng: Rng,
    placement: Placement,
    members: BTreeMap<Incarnation, Member>,
    /// Nodes that run, those not counted that have failed.
    running: Vec<Incarnation>,
    /// How many records each slot has.
    records: Vec<u64>,
    /// Who has the records of each slot.
    have: Vec<Vec<Incarnation>>,
    /// What is on its way: when it is here, which slot, at whom.
    coming: BTreeMap<u64, Vec<(Slot, Incarnation)>>,
    /// When each node has taken in what it is to take in.
    busy_until: BTreeMap<Incarnation, u64>,
    row: Row,
}

fn member(number: u128) -> Member {
    let portion = Portion { keep: Keep::Share, replicas: REPLICAS, ..Portion::default() };
    Member { name: format!("node-{number}"), portion }
}

impl World {
    fn new() -> Self {
        let mut rng = Rng::from_u64(1);
        let mut records = vec![0; SLOTS];
        for _ in 0..RECORDS {
            records[usize::try_from(rng.below(SLOTS as u64)).expect("a slot")] += 1;
        }
        let members: BTreeMap<Incarnation, Member> =
            (0..NODES).map(|number| (Incarnation(number), member(number))).collect();
        let mut placement = Placement::new(&[7; 32]);
        placement.update(members.clone());
        let have = Slot::all().map(|slot| placement.holders(slot)).collect();
        let row =
            Row { every: 0, at_once: 0, failures: 0, lost: 0, moved: 0, ideal: 0, lookups: [0; 4] };
        Self {
            rng,
            placement,
            running: members.keys().copied().collect(),
            members,
            records,
            have,
            coming: BTreeMap::new(),
            busy_until: BTreeMap::new(),
            row,
        }
    }

    fn watch(mut self, every: u64, at_once: usize) -> Row {
        (self.row.every, self.row.at_once) = (every, at_once);
        let mut found: BTreeMap<u64, Vec<Incarnation>> = BTreeMap::new();
        let mut restarts: BTreeMap<u64, Vec<Incarnation>> = BTreeMap::new();
        for second in 0..WATCHED {
            self.arrive(second);
            if let Some(failed) = found.remove(&second) {
                failed.iter().for_each(|failed| drop(self.members.remove(failed)));
                self.change(second, &failed);
            }
            if let Some(again) = restarts.remove(&second) {
                self.start(second, &again);
            }
            if second % every == every - 1 {
                let failed: Vec<Incarnation> = (0..at_once).filter_map(|_| self.fail()).collect();
                found.entry(second + FOUND_AFTER).or_default().extend(&failed);
                restarts.entry(second + RESTARTED_AFTER).or_default().extend(failed);
            }
            self.look_up();
        }
        self.row
    }

    /// A node fails, and with it what it alone had.
    fn fail(&mut self) -> Option<Incarnation> {
        let at = usize::try_from(self.rng.below(self.running.len() as u64)).ok()?;
        let failed = self.running.swap_remove(at);
        self.row.failures += 1;
        for (slot, have) in self.have.iter_mut().enumerate() {
            let had = !have.is_empty();
            have.retain(|&holder| holder != failed);
            if had && have.is_empty() {
                self.row.lost += self.records[slot];
            }
        }
        self.busy_until.remove(&failed);
        self.coming.values_mut().for_each(|coming| coming.retain(|&(_, to)| to != failed));
        Some(failed)
    }

    /// Nodes start again: each fetches its share.
    fn start(&mut self, second: u64, nodes: &[Incarnation]) {
        for &node in nodes {
            self.running.push(node);
            self.members.insert(node, member(node.0));
        }
        self.change(second, nodes);
    }

    /// The members changed by these: whoever gained slots fetches them.
    fn change(&mut self, second: u64, changed: &[Incarnation]) {
        let share = |world: &Self| -> u64 {
            let slots = changed.iter().flat_map(|&node| world.placement.slots_of(node).runs());
            let slots = slots.flat_map(SlotRun::slots);
            slots.map(|slot| world.records[usize::from(slot.0)]).sum()
        };
        let before = share(self);
        self.placement.update(self.members.clone());
        self.row.ideal += before + share(self);
        let mut gained: BTreeMap<Incarnation, Vec<Slot>> = BTreeMap::new();
        for slot in Slot::all() {
            for holder in self.placement.sharers_of(slot) {
                if !self.have[usize::from(slot.0)].contains(&holder) {
                    gained.entry(holder).or_default().push(slot);
                }
            }
        }
        for (holder, slots) in gained {
            self.fetch(second, holder, &slots);
        }
    }

    /// A node fetches slots that it has become a holder of.
    fn fetch(&mut self, second: u64, holder: Incarnation, slots: &[Slot]) {
        let theirs = self.coming.values().flatten().filter(|(_, to)| *to == holder);
        let on_their_way: BTreeSet<Slot> = theirs.map(|&(slot, _)| slot).collect();
        let new: Vec<Slot> =
            slots.iter().copied().filter(|slot| !on_their_way.contains(slot)).collect();
        let records: u64 = new
            .iter()
            .filter(|slot| !self.have[usize::from(slot.0)].is_empty())
            .map(|slot| self.records[usize::from(slot.0)])
            .sum();
        self.row.moved += records;
        let takes = (records * RECORD_BYTES).div_ceil(BYTES_A_SECOND);
        let begins = self.busy_until.get(&holder).copied().unwrap_or(0).max(second);
        let done = begins + takes.max(1);
        self.busy_until.insert(holder, done);
        self.coming.entry(done).or_default().extend(new.into_iter().map(|slot| (slot, holder)));
    }

    /// What was on its way is here, and who is no holder any more lets go.
    fn arrive(&mut self, second: u64) {
        for (slot, holder) in self.coming.remove(&second).unwrap_or_default() {
            let have = &mut self.have[usize::from(slot.0)];
            // From whom, if all are gone?
            if !have.is_empty() && self.running.contains(&holder) && !have.contains(&holder) {
                have.push(holder);
            }
            if self.placement.sharers_of(slot).all(|holder| have.contains(&holder)) {
                have.retain(|&holder| self.placement.holds(holder, slot));
            }
        }
    }

    /// Clients ask any node for any record.
    fn look_up(&mut self) {
        for _ in 0..LOOKUPS {
            let slot = Slot(u16::try_from(self.rng.below(SLOTS as u64)).expect("a slot"));
            let at = usize::try_from(self.rng.below(self.running.len() as u64)).expect("a node");
            let (asked, have) = (self.running[at], &self.have[usize::from(slot.0)]);
            let cost = if have.contains(&asked) {
                0
            } else {
                match self.placement.sharers_of(slot).position(|holder| have.contains(&holder)) {
                    Some(0) => 1,
                    Some(_) => 2,
                    None => 3,
                }
            };
            self.row.lookups[cost] += 1;
        }
    }
}

impl fmt::Display for Report {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watched = Duration::from_secs(WATCHED).as_secs();
        writeln!(f, "{NODES} nodes, {REPLICAS} replicas, {RECORDS} records, {watched} s each")?;
        writeln!(
            f,
            "{:>9} {:>8} {:>10} {:>9} {:>10} {:>7} {:>7} {:>8} {:>8} {:>8}",
            "every s",
            "at once",
            "failures",
            "lost",
            "moved GB",
            "/ideal",
            "own %",
            "1 hop %",
            "hedged %",
            "missed %"
        )?;
        for row in &self.0 {
            let all = row.lookups.iter().sum::<u64>() as f64;
            let [own, one, hedged, missed] = row.lookups.map(|count| 100.0 * count as f64 / all);
            let moved = (row.moved * RECORD_BYTES) as f64 / 1e9;
            let ratio = row.moved as f64 / row.ideal.max(1) as f64;
            writeln!(
                f,
                "{:>9} {:>8} {:>10} {:>9} {moved:>10.2} {ratio:>7.3} {own:>7.2} {one:>8.2} \
                 {hedged:>8.2} {missed:>8.3}",
                row.every, row.at_once, row.failures, row.lost
            )?;
        }
        Ok(())
    }
}
