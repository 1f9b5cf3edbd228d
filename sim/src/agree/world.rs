//! Nodes that have to agree, and the network between them.
//!
//! Who lives is each node's own opinion here too, from heartbeats that the
//! same network loses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto::agree::members::{Member, Standing};
use proto::agree::roster::{Roster, Stand, majority};
use proto::agree::{Agree, Config, Event};
use proto::rng::Rng;
use proto::time::{Instant, Now, Wall};
use proto::wire::header::Incarnation;

use super::tamper::{Message, Tamper};

/// How often nodes hear of each other, and are told who lives.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// After what silence a node is taken for dead.
const SILENCE: Duration = Duration::from_millis(700);
/// The time of day when the world begins: 2026-01-01.
const BEGINS: u64 = 1_767_225_600_000;

/// What the network does, in thousandths and microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// How many of a thousand messages are lost.
    pub loss: u64,
    /// How many come twice.
    pub doubled: u64,
    /// How many are much later than the others.
    pub late: u64,
    /// The longest delay of most, in microseconds.
    pub delay: u64,
    /// The longest delay of the late, in microseconds.
    pub lateness: u64,
}

/// A machine at one of its starts.
#[derive(Debug)]
pub struct Running {
    /// The machine.
    pub agree: Agree,
    /// Which start.
    pub incarnation: Incarnation,
    /// When each other node was heard last, and as which start.
    heard: Vec<Option<(Instant, Incarnation)>>,
    /// Starts of others that are known to have ended.
    gone: BTreeSet<Incarnation>,
}

/// A place where a node runs, or could.
#[derive(Debug)]
pub struct Slot {
    /// What runs.
    pub running: Option<Running>,
    /// How far its clock is ahead of the world's, in milliseconds.
    pub ahead: i64,
}

/// All of it.
#[derive(Debug)]
pub struct World {
    /// The nodes.
    pub slots: Vec<Slot>,
    /// What the network does.
    pub weather: Weather,
    /// Ways that lose everything, from one to another.
    pub cut: BTreeSet<(usize, usize)>,
    /// How many nodes the farm is configured with.
    pub configured: usize,
    /// How many vote on a key.
    pub voters_of_key: u8,
    /// What breaks the protocol on purpose.
    pub tamper: Tamper,
    /// What machines said, since it was fetched.
    pub events: Vec<(usize, Event)>,
    /// How many rosters there were.
    pub rosters: BTreeMap<Stand, Roster>,
    now: Instant,
    rng: Rng,
    flights: BTreeMap<(Instant, u64), Flight>,
    sent: u64,
    starts: u64,
    beats: Instant,
    roster_changed: bool,
}

#[derive(Debug)]
struct Flight {
    from: Incarnation,
    to: usize,
    bytes: Vec<u8>,
}

impl World {
    /// Places for so many nodes, none of which runs.
    #[must_use]
    pub fn new(slots: usize, weather: Weather, rng: Rng) -> Self {
        Self {
            slots: (0..slots).map(|_| Slot { running: None, ahead: 0 }).collect(),
            weather,
            cut: BTreeSet::new(),
            configured: slots,
            voters_of_key: Config::VOTERS_OF_KEY,
            tamper: Tamper::Nothing,
            events: Vec::new(),
            rosters: BTreeMap::new(),
            now: Instant::default(),
            rng,
            flights: BTreeMap::new(),
            sent: 0,
            starts: 0,
            beats: Instant::default(),
            roster_changed: false,
        }
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The world's time of day.
    #[must_use]
    pub fn wall(&self) -> u64 {
        BEGINS + self.now.as_micros() / 1_000
    }

    /// The time at a node.
    #[must_use]
    pub fn now_at(&self, slot: usize) -> Now {
        let millis = self.wall().saturating_add_signed(self.slots[slot].ahead);
        Now { instant: self.now, wall: Wall::from_millis(millis) }
    }

    /// Starts a node: it knows nothing.
    pub fn start(&mut self, slot: usize) {
        self.starts += 1;
        let mut start = self.starts;
        if self.tamper == Tamper::KeepsIncarnation {
            start = 1;
        }
        // The low bits tell the slot, the high ones are random: the first
        // living voter is any.
        let random = u128::from(self.rng.next_u64() * u64::from(start != 1)) << 64;
        let incarnation = Incarnation(random | (u128::from(start) << 8) | (slot as u128 + 1));
        let mut seed = [0; 32];
        self.rng.fill(&mut seed);
        let config = Config {
            incarnation,
            place: (slot as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            nodes: if self.tamper == Tamper::KnowsNoFarm { 1 } else { self.configured },
            voters_of_key: self.voters_of_key,
            capacity_bytes: 1 << 20,
            patience: Config::PATIENCE,
            seed,
        };
        let agree = Agree::new(config, self.now_at(slot));
        let heard = vec![None; self.slots.len()];
        self.slots[slot].running =
            Some(Running { agree, incarnation, heard, gone: BTreeSet::new() });
    }

    /// Ends a node: all that it knew is gone. With a word, where it `leaves`.
    pub fn stop(&mut self, slot: usize, leaves: bool) {
        let Some(ended) = self.slots[slot].running.take() else { return };
        for other in 0..self.slots.len() {
            let comes = !self.cut.contains(&(slot, other));
            if let Some(running) = self.slots[other].running.as_mut().filter(|_| leaves && comes) {
                running.gone.insert(ended.incarnation);
            }
        }
    }

    /// Whether a node runs.
    #[must_use]
    pub fn runs(&self, slot: usize) -> bool {
        self.slots[slot].running.is_some()
    }

    /// A node's machine.
    #[must_use]
    pub fn agree(&self, slot: usize) -> Option<&Agree> {
        self.slots[slot].running.as_ref().map(|running| &running.agree)
    }

    /// Lets a machine do something, and takes what it has to say.
    pub fn with<T>(&mut self, slot: usize, act: impl FnOnce(&mut Agree, Now) -> T) -> Option<T> {
        let now = self.now_at(slot);
        let running = self.slots[slot].running.as_mut()?;
        let result = act(&mut running.agree, now);
        let from = running.incarnation;
        while let Some(event) = running.agree.poll_event() {
            self.roster_changed |= matches!(event, Event::Roster(_));
            self.events.push((slot, event));
        }
        let mut messages = Vec::new();
        while let Some(message) = running.agree.poll_transmit() {
            messages.push(message);
        }
        for (to, bytes) in messages {
            self.send((slot, from), to, &bytes);
        }
        Some(result)
    }

    /// How many registers those who run have forgotten.
    #[must_use]
    pub fn retired(&self) -> u64 {
        let running = self.slots.iter().filter_map(|slot| slot.running.as_ref());
        running.map(|running| running.agree.figures().retired).sum()
    }

    /// Whether one more node may lose its memory, so that no voters lose more
    /// than a minority: counted over the lists of the roster that prevails.
    /// Whoever goes by an earlier one may be the last of it.
    #[must_use]
    pub fn may_lose(&self, slot: usize) -> bool {
        let lives: BTreeSet<Incarnation> = self
            .slots
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != slot)
            .filter_map(|(_, slot)| slot.running.as_ref().map(|running| running.incarnation))
            .collect();
        let machines = self.slots.iter().filter_map(|slot| slot.running.as_ref());
        let rosters = machines.filter_map(|running| running.agree.roster());
        if let Some(roster) = rosters.max_by_key(|roster| roster.stand) {
            for list in roster.earlier.iter().chain([&roster.electorate]) {
                let lost = list.voters.iter().filter(|it| !lives.contains(&it.incarnation)).count();
                let of_key = list.voters.len().min(roster.voters_of_key.into());
                if lost >= majority(of_key)
                    || lost > list.voters.len() - majority(list.voters.len())
                {
                    return false;
                }
            }
        }
        true
    }

    /// Lets time pass.
    ///
    /// # Errors
    ///
    /// When two nodes go by different rosters of one number.
    pub fn run(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        while let Some(next) = self.next(end) {
            self.now = self.now.max(next);
            if self.beats <= self.now {
                self.beat();
            }
            while let Some(flight) = self.flights.first_entry()
                && flight.key().0 <= self.now
            {
                let flight = flight.remove();
                self.arrive(flight);
            }
            for slot in 0..self.slots.len() {
                if self.agree(slot).is_some_and(|agree| agree.poll_timeout() <= self.now) {
                    self.with(slot, Agree::handle_timeout);
                }
            }
            if std::mem::take(&mut self.roster_changed) {
                self.compare_rosters()?;
            }
        }
        self.now = end;
        Ok(())
    }

    fn next(&self, end: Instant) -> Option<Instant> {
        let timers = self.slots.iter().filter_map(|slot| slot.running.as_ref());
        let timers = timers.map(|running| running.agree.poll_timeout());
        let flights = self.flights.first_key_value().map(|(&(at, _), _)| at);
        timers.chain(flights).chain([self.beats]).min().filter(|&next| next <= end)
    }

    fn arrive(&mut self, flight: Flight) {
        let Flight { from, to, bytes } = flight;
        let Some(running) = &self.slots[to].running else { return };
        let bytes = self.tamper.taken(bytes, running.incarnation);
        self.with(to, |agree, now| agree.handle_message(now, from, &bytes));
    }

    fn send(&mut self, from: (usize, Incarnation), to: Incarnation, bytes: &[u8]) {
        // An address has no starts: what was meant for one reaches the next.
        let slot = slot_of(to);
        let message = Message { from: from.1, bytes };
        for (said_by, bytes) in self.tamper.apply(&message, self.agree(slot)) {
            let times = 1 + u64::from(self.rng.chance(self.weather.doubled, 1_000));
            for _ in 0..times {
                if self.cut.contains(&(from.0, slot)) || self.rng.chance(self.weather.loss, 1_000) {
                    continue;
                }
                let late = self.rng.chance(self.weather.late, 1_000);
                let longest = if late { self.weather.lateness } else { self.weather.delay };
                let arrives = self.now + Duration::from_micros(50 + self.rng.below(longest));
                self.sent += 1;
                let flight = Flight { from: said_by, to: slot, bytes: bytes.clone() };
                self.flights.insert((arrives, self.sent), flight);
            }
        }
    }

    /// Nodes hear of each other, and take stock.
    fn beat(&mut self) {
        self.beats = self.now + HEARTBEAT;
        let starts: Vec<Option<Incarnation>> = self
            .slots
            .iter()
            .map(|slot| slot.running.as_ref().map(|running| running.incarnation))
            .collect();
        for slot in 0..self.slots.len() {
            for (other, start) in starts.iter().enumerate().filter(|(other, _)| *other != slot) {
                let comes = !self.cut.contains(&(other, slot));
                let lost = self.rng.chance(self.weather.loss, 1_000);
                let Some(running) = &mut self.slots[slot].running else { continue };
                if let Some(start) = start.filter(|_| comes && !lost) {
                    let before = running.heard[other].replace((self.now, start));
                    running.gone.extend(before.map(|(_, it)| it).filter(|&it| it != start));
                }
            }
            let members = self.members(slot);
            self.with(slot, |agree, now| agree.handle_members(now, &members));
        }
    }

    fn members(&self, slot: usize) -> Vec<Member> {
        let Some(running) = &self.slots[slot].running else { return Vec::new() };
        let place = |other: usize| (other as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let heard = running.heard.iter().enumerate();
        let heard = heard.filter_map(|(other, heard)| heard.map(|heard| (other, heard)));
        let heard = heard.filter(|(_, (_, it))| !running.gone.contains(it));
        let mut members: Vec<Member> = heard
            .map(|(other, (at, incarnation))| {
                let silent = self.now - at > SILENCE;
                let standing = if silent { Standing::Silent } else { Standing::Alive };
                Member { incarnation, place: place(other), ready: true, standing }
            })
            .collect();
        members.extend(running.gone.iter().map(|&incarnation| Member {
            incarnation,
            place: place(slot_of(incarnation)),
            ready: true,
            standing: Standing::Gone,
        }));
        members
    }

    fn compare_rosters(&mut self) -> Result<(), String> {
        for slot in &self.slots {
            let Some(roster) = slot.running.as_ref().and_then(|it| it.agree.roster()) else {
                continue;
            };
            match self.rosters.get(&roster.stand) {
                None => {
                    self.rosters.insert(roster.stand, roster.clone());
                }
                Some(other) if other != roster => {
                    return Err(format!(
                        "two rosters {:?}: {other:?} and {roster:?}",
                        roster.stand
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// Where a node runs: it stands in its incarnation's low bits.
fn slot_of(incarnation: Incarnation) -> usize {
    usize::try_from(incarnation.0 & 0xff).expect("a byte") - 1
}
