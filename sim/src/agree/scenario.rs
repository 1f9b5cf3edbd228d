//! What a seed does to a farm that has to agree, and what must hold.
//!
//! Nodes come, crash, start again, leave, are parted and have clocks that
//! differ. What clients were answered must be linearizable; and once the farm
//! is whole again, every node answers. No voters lose the memory of more than
//! a minority at a time: [`super::losses`] has the rest.

use std::time::Duration;

use proto::rng::Rng;
use proto::time::Instant;

use super::clients::{Clients, Counts, SKEW};
use super::tamper::Tamper;
use super::world::{Weather, World};
use crate::linear::register::Asked;

/// Time for a farm to be founded.
const FOUNDING: Duration = Duration::from_secs(8);
/// For how long clients ask while things go wrong.
const TROUBLE: Duration = Duration::from_secs(16);
/// Time for the last requests to end, and for rosters to settle.
const CALM: Duration = Duration::from_secs(12);
/// A time in which nobody asks, so that what is over is forgotten.
const QUIET: Duration = Duration::from_secs(14);
/// How finely things happen.
const STEP: Duration = Duration::from_millis(20);

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// What came of requests.
    pub counts: Counts,
    /// Rosters that were agreed.
    pub rosters: u64,
    /// Times that the network was parted, in both directions or in one.
    pub partitions: u64,
    /// Nodes that lost their memory without a word.
    pub crashes: u64,
    /// Nodes that left, or came.
    pub moves: u64,
    /// Registers that were forgotten.
    pub retired: u64,
}

impl Report {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.counts.answered += other.counts.answered;
        self.counts.failed += other.counts.failed;
        self.counts.unknown += other.counts.unknown;
        self.rosters += other.rosters;
        self.partitions += other.partitions;
        self.crashes += other.crashes;
        self.moves += other.moves;
        self.retired += other.retired;
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { counts, rosters, partitions, crashes, moves, retired } = self;
        let Counts { answered, failed, unknown } = counts;
        write!(
            f,
            "{answered} operations answered, {failed} failed, {unknown} unknown; {rosters} \
             rosters, {partitions} partitions, {crashes} crashes, {moves} joins and leaves, {retired} \
             registers retired"
        )
    }
}

/// Runs a seed.
///
/// # Errors
///
/// What did not hold.
pub fn run(seed: u64) -> Result<Report, String> {
    run_tampered(seed, Tamper::Nothing)
}

/// Runs a seed with something broken.
///
/// # Errors
///
/// What did not hold.
pub fn run_tampered(seed: u64, tamper: Tamper) -> Result<Report, String> {
    let mut trouble = Trouble::new(seed, tamper);
    trouble.found()?;
    let mut end = trouble.world.now() + TROUBLE;
    let quiet_from = trouble.world.now() + TROUBLE / 2;
    while trouble.world.now() < end || trouble.report.crashes == 0 || trouble.report.partitions == 0
    {
        if trouble.is_quiet && trouble.world.now() >= quiet_from {
            trouble.be_quiet()?;
            end += QUIET;
        }
        if trouble.world.now() < end {
            trouble.something_happens();
        } else {
            trouble.make_up()?;
        }
        trouble.pass(STEP)?;
    }
    trouble.calm_down()?;
    trouble.report.counts = trouble.clients.counts;
    trouble.report.rosters = trouble.world.rosters.len() as u64;
    trouble.report.retired = trouble.world.retired();
    trouble.clients.judge()?;
    Ok(trouble.report)
}

/// A run under way.
struct Trouble {
    world: World,
    clients: Clients,
    rng: Rng,
    report: Report,
    /// How many steps until a client asks again, on average.
    pause: u64,
    /// How many steps until something goes wrong, on average.
    peace: u64,
    /// Whether there is still to be a time in which nobody asks.
    is_quiet: bool,
}

impl Trouble {
    fn new(seed: u64, tamper: Tamper) -> Self {
        let mut rng = Rng::from_u64(seed);
        let slots = usize::try_from(3 + rng.below(5)).expect("few");
        let weather = Weather {
            loss: [0, 10, 50, 200][index(&mut rng, 4)],
            doubled: [0, 20, 100][index(&mut rng, 3)],
            late: [0, 5, 50][index(&mut rng, 3)],
            delay: [200, 2_000, 20_000][index(&mut rng, 3)],
            lateness: [100_000, 2_000_000][index(&mut rng, 2)],
        };
        let mut world = World::new(slots, weather, Rng::from_u64(seed ^ 0x5eed));
        world.tamper = tamper;
        world.voters_of_key = if rng.chance(1, 4) { 5 } else { 3 };
        for slot in &mut world.slots {
            let twice = SKEW.unsigned_abs() * 2;
            slot.ahead = i64::try_from(rng.below(twice)).expect("small") - SKEW;
        }
        let keys = 2 + index(&mut rng, 2);
        let clients = Clients::new(keys, Rng::from_u64(seed ^ 0xc11e));
        let (pause, peace) = (5 + rng.below(30), 20 + rng.below(80));
        let is_quiet = rng.chance(1, 3);
        Self { world, clients, rng, report: Report::default(), pause, peace, is_quiet }
    }

    /// Starts all nodes, but sometimes one that comes later.
    fn found(&mut self) -> Result<(), String> {
        let late = self.world.slots.len() > 3 && self.rng.chance(1, 2);
        self.world.configured -= usize::from(late);
        for slot in usize::from(late)..self.world.slots.len() {
            self.world.start(slot);
            let wait = Duration::from_micros(self.rng.below(300_000));
            self.world.run(wait)?;
        }
        self.world.run(FOUNDING)
    }

    fn pass(&mut self, time: Duration) -> Result<(), String> {
        // Several at once: they are in each other's way.
        let asks = self.rng.chance(1, self.pause);
        for slot in (0..self.world.slots.len()).filter(|_| asks) {
            if self.world.runs(slot) && !self.clients.waits(slot) && self.rng.chance(2, 3) {
                self.clients.ask_any(&mut self.world, slot);
            }
        }
        self.world.run(time)?;
        self.clients.listen(&mut self.world);
        Ok(())
    }

    /// Nobody asks for a while; the network is whole at first, and then things
    /// go wrong again.
    fn be_quiet(&mut self) -> Result<(), String> {
        self.is_quiet = false;
        self.world.cut.clear();
        for slot in 0..self.world.slots.len() {
            if !self.world.runs(slot) {
                self.world.start(slot);
            }
        }
        let end = self.world.now() + QUIET;
        while self.world.now() < end {
            if self.world.now() + QUIET / 4 > end {
                self.something_happens();
            }
            self.world.run(STEP)?;
            self.clients.listen(&mut self.world);
        }
        Ok(())
    }

    fn something_happens(&mut self) {
        if !self.rng.chance(1, self.peace) {
            return;
        }
        let slots = self.world.slots.len();
        let slot = index(&mut self.rng, slots);
        match self.rng.below(8) {
            0 | 1 => self.part(),
            2 => {
                let other = index(&mut self.rng, slots);
                if slot != other {
                    self.report.partitions += 1;
                    self.world.cut.insert((slot, other));
                }
            }
            3 => self.world.cut.clear(),
            4 | 5 if self.world.runs(slot) && self.world.may_lose(slot) => {
                let leaves = self.rng.chance(1, 4);
                self.report.crashes += u64::from(!leaves);
                self.report.moves += u64::from(leaves);
                self.world.stop(slot, leaves);
                self.clients.died(&self.world, slot);
                if self.rng.chance(1, 2) {
                    self.world.start(slot);
                }
            }
            _ if !self.world.runs(slot) => {
                self.report.moves += 1;
                self.world.start(slot);
            }
            _ => {}
        }
    }

    /// Nothing went wrong of a kind that has to: there was no room for it.
    fn make_up(&mut self) -> Result<(), String> {
        if self.report.partitions == 0 {
            self.part();
            return Ok(());
        }
        self.world.cut.clear();
        let slots = 0..self.world.slots.len();
        for slot in slots.clone() {
            if !self.world.runs(slot) {
                self.world.start(slot);
            }
        }
        if let Some(slot) = slots.rev().find(|&slot| self.world.may_lose(slot)) {
            self.report.crashes += 1;
            self.world.stop(slot, false);
            self.clients.died(&self.world, slot);
        }
        if self.world.now() > Instant::default() + 3 * TROUBLE {
            let rosters = self.world.slots.iter().filter_map(|slot| slot.running.as_ref());
            let rosters: Vec<_> = rosters.map(|it| (it.incarnation, it.agree.roster())).collect();
            return Err(format!("no node can crash: {rosters:#?}"));
        }
        Ok(())
    }

    /// Parts the nodes in two.
    fn part(&mut self) {
        let slots = self.world.slots.len();
        let sides: Vec<bool> = (0..slots).map(|_| self.rng.chance(1, 2)).collect();
        let pairs = (0..slots).flat_map(|one| (0..slots).map(move |other| (one, other)));
        let cut: Vec<_> = pairs.filter(|&(one, other)| sides[one] != sides[other]).collect();
        if !cut.is_empty() {
            self.report.partitions += 1;
            self.world.cut = cut.into_iter().collect();
        }
    }

    /// Makes the farm whole, and has every node answer.
    fn calm_down(&mut self) -> Result<(), String> {
        self.world.cut.clear();
        self.world.weather.loss = self.world.weather.loss.min(50);
        for slot in 0..self.world.slots.len() {
            if !self.world.runs(slot) {
                self.world.start(slot);
            }
        }
        self.world.run(CALM)?;
        self.clients.listen(&mut self.world);
        for slot in 0..self.world.slots.len() {
            let before = self.clients.counts;
            self.clients.ask(&mut self.world, slot, 0, Asked::Get);
            self.world.run(Duration::from_secs(6))?;
            self.clients.listen(&mut self.world);
            if self.clients.counts.answered != before.answered + 1 {
                let agree = self.world.agree(slot);
                return Err(format!(
                    "the farm is whole and node {slot} does not answer: {:?}; it goes by {:?}",
                    self.clients.counts,
                    agree.and_then(proto::agree::Agree::roster),
                ));
            }
        }
        Ok(())
    }
}

fn index(rng: &mut Rng, below: usize) -> usize {
    usize::try_from(rng.below(below as u64)).expect("an index")
}
