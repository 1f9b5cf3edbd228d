//! What must hold during a run and at its end.
//!
//! The model knows each write as it was made: the record, and who confirmed
//! it. It has no network, no packets and no order but that of versions.

use std::collections::BTreeMap;

use proto::holdings::Holdings;
use proto::nak::acks::{Ack, WriteId};
use proto::node::Event;
use proto::record::merge::{Merge, merge};
use proto::record::{Body, Deadlines, Key, Record, Version};
use proto::wire::header::Incarnation;

use crate::farm::Farm;
use crate::tombstones::Tombstones;

/// A record that owns its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Holding {
    /// What it is of.
    pub key: Key,
    /// Its version.
    pub version: Version,
    /// When it ends.
    pub deadlines: Deadlines,
    /// The value; `None` when it was deleted.
    pub value: Option<Vec<u8>>,
}

impl Holding {
    /// A copy of a record.
    #[must_use]
    pub fn of(record: &Record<'_>) -> Self {
        let value = match record.body {
            Body::Value(value) => Some(value.to_vec()),
            Body::Deleted => None,
        };
        let Record { key, version, deadlines, .. } = *record;
        Self { key, version, deadlines, value }
    }

    /// The record.
    #[must_use]
    pub fn as_record(&self) -> Record<'_> {
        let body = self.value.as_ref().map_or(Body::Deleted, |value| Body::Value(value));
        Record { key: self.key, version: self.version, deadlines: self.deadlines, body }
    }

    /// Whether `other` takes this one's place, or is the same write.
    #[must_use]
    pub fn is_superseded_by(&self, other: &Self) -> bool {
        !matches!(merge(&other.as_record(), &self.as_record()), Merge::Replace(_))
    }
}

impl std::fmt::Debug for Holding {
    /// What tells it from others, on a short line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, version, value, .. } = self;
        let (kind, id) = (key.kind().name(), key.id());
        write!(f, "{kind} {id:02x?} {:x} by {:08x}, ", version.time.0, version.writer.0)?;
        match value {
            Some(value) => write!(f, "a value of {} bytes", value.len()),
            None => write!(f, "deleted"),
        }
    }
}

/// What a node holds of a key, a tombstone too.
#[must_use]
pub fn holding(holdings: &Holdings, key: &Key) -> Option<Holding> {
    holdings.peek_hash(holdings.hash(key), Holding::of)
}

/// A write that was made.
#[derive(Debug, Clone)]
struct Write {
    at: usize,
    ack: Ack,
    holding: Holding,
}

/// Every write of a run.
#[derive(Debug, Default)]
pub struct Model {
    writes: BTreeMap<WriteId, Write>,
    /// Writes that must survive: confirmed, or made at a node that lives.
    bound: Vec<Bound>,
    tombstones: Tombstones,
}

/// A write that must survive.
#[derive(Debug)]
struct Bound {
    /// The node that made it, while that lives: its own cache has it.
    at: Option<usize>,
    holding: Holding,
}

impl Model {
    /// A node has made a write.
    pub fn wrote(&mut self, at: usize, write: WriteId, ack: Ack, holding: Holding) {
        self.writes.insert(write, Write { at, ack, holding });
    }

    /// A node has made a write that waits for nobody.
    pub fn made(&mut self, at: usize, holding: Holding) {
        self.bound.push(Bound { at: Some(at), holding });
    }

    /// A node has gone: what it wrote may be lost unless it was confirmed, and
    /// what it alone confirmed may be nowhere.
    pub fn gone(&mut self, number: usize) {
        self.writes.retain(|_, write| write.at != number && write.ack != Ack::One);
        for bound in self.bound.iter_mut().filter(|bound| bound.at == Some(number)) {
            bound.at = None;
        }
        self.tombstones.forget(number);
    }

    /// Nothing deleted revives ([`Tombstones::check`]).
    ///
    /// # Errors
    ///
    /// What has revived, and where.
    pub fn check_deleted(&mut self, farm: &Farm) -> Result<(), String> {
        self.tombstones.check(farm)
    }

    /// Looks at what the nodes have said. A confirmed write must be where its
    /// acknowledgement says, at that moment.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn check_events(&mut self, farm: &mut Farm) -> Result<(), String> {
        for number in farm.running() {
            let events = std::mem::take(&mut farm.nodes[number].as_mut().expect("runs").events);
            for (event, members) in events {
                if let Event::Acknowledged(write) = event
                    && let Some(write) = self.writes.remove(&write)
                {
                    check_acknowledged(farm, number, &members, &write)?;
                    self.bound.push(Bound { at: Some(write.at), holding: write.holding });
                }
            }
        }
        Ok(())
    }

    /// At the end of a run, with the network whole and quiet: every node holds
    /// the same, nothing that had to survive is missing, and nothing deleted
    /// is back.
    ///
    /// # Errors
    ///
    /// What does not hold.
    pub fn check_end(mut self, farm: &Farm, confirmed_survive: bool) -> Result<(), String> {
        let running = farm.running();
        let Some((&first, others)) = running.split_first() else { return Ok(()) };
        let held = farm.held(first);
        for &other in others {
            if let Some([here, there]) = difference(&held, &farm.held(other)) {
                return Err(format!("node {first} holds {here}, node {other} holds {there}"));
            }
        }
        self.bound.retain(|bound| confirmed_survive || bound.at.is_some());
        let unconfirmed = self.writes.into_values();
        self.bound
            .extend(unconfirmed.map(|Write { at, holding, .. }| Bound { at: Some(at), holding }));
        let by_key: BTreeMap<Key, &Holding> =
            held.iter().map(|holding| (holding.key, holding)).collect();
        for Bound { holding: bound, .. } in &self.bound {
            match by_key.get(&bound.key) {
                Some(holding) if bound.is_superseded_by(holding) => {}
                found => return Err(format!("{bound:?} was lost; held: {found:?}")),
            }
        }
        Ok(())
    }
}

fn check_acknowledged(
    farm: &Farm,
    number: usize,
    members: &[Incarnation],
    write: &Write,
) -> Result<(), String> {
    let has = |other: usize| {
        farm.held_of(other, &write.holding.key)
            .is_some_and(|held| write.holding.is_superseded_by(&held))
    };
    // Members are told by incarnation: who confirmed a write and crashed may
    // have started again since, with nothing.
    // A node that has just joined confirms what came after its portion was
    // asked for; the portion brings the rest before it says that it is ready.
    let ready =
        |other: &usize| farm.nodes[*other].as_ref().is_some_and(|running| running.node.is_ready());
    match write.ack {
        Ack::All if !farm.numbers(members).filter(ready).all(has) => {
            Err(format!("{write:?} was confirmed by all, but not all have it"))
        }
        Ack::One if !(0..farm.nodes.len()).filter(|&other| other != number).any(has) => {
            Err(format!("{write:?} was confirmed by one, but nobody has it"))
        }
        Ack::Local | Ack::One | Ack::All => Ok(()),
    }
}

/// The first key that two nodes hold differently, as each has it.
fn difference(one: &[Holding], other: &[Holding]) -> Option<[String; 2]> {
    let differs = |key: &&Key| {
        let same = |one: &Holding, other: &Holding| {
            one.version == other.version && one.value == other.value
        };
        match (find(one, key), find(other, key)) {
            (Some(one), Some(other)) => !same(one, other),
            (one, other) => one.is_some() || other.is_some(),
        }
    };
    let key = one.iter().chain(other).map(|holding| &holding.key).find(differs)?;
    Some([one, other].map(|held| match find(held, key) {
        Some(holding) => format!("{holding:?}"),
        None => "nothing of that key".into(),
    }))
}

/// What is held of a key; holdings are in the order of their keys.
fn find<'a>(held: &'a [Holding], key: &Key) -> Option<&'a Holding> {
    held.binary_search_by_key(key, |holding| holding.key).ok().map(|at| &held[at])
}
