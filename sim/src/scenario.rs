//! What a seed does to a farm.

use std::ops::AddAssign;
use std::time::Duration;

use proto::nak::acks::Ack;
use proto::record::{Body, Deadlines, Key, Kind, Record};
use proto::rng::Rng;

use crate::farm::running::Written;
use crate::farm::{Farm, Layout};
use crate::holes::Holes;
use crate::limits;
use crate::model::Model;
use crate::weather::{Bursts, Loss, Weather};

/// What may happen in a run, beside writes, loss and delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Troubles {
    /// Nothing.
    None,
    /// Partitions that heal.
    Partitions,
    /// Nodes that crash, leave and start again.
    Restarts,
    /// Wall clocks that are set ahead, or back, by milliseconds up to hours.
    Clocks,
    /// All of it.
    All,
}

/// What a run was, for the one who reads about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records that every node holds at the end, tombstones too.
    pub records: usize,
    /// Packets sent again.
    pub repairs: u64,
    /// Packets that no repair could bring.
    pub unrecovered: u64,
    /// Ranges of keys that were fetched since digests told them apart.
    pub ranges_fetched: u64,
    /// Versions from too far ahead of a node's clock.
    pub clocks_ahead: u64,
    /// How often a node got another key file.
    pub key_turns: u64,
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.repairs += other.repairs;
        self.unrecovered += other.unrecovered;
        self.ranges_fetched += other.ranges_fetched;
        self.clocks_ahead += other.clocks_ahead;
        self.key_turns += other.key_turns;
    }
}

/// Keys that writes are about: few, so that writes meet.
const KEYS: u64 = 200;
/// Things that happen in a run.
const STEPS: u64 = 300;
/// No record ends within a run.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Time for everything to come to rest at the end: longer than a silent node
/// takes to be found dead, than the slowest call to an old peer, and than a
/// key takes to leave, which is 30 seconds.
const REST: Duration = Duration::from_secs(32);
/// When nodes compare what they hold: time for that to happen twice, and to
/// fetch what differs, a few ranges a second.
const REST_COMPARING: Duration = Duration::from_secs(60);

/// Runs one seed.
///
/// # Errors
///
/// What did not hold, in words.
pub fn run(seed: u64) -> Result<Summary, String> {
    let (run, what) = Run::new(seed);
    run.run().map_err(|error| format!("{error}\n  in {what}"))
}

struct Run {
    farm: Farm,
    model: Model,
    holes: Holes,
    rng: Rng,
    troubles: Troubles,
    nodes: usize,
    /// Decides which nodes do not hear what others send to all, where that is so.
    /// It draws by itself, so that whatever else a seed does stays as it is.
    deafness: Option<Rng>,
    /// Whether more nodes than one were lost at a time, so that even what one
    /// other confirmed may be gone.
    lost_all: bool,
    /// How often a node got another key file.
    key_turns: u64,
}

impl Run {
    /// The run of a seed, and what it is in words.
    fn new(seed: u64) -> (Self, String) {
        let mut rng = Rng::from_u64(seed ^ 0x5e60e);
        let troubles = [
            Troubles::None,
            Troubles::Partitions,
            Troubles::Restarts,
            Troubles::Clocks,
            Troubles::All,
        ];
        let troubles = troubles[pick(&mut rng, troubles.len())];
        let weather = weather(&mut rng);
        let nodes = 2 + pick(&mut rng, 4);
        let multicast = rng.chance(3, 4);
        // Some streams reach the end of an epoch of keys on their way.
        let begins_after = if rng.chance(1, 2) { (1 << 32) - rng.below(1_000) } else { 0 };
        let layout = Layout {
            multicast,
            compares: compares(troubles),
            begins_after,
            ..Layout::of(nodes, weather)
        };
        let farm = Farm::new(layout, seed);
        let (model, holes) = (Model::default(), Holes::default());
        let mut for_deafness = Rng::from_u64(seed ^ 0xdeaf);
        let deaf = multicast && for_deafness.chance(1, 2);
        let what = format!("{layout:?}, {troubles:?}, deaf: {deaf}");
        let deafness = deaf.then_some(for_deafness);
        let mut run = Self {
            farm,
            model,
            holes,
            rng,
            troubles,
            nodes,
            deafness,
            lost_all: false,
            key_turns: 0,
        };
        run.change_deafness();
        (run, what)
    }

    fn run(mut self) -> Result<Summary, String> {
        self.farm.run(Duration::from_secs(2))?;
        for _ in 0..STEPS {
            self.step()?;
        }
        self.finish()
    }

    fn step(&mut self) -> Result<(), String> {
        match self.rng.below(100) {
            0..=1 => self.trouble()?,
            2..=9 => self.burst(),
            10..=19 => self.touch(),
            20..=24 => self.rotate(),
            25..=32 => self.turn_keys()?,
            _ => self.write(),
        }
        let pause = Duration::from_micros(self.rng.below(5_000));
        self.farm.run(pause)?;
        self.check()
    }

    /// What holds at any moment.
    fn check(&mut self) -> Result<(), String> {
        self.model.check_events(&mut self.farm)?;
        self.holes.check(&self.farm)?;
        limits::check_farm(&self.farm)
    }

    /// Writes until the ring has let old packets go.
    fn burst(&mut self) {
        (0..self.rng.below(60)).for_each(|_| self.write());
    }

    fn write(&mut self) {
        let Some(at) = self.someone() else { return };
        let kind = if self.rng.chance(1, 2) { Kind::Tls } else { Kind::Web };
        let key = key(kind, self.rng.below(KEYS));
        let ack = [Ack::Local, Ack::One, Ack::All][pick(&mut self.rng, 3)];
        let value = if self.rng.chance(1, 6) { None } else { Some(self.value()) };
        let written = self.farm.write(at, ack, |version, wall| {
            let deadlines = Deadlines::at(wall + LIFETIME);
            let body = value.as_deref().map_or(Body::Deleted, Body::Value);
            Record { key, version, deadlines, body }
        });
        if let Some(Written { write, holding, packet }) = written {
            self.holes.wrote(packet, holding.clone());
            self.model.wrote(at, write, ack, holding);
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let len = if self.rng.chance(1, 40) {
            pick(&mut self.rng, 20_000)
        } else {
            pick(&mut self.rng, 300)
        };
        let mut value = vec![0; len];
        self.rng.fill(&mut value);
        value
    }

    fn touch(&mut self) {
        let Some(at) = self.someone() else { return };
        let key = key(Kind::Web, self.rng.below(KEYS));
        self.farm.touch(at, key, LIFETIME + Duration::from_secs(60));
    }

    fn rotate(&mut self) {
        let Some(at) = self.someone() else { return };
        let old = key(Kind::Tls, self.rng.below(KEYS));
        // Ids of this kind are never given twice.
        let new = key(Kind::Tls, KEYS + self.rng.next_u64() / 2);
        if let Some((holdings, packet)) = self.farm.rotate(at, old, new) {
            for holding in holdings {
                self.holes.wrote(packet, holding.clone());
                self.model.made(at, holding);
            }
        }
    }

    fn turn_keys(&mut self) -> Result<(), String> {
        self.key_turns += 1;
        self.farm.turn_keys()
    }

    /// Has others of the nodes not hear what others of them send to all.
    fn change_deafness(&mut self) {
        let Some(rng) = &mut self.deafness else { return };
        for (from, to) in (0..self.nodes).flat_map(|a| (0..self.nodes).map(move |b| (a, b))) {
            self.farm.network.set_deaf(from, to, rng.chance(1, 3));
        }
    }

    fn trouble(&mut self) -> Result<(), String> {
        self.change_deafness();
        match self.troubles {
            Troubles::None => {}
            Troubles::Partitions => self.part()?,
            Troubles::Restarts => self.restart()?,
            Troubles::Clocks => self.set_clock(),
            Troubles::All => match self.rng.below(5) {
                0..=1 => self.part()?,
                2..=3 => self.restart()?,
                _ => self.set_clock(),
            },
        }
        self.model.check_deleted(&self.farm)
    }

    /// Parts the network for a while: sides that do not hear each other, ways
    /// that lead in one direction, or a node that only speaks or only hears.
    fn part(&mut self) -> Result<(), String> {
        match self.rng.below(4) {
            0 => {
                for _ in 0..self.nodes {
                    let (from, to) =
                        (pick(&mut self.rng, self.nodes), pick(&mut self.rng, self.nodes));
                    self.farm.network.cut(from, to);
                }
            }
            1 => {
                let (one, hears) = (pick(&mut self.rng, self.nodes), self.rng.chance(1, 2));
                for other in 0..self.nodes {
                    let (from, to) = if hears { (one, other) } else { (other, one) };
                    self.farm.network.cut(from, to);
                }
            }
            _ => {
                let sides = (0..self.nodes).map(|_| u8::from(self.rng.chance(1, 2))).collect();
                self.farm.network.part(sides);
            }
        }
        let short = Duration::from_millis(self.rng.below(3_000));
        self.farm.run(short)?;
        (0..10).for_each(|_| self.write());
        self.farm.run(short)?;
        self.farm.network.heal();
        Ok(())
    }

    /// Sets one node's wall clock ahead or back, by milliseconds as likely as
    /// by seconds, minutes or hours.
    fn set_clock(&mut self) {
        /// Some five hours, in milliseconds: well within the records'
        /// lifetime, so that none ends.
        const LONGEST_BITS: u64 = 24;
        let longest = 1 << self.rng.below(LONGEST_BITS + 1);
        let millis = self.rng.below(2 * longest + 1).cast_signed();
        let number = pick(&mut self.rng, self.nodes);
        self.farm.set_clock(number, millis - longest.cast_signed());
    }

    fn restart(&mut self) -> Result<(), String> {
        let running = self.farm.running();
        let number = pick(&mut self.rng, self.nodes);
        if !running.contains(&number) {
            self.farm.start(number);
            return Ok(());
        }
        // The last one that has everything stays.
        if running.len() <= 1 {
            return Ok(());
        }
        self.model.check_events(&mut self.farm)?;
        self.model.gone(number);
        self.lost_all = true;
        if self.rng.chance(1, 3) {
            self.farm.leave(number)?;
        } else {
            self.farm.crash(number);
        }
        let dead = Duration::from_millis(self.rng.below(3_000));
        self.farm.run(dead)?;
        if self.rng.chance(3, 4) {
            self.farm.start(number);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Summary, String> {
        self.farm.network.heal();
        let weather = *self.farm.network.weather();
        let lossless = Weather { loss: Loss::Independent(0), shared_loss: 0, ..weather };
        self.farm.network.set_weather(lossless);
        self.farm.run(if compares(self.troubles) { REST_COMPARING } else { REST })?;
        self.check()?;
        let nodes = self.farm.nodes.iter().flatten();
        let summary = Summary {
            records: self.farm.running().first().map_or(0, |&first| self.farm.held(first).len()),
            repairs: nodes.clone().map(|running| running.node.sender().sent().repairs).sum(),
            unrecovered: nodes.clone().map(|running| running.node.counters().unrecovered).sum(),
            ranges_fetched: nodes
                .clone()
                .map(|running| running.node.counters().ranges_fetched)
                .sum(),
            clocks_ahead: nodes.clone().map(|running| running.node.counters().clocks_ahead).sum(),
            key_turns: self.key_turns,
        };
        let forged: u64 = nodes.map(|running| running.node.counters().forged).sum();
        // A node that starts anew may ask for what a key has sealed that has
        // left its file since.
        if forged > 0 && !self.lost_all {
            return Err(format!("{forged} packets were taken for forged"));
        }
        self.model.check_deleted(&self.farm)?;
        self.model.check_end(&self.farm, !self.lost_all)?;
        Ok(summary)
    }

    fn someone(&mut self) -> Option<usize> {
        let running = self.farm.running();
        let ready: Vec<usize> = running
            .into_iter()
            .filter(|&number| {
                self.farm.nodes[number].as_ref().is_some_and(|running| running.node.is_ready())
            })
            .collect();
        let at = pick(&mut self.rng, ready.len());
        ready.get(at).copied()
    }
}

/// Whether nodes compare what they hold: while no node is lost the streams
/// alone bring everything, and comparing would hide it if they did not.
const fn compares(troubles: Troubles) -> bool {
    matches!(troubles, Troubles::Restarts | Troubles::All)
}

/// How a seed's network treats packets.
fn weather(rng: &mut Rng) -> Weather {
    let losses = [0, 10, 50, 100, 300];
    let mean = losses[pick(rng, losses.len())];
    let loss = if mean > 0 && rng.chance(1, 2) {
        Loss::Bursts(Bursts { mean, packets: 2 + rng.below(20) })
    } else {
        Loss::Independent(mean)
    };
    Weather {
        loss,
        shared_loss: if rng.chance(1, 4) { mean } else { 0 },
        doubled: rng.below(30),
        delay: Duration::from_micros(20 + rng.below(200)),
        jitter: Duration::from_micros(rng.below(3_000)),
        link: 0,
        uneven: Duration::from_micros(if rng.chance(1, 2) { 0 } else { rng.below(2_000) }),
    }
}

fn key(kind: Kind, number: u64) -> Key {
    Key::new(kind, &number.to_be_bytes()).expect("eight bytes")
}

fn pick(rng: &mut Rng, count: usize) -> usize {
    usize::try_from(rng.below(count as u64)).expect("below a usize")
}
