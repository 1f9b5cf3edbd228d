//! What a seed does to a farm of which one node keeps nothing and asks the
//! others.
//!
//! What must hold of each look-up:
//!
//! - it ends, once, within its time;
//! - what it finds is no older than what every node had confirmed when it began
//!   (`all`), a delete included: so nothing deleted is found;
//! - that nothing is found is never said of such a record with certainty, and
//!   that time was up only where packets are lost or nodes die.
//!
//! One node never dies, so that what was confirmed by all is somewhere.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use proto::lookup::{Carried, Outcome};
use proto::nak::acks::{Ack, WriteId};
use proto::node::Event;
use proto::record::{Body, Deadlines, Key, KeyHash, Kind, Record};
use proto::rng::Rng;
use proto::time::{Instant, Wall};
use proto::wire::Reader;
use proto::wire::frame::Frame;

use crate::farm::{Farm, Layout};
use crate::limits;
use crate::model::Holding;
use crate::weather::{Loss, Weather};

/// The node that asks, and how many there are with it.
const ASKER: usize = 3;
const NODES: usize = ASKER + 1;
/// Few keys, so that writes and look-ups meet.
const KEYS: u64 = 40;
const STEPS: u64 = 400;
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// A look-up has ended by then, also one for a large record.
const ENDS_WITHIN: Duration = Duration::from_millis(330);

/// What a run was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Look-ups that found a value, or a delete, at another node.
    pub found: u64,
    /// Those that found nothing, or no answer.
    pub absent: u64,
    /// Those in which a second holder was asked, as the first was slow.
    pub hedged: u64,
    /// Questions that were asked again.
    pub repeated: u64,
    /// Those that were answered from memory.
    pub known_absent: u64,
    /// Those that ended without an answer.
    pub unanswered: u64,
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.found += other.found;
        self.absent += other.absent;
        self.hedged += other.hedged;
        self.repeated += other.repeated;
        self.known_absent += other.known_absent;
        self.unanswered += other.unanswered;
    }
}

/// Runs one seed.
///
/// # Errors
///
/// What did not hold, in words.
pub fn run(seed: u64) -> Result<Summary, String> {
    let mut run = Run::new(seed);
    run.farm.run(Duration::from_secs(2))?;
    for _ in 0..STEPS {
        run.step()?;
    }
    run.farm.run(ENDS_WITHIN)?;
    run.look()?;
    if let Some((hash, waits)) = run.waiting.first_key_value() {
        return Err(format!("{hash:?} was looked for at {:?}, and is still", waits[0].since));
    }
    let counters =
        *run.farm.nodes[ASKER].as_ref().expect("it never ends").node.lookups().counters();
    Ok(Summary {
        hedged: counters.hedged,
        repeated: counters.repeated,
        known_absent: counters.known_absent,
        unanswered: counters.unanswered,
        ..run.summary
    })
}

/// Somebody looks for a key.
struct Wait {
    key: Key,
    since: Instant,
    /// The latest that all had confirmed then.
    floor: Option<Holding>,
}

struct Run {
    farm: Farm,
    rng: Rng,
    /// Whether packets are lost, or nodes die.
    troubled: bool,
    /// Writes that wait for all.
    writes: BTreeMap<WriteId, Holding>,
    /// The latest write of each key that all have confirmed.
    floors: BTreeMap<Key, Holding>,
    waiting: BTreeMap<KeyHash, Vec<Wait>>,
    summary: Summary,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::from_u64(seed ^ 0x100c);
        let loss = [0, 0, 20, 100][pick(&mut rng, 4)];
        let weather = Weather {
            loss: Loss::Independent(loss),
            doubled: rng.below(30),
            jitter: Duration::from_micros(rng.below(3_000)),
            ..Weather::calm(Duration::from_micros(20 + rng.below(200)))
        };
        let layout = Layout { askers: 1, ..Layout::of(NODES, weather) };
        let troubled = loss > 0 || rng.chance(1, 2);
        let farm = Farm::new(layout, rng.next_u64());
        let (writes, floors) = (BTreeMap::new(), BTreeMap::new());
        let (waiting, summary) = (BTreeMap::new(), Summary::default());
        Self { farm, rng, troubled, writes, floors, waiting, summary }
    }

    fn step(&mut self) -> Result<(), String> {
        match self.rng.below(100) {
            0 if self.troubled => self.restart(),
            0..=39 => self.write(),
            _ => self.look_up()?,
        }
        let pause = Duration::from_micros(self.rng.below(3_000));
        self.farm.run(pause)?;
        self.look()?;
        limits::check_farm(&self.farm)
    }

    fn write(&mut self) {
        let ready = |number: &usize| {
            self.farm.nodes[*number].as_ref().is_some_and(|running| running.node.is_ready())
        };
        let writers: Vec<usize> = (0..ASKER).filter(ready).collect();
        let Some(&at) = writers.get(pick(&mut self.rng, writers.len())) else { return };
        let key = self.key();
        let len = if self.rng.chance(1, 30) { 60_000 } else { 200 };
        let value = vec![7; pick(&mut self.rng, len)];
        let body = if self.rng.chance(1, 5) { Body::Deleted } else { Body::Value(&value) };
        let written = self.farm.write(at, Ack::All, |version, wall| Record {
            key,
            version,
            deadlines: Deadlines::at(wall + LIFETIME),
            body,
        });
        if let Some(written) = written {
            self.writes.insert(written.write, written.holding);
        }
    }

    /// As `Cache::get` does it: what is held near is an answer.
    fn look_up(&mut self) -> Result<(), String> {
        let key = self.key();
        let floor = self.floors.get(&key).cloned();
        if let Some(held) = self.farm.held_of(ASKER, &key) {
            return check(floor.as_ref(), Some(&held), "what is held near");
        }
        let hash = self.farm.nodes[ASKER].as_ref().expect("it never ends").holdings.hash(&key);
        let wait = Wait { key, since: self.farm.now(), floor };
        self.waiting.entry(hash).or_default().push(wait);
        self.farm.look_up(ASKER, &key);
        Ok(())
    }

    /// Ends a node that may end, or starts it.
    fn restart(&mut self) {
        let number = 1 + pick(&mut self.rng, ASKER - 1);
        if self.farm.nodes[number].is_none() {
            self.farm.start(number);
        } else {
            self.farm.crash(number);
        }
    }

    /// Looks at what the nodes have said.
    fn look(&mut self) -> Result<(), String> {
        for number in self.farm.running() {
            let events =
                std::mem::take(&mut self.farm.nodes[number].as_mut().expect("runs").events);
            for (event, _) in events {
                if let Event::Acknowledged(write) = event {
                    self.confirmed(write);
                } else if let Event::LookedUp(hash, outcome) = event {
                    self.looked_up(hash, &outcome)?;
                }
            }
        }
        let now = self.farm.now();
        match self.waiting.values().flatten().find(|wait| now - wait.since > ENDS_WITHIN) {
            Some(wait) => Err(format!("{:?} was looked for since {:?}", wait.key, wait.since)),
            None => Ok(()),
        }
    }

    fn confirmed(&mut self, write: WriteId) {
        if let Some(holding) = self.writes.remove(&write) {
            let floor = self.floors.entry(holding.key).or_insert_with(|| holding.clone());
            if floor.is_superseded_by(&holding) {
                *floor = holding;
            }
        }
    }

    fn looked_up(&mut self, hash: KeyHash, outcome: &Outcome) -> Result<(), String> {
        let waits = self.waiting.remove(&hash).ok_or("a look-up that nobody waits for ended")?;
        for Wait { key, floor, .. } in waits {
            let found = match outcome {
                Outcome::Here | Outcome::Absent => self.farm.held_of(ASKER, &key),
                Outcome::Carried(Carried(bytes)) => carried(bytes),
                Outcome::Unanswered if self.troubled => continue,
                Outcome::Unanswered | Outcome::Refused => {
                    return Err(format!("{outcome:?} for {key:?} though nothing was lost"));
                }
            };
            let count =
                if found.is_some() { &mut self.summary.found } else { &mut self.summary.absent };
            *count += 1;
            check(floor.as_ref(), found.as_ref(), "a look-up's answer")?;
        }
        Ok(())
    }

    fn key(&mut self) -> Key {
        let kind = if self.rng.chance(1, 2) { Kind::Tls } else { Kind::Web };
        Key::new(kind, &self.rng.below(KEYS).to_be_bytes()).expect("eight bytes")
    }
}

/// What is found must not be older than what all had confirmed. A tombstone
/// that nobody holds any more says as much as one that is found.
fn check(floor: Option<&Holding>, found: Option<&Holding>, what: &str) -> Result<(), String> {
    match (floor, found) {
        // A delete that passes a node is not remembered for as long as it lives.
        (Some(floor), Some(found)) if floor.version == found.version => Ok(()),
        (Some(floor), Some(found)) if !floor.is_superseded_by(found) => {
            Err(format!("{what} is {found:?}, and all had confirmed {floor:?}"))
        }
        (Some(floor), None) if floor.value.is_some() => {
            Err(format!("{what} is nothing, and all had confirmed {floor:?}"))
        }
        _ => Ok(()),
    }
}

fn carried(bytes: &[u8]) -> Option<Holding> {
    match Frame::decode(&mut Reader::new(bytes), Wall::default()) {
        Ok(Some(Frame::Record(record))) => Some(Holding::of(&record)),
        _ => None,
    }
}

fn pick(rng: &mut Rng, count: usize) -> usize {
    usize::try_from(rng.below(count as u64)).expect("below a usize")
}

#[cfg(test)]
mod tests {
    use proto::record::{Hlc, Version, Writer};

    use super::*;

    #[test]
    fn what_is_older_than_what_all_confirmed_is_refused() {
        let key = Key::new(Kind::Tls, b"session").expect("short");
        let holding = |time: u64, value: Option<&[u8]>| Holding {
            key,
            version: Version { time: Hlc(time), writer: Writer(1) },
            deadlines: Deadlines::at(Wall::MAX),
            value: value.map(<[u8]>::to_vec),
        };
        let (old, new, gone) =
            (holding(1, Some(b"old")), holding(2, Some(b"new")), holding(3, None));
        let check = |floor, found, right: bool| {
            assert_eq!(check(floor, found, "it").is_ok(), right, "{floor:?} {found:?}");
        };
        check(None, None, true);
        check(None, Some(&old), true);
        check(Some(&old), Some(&new), true);
        check(Some(&old), Some(&gone), true);
        check(Some(&gone), None, true);
        check(Some(&new), Some(&old), false);
        check(Some(&new), None, false);
        check(Some(&gone), Some(&new), false);
    }
}
