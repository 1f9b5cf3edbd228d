//! What a seed does to a farm whose nodes keep shares.
//!
//! Nodes write, touch and delete while others crash, no more of them at once
//! than there are replicas to spare, come back, or join, and while the network
//! loses packets and parts. What must hold meanwhile and at the end stands in
//! `check`.

mod check;
pub mod tamper;

use std::time::Duration;

use proto::cluster::portion::Keep;
use proto::nak::acks::Ack;
use proto::record::{Body, Deadlines, Key, Kind, Record};
use proto::rng::Rng;

use crate::farm::{Farm, Layout, Portions};
use crate::limits;
use crate::weather::{Loss, Weather};
use check::Ledger;
use tamper::Tamper;

/// Keys that writes are about.
const KEYS: u64 = 300;
/// Things that happen in a run.
const STEPS: u64 = 120;
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// After this a loss is restored: it is found within 1.5 s, the slots are
/// asked for half a second later, and an asked one that does not answer is
/// given up within two.
const RESTORED: Duration = Duration::from_secs(12);
/// Time for everything to come to rest: as long as restoring takes, and for
/// what differs to be told three times, fetched and let go.
const REST: Duration = Duration::from_secs(75);

/// Runs one seed.
///
/// # Errors
///
/// What did not hold, in words.
pub fn run(seed: u64) -> Result<(), String> {
    run_tampered(seed, Tamper::Nothing)
}

/// Runs one seed with something broken on purpose.
///
/// # Errors
///
/// What did not hold, in words.
pub fn run_tampered(seed: u64, tamper: Tamper) -> Result<(), String> {
    let (mut run, what) = Run::new(seed, tamper);
    run.run().map_err(|error| format!("{error}\n  in {what}"))
}

struct Run {
    farm: Farm,
    ledger: Ledger,
    rng: Rng,
    nodes: usize,
    /// How many nodes may be lost at once.
    spare: usize,
    /// The node that keeps nothing, if one does.
    asks: Option<usize>,
    tamper: Tamper,
}

impl Run {
    fn new(seed: u64, tamper: Tamper) -> (Self, String) {
        let mut rng = Rng::from_u64(seed ^ 0x05_4a_7e);
        let nodes = 3 + pick(&mut rng, 7);
        let replicas = u8::try_from(1 + pick(&mut rng, 3)).expect("at most 3");
        let portions = match rng.below(5) {
            0 => Portions::ShareAndAll(replicas),
            1 => Portions::ShareAndOf(replicas, nodes - 1),
            2 => Portions::ShareAndAsks(replicas, nodes - 1),
            _ => Portions::Share(replicas),
        };
        let losses = [0, 10, 50, 100];
        let weather = Weather {
            loss: Loss::Independent(losses[pick(&mut rng, losses.len())]),
            shared_loss: 0,
            doubled: rng.below(30),
            delay: Duration::from_micros(20 + rng.below(200)),
            jitter: Duration::from_micros(rng.below(1_000)),
            link: 0,
            uneven: Duration::ZERO,
        };
        let layout = Layout {
            multicast: rng.chance(3, 4),
            compares: true,
            audited: false,
            table_bytes: 8 << 20,
            portions,
            askers: usize::from(matches!(portions, Portions::ShareAndAsks(..))),
            ring_bytes: 1 << 20,
            ..Layout::of(nodes, weather)
        };
        let mut farm = Farm::empty(layout, seed);
        farm.tamper(tamper);
        // Some come later: to a farm of one replica nobody else does.
        let late = pick(&mut rng, nodes - 2);
        (0..nodes - late).for_each(|number| farm.start(number));
        let spare = usize::from(replicas) - 1;
        let what = format!("{layout:?}");
        let asks = matches!(portions, Portions::ShareAndAsks(..)).then(|| nodes - 1);
        (Self { farm, ledger: Ledger::new(portions), rng, nodes, spare, asks, tamper }, what)
    }

    fn run(&mut self) -> Result<(), String> {
        self.farm.run(Duration::from_secs(3))?;
        for _ in 0..STEPS {
            self.step()?;
        }
        self.farm.network.heal();
        let weather = *self.farm.network.weather();
        self.farm.network.set_weather(Weather { loss: Loss::Independent(0), ..weather });
        self.farm.run(REST)?;
        self.check()?;
        self.ledger.check_deleted(&self.farm)?;
        self.ledger.check_end(&self.farm)
    }

    fn step(&mut self) -> Result<(), String> {
        match self.rng.below(100) {
            0..=2 => self.lose()?,
            3..=4 => self.start()?,
            5 => self.part()?,
            6..=15 => self.touch(),
            16..=35 => self.look_up(),
            _ => self.write(),
        }
        let pause = Duration::from_micros(self.rng.below(20_000));
        self.farm.run(pause)?;
        self.tamper.farm(&self.farm);
        self.check()
    }

    /// Has a node look for a key: the one that keeps nothing, where there is.
    fn look_up(&mut self) {
        let Some(someone) = self.someone() else { return };
        let at = self.asks.unwrap_or(someone);
        let kind = if self.rng.chance(1, 2) { Kind::Tls } else { Kind::Web };
        let key = self.key(kind);
        self.farm.look_up(at, &key);
    }

    /// What holds at any moment.
    fn check(&mut self) -> Result<(), String> {
        self.ledger.check_events(&mut self.farm)?;
        limits::check_farm(&self.farm)
    }

    fn write(&mut self) {
        let Some(at) = self.someone() else { return };
        let kind = if self.rng.chance(1, 2) { Kind::Tls } else { Kind::Web };
        let key = self.key(kind);
        let ack = [Ack::Local, Ack::One, Ack::All][pick(&mut self.rng, 3)];
        let mut value = vec![0; pick(&mut self.rng, 300)];
        self.rng.fill(&mut value);
        let body = if self.rng.chance(1, 6) { Body::Deleted } else { Body::Value(&value) };
        let written = self.farm.write(at, ack, |version, wall| {
            let deadlines = Deadlines::at(wall + LIFETIME);
            Record { key, version, deadlines, body }
        });
        if let Some(written) = written {
            self.ledger.wrote(at, ack, written);
        }
    }

    fn touch(&mut self) {
        let Some(at) = self.someone() else { return };
        let key = self.key(Kind::Web);
        self.farm.touch(at, key, LIFETIME + Duration::from_secs(60));
    }

    /// Loses nodes, no more than there are replicas to spare, and gives the
    /// others time to restore what they had.
    fn lose(&mut self) -> Result<(), String> {
        let shares = |number: &usize| self.farm.portion_of(*number).keep == Keep::Share;
        // Enough are left for every replica, whoever is lost.
        let sharers = self.farm.running().into_iter().filter(shares).count();
        if self.spare == 0 || sharers <= 2 * self.spare {
            return Ok(());
        }
        let count = 1 + pick(&mut self.rng, self.spare);
        if count > 1 || self.rng.chance(1, 2) {
            // What one other node confirmed is at two nodes at first, whoever
            // keeps it; its holders have it as soon as packets come through.
            self.farm.run(Duration::from_secs(2))?;
        }
        self.check()?;
        for _ in 0..count {
            let running = self.farm.running();
            let number = running[pick(&mut self.rng, running.len())];
            self.ledger.gone(number);
            if self.rng.chance(1, 3) {
                self.farm.leave(number)?;
            } else {
                self.farm.crash(number);
            }
        }
        (0..5).for_each(|_| self.write());
        self.farm.run(RESTORED)
    }

    fn start(&mut self) -> Result<(), String> {
        let gone: Vec<usize> =
            (0..self.nodes).filter(|&number| self.farm.nodes[number].is_none()).collect();
        if let Some(&number) = gone.get(pick(&mut self.rng, gone.len())) {
            self.farm.start(number);
            let short = self.rng.below(3_000);
            for _ in 0..short / 50 {
                self.farm.run(Duration::from_millis(50))?;
                self.tamper.farm(&self.farm);
            }
            (0..5).for_each(|_| self.write());
            // Who is lost before it has its portion is one more.
            self.farm.run(RESTORED)?;
        }
        Ok(())
    }

    /// Parts the network for a while, in two sides.
    fn part(&mut self) -> Result<(), String> {
        let sides = (0..self.nodes).map(|_| u8::from(self.rng.chance(1, 2))).collect();
        self.farm.network.part(sides);
        let short = Duration::from_millis(self.rng.below(3_000));
        self.farm.run(short)?;
        (0..10).for_each(|_| self.write());
        self.farm.run(short)?;
        self.farm.network.heal();
        self.farm.run(RESTORED)
    }

    fn key(&mut self, kind: Kind) -> Key {
        Key::new(kind, &self.rng.below(KEYS).to_be_bytes()).expect("eight bytes")
    }

    /// A node that is ready.
    fn someone(&mut self) -> Option<usize> {
        let ready = |number: &usize| {
            self.farm.nodes[*number].as_ref().is_some_and(|running| running.node.is_ready())
        };
        let ready: Vec<usize> = self.farm.running().into_iter().filter(ready).collect();
        ready.get(pick(&mut self.rng, ready.len())).copied()
    }
}

fn pick(rng: &mut Rng, count: usize) -> usize {
    usize::try_from(rng.below(count as u64)).expect("below a usize")
}
