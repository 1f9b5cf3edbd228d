//! A farm of many nodes, and what multicast costs there.
//!
//! All of them join; then one writes while the others listen, once for each
//! sort of loss. What is measured is virtual, so a farm always measures the
//! same: the figures are compared exactly ([`report`]).

pub mod report;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::nak::acks::Ack;
use proto::node::{Counters, Event, News};
use proto::record::{Body, Deadlines, Key, Kind, Record};
use proto::time::Instant;

use crate::farm::running::Running;
use crate::farm::traffic::{Count, Traffic};
use crate::farm::{Configured, Farm, Layout};
use crate::weather::{Loss, Weather};
use report::{Idle, Report, Row};

/// Who writes; statuses to it are counted.
const WRITER: usize = 0;
/// What a packet takes from any node to any other: a busy LAN.
const DELAY: Duration = Duration::from_micros(100);
/// What a node's own link takes: one gigabit a second.
const LINK: u64 = 125_000_000;
const LAN: Weather = Weather { link: LINK, ..Weather::calm(DELAY) };
/// The value of a record, so that each has a packet of its own.
const VALUE_BYTES: usize = 1_000;
/// Records of the paced part, and the pause between them: packets that are
/// lost are told apart, and seldom asked for together.
const PACED: u64 = 200;
const PAUSE: Duration = Duration::from_millis(1);
/// Records of the burst: somewhat more than the flow window lets pass, so that
/// statuses have to come for it to end.
const BURST: u64 = 1_200;
/// How long an idle farm is watched.
const WATCHED: Duration = Duration::from_secs(1);
/// How long that takes before: until heartbeats and statuses are seldom, and
/// everybody has passed on who has joined.
const CALM: Duration = Duration::from_secs(3);
/// By then everything is repaired, or never will be.
const PATIENCE: Duration = Duration::from_secs(3);

/// Joins a farm of so many nodes and measures it.
///
/// # Errors
///
/// When nodes do not find each other, or records do not come.
pub fn measure(nodes: usize) -> Result<Report, String> {
    let mut crowd = Crowd::join(nodes)?;
    let joined = (crowd.farm.now() - Instant::default()).saturating_sub(FIRST_ALONE);
    let idle = crowd.idle()?;
    let mut rows = Vec::new();
    for (independent, shared) in [(0, 0), (10, 0), (50, 0), (0, 10), (0, 50)] {
        rows.push(crowd.row(independent, shared)?);
    }
    let mistaken = crowd.deaths();
    let [first_knew, all_knew] = crowd.death()?;
    Ok(Report { nodes, joined, idle, rows, mistaken, first_knew, all_knew })
}

/// The first node has found that it is alone by then: the others have somebody
/// to join.
const FIRST_ALONE: Duration = Duration::from_millis(700);

/// A farm, and what arrives in it.
struct Crowd {
    farm: Farm,
    nodes: u64,
    /// How long each record took to each node, in microseconds.
    lags: Arc<Mutex<Vec<u64>>>,
    last_key: u64,
}

impl Crowd {
    fn join(nodes: usize) -> Result<Self, String> {
        let layout = Layout {
            configured: Configured::Nobody,
            audited: false,
            table_bytes: 256 << 10,
            ring_bytes: 3 << 20,
            ..Layout::of(nodes, LAN)
        };
        let mut farm = Farm::empty(layout, 1);
        farm.start(WRITER);
        farm.run(FIRST_ALONE)?;
        (WRITER + 1..nodes).for_each(|number| farm.start(number));
        let lags = Arc::new(Mutex::new(Vec::new()));
        let mut crowd = Self { farm, nodes: nodes as u64, lags, last_key: 0 };
        crowd.listen();
        let mut waited = Duration::ZERO;
        while !crowd.is_whole() {
            if waited >= PATIENCE {
                return Err(format!("{nodes} nodes did not find each other in {waited:?}"));
            }
            crowd.farm.run(Duration::from_millis(10))?;
            waited += Duration::from_millis(10);
        }
        Ok(crowd)
    }

    /// Whether everybody is ready and knows everybody.
    fn is_whole(&self) -> bool {
        self.farm.nodes.iter().flatten().all(|running| {
            let alive = running.node.peers().values().filter(|peer| peer.is_alive()).count();
            running.node.is_ready() && alive as u64 == self.nodes - 1
        })
    }

    /// Has every node note how old each record is that comes to it.
    fn listen(&mut self) {
        let clock = self.farm.clock();
        for running in self.farm.nodes.iter_mut().flatten() {
            let (clock, lags) = (Arc::clone(&clock), Arc::clone(&self.lags));
            running.node.observe(Box::new(move |news| {
                let News::Record(Record { body: Body::Value(value), .. }) = news else { return };
                let written = value.first_chunk().map(|micros| u64::from_be_bytes(*micros));
                let lag = clock.load(Ordering::Relaxed) - written.expect("as they are written");
                lags.lock().expect("nobody panics with it").push(lag);
            }));
        }
    }

    /// What an idle farm says.
    fn idle(&mut self) -> Result<Idle, String> {
        self.farm.run(CALM)?;
        self.farm.traffic = Some(Traffic::default());
        let gossip = self.counters().gossip_bytes;
        self.farm.run(WATCHED)?;
        let gossip = self.counters().gossip_bytes - gossip;
        let Traffic { control_to_farm, control_to_node, .. } = self.traffic();
        let each = |count: Count| Count {
            packets: count.packets / self.nodes / WATCHED.as_secs(),
            bytes: count.bytes / self.nodes / WATCHED.as_secs(),
        };
        let gossip = gossip / self.nodes / WATCHED.as_secs();
        Ok(Idle { to_farm: each(control_to_farm), to_node: each(control_to_node), gossip })
    }

    fn row(&mut self, independent: u64, shared: u64) -> Result<Row, String> {
        let loss = Loss::Independent(independent);
        self.farm.network.set_weather(Weather { loss, shared_loss: shared, ..LAN });
        let before = self.counters();
        self.farm.traffic = Some(Traffic::default());
        let began = self.farm.now();
        for _ in 0..PACED {
            self.write();
            self.farm.run(PAUSE)?;
        }
        self.wait(PACED)?;
        let took = self.farm.now() - began;
        let (after, traffic) = (self.counters(), self.traffic());
        let mut lags = std::mem::take(&mut *self.lags.lock().expect("nobody panics with it"));
        lags.sort_unstable();
        let lost = traffic.lost();
        let per_lost = |count: u64| (lost > 0).then(|| count * 100 / lost);
        let micros = u64::try_from(took.as_micros()).expect("seconds");
        Ok(Row {
            independent,
            shared,
            goodput: self.burst()?,
            lost,
            naks: per_lost(after.naks_sent - before.naks_sent),
            repairs: per_lost(traffic.data.packets.saturating_sub(PACED)),
            statuses: traffic.control_to_first.packets * 1_000_000 / micros,
            lag: [50, 99, 100].map(|percent| lags[(lags.len() - 1) * percent / 100]),
            unrecovered: after.unrecovered - before.unrecovered,
        })
    }

    /// Writes as fast as the node takes it. Gives how many bytes of values a
    /// second every node had received, when the last one had.
    fn burst(&mut self) -> Result<u64, String> {
        let began = self.farm.now();
        let mut written = 0;
        while written < BURST {
            if self.has_room() {
                self.write();
                written += 1;
            } else {
                self.farm.run(Duration::from_micros(100))?;
            }
        }
        self.wait(BURST)?;
        self.lags.lock().expect("nobody panics with it").clear();
        let micros = u64::try_from((self.farm.now() - began).as_micros()).expect("seconds");
        Ok(BURST * VALUE_BYTES as u64 * 1_000_000 / micros)
    }

    /// Waits until so many records have come to everybody.
    fn wait(&mut self, records: u64) -> Result<(), String> {
        let end = self.farm.now() + PATIENCE;
        let wanted = records * (self.nodes - 1);
        let arrived = |crowd: &Self| crowd.lags.lock().expect("nobody panics with it").len() as u64;
        while arrived(self) < wanted {
            if self.farm.now() >= end {
                return Err(format!("{} of {wanted} records came", arrived(self)));
            }
            self.farm.run(Duration::from_micros(100))?;
        }
        Ok(())
    }

    /// How often some node took another for dead.
    fn deaths(&self) -> usize {
        let dead = |(event, _): &&(Event, _)| matches!(event, Event::MemberDead(_));
        let nodes = self.farm.nodes.iter().flatten();
        nodes.map(|running| running.events.iter().filter(dead).count()).sum()
    }

    /// One dies, while one packet in 20 is lost at everybody. Gives how long it took until
    /// some other knew, and until all others did.
    fn death(&mut self) -> Result<[Duration; 2], String> {
        let dies = self.farm.nodes.len() - 1;
        let dead = self.farm.nodes[dies].as_ref().map(Running::incarnation).expect("it runs");
        self.farm.crash(dies);
        let began = self.farm.now();
        let mut first = None;
        loop {
            self.farm.run(Duration::from_millis(10))?;
            let took = self.farm.now() - began;
            let others = self.farm.nodes.iter().flatten();
            let unaware = others.filter(|other| other.node.peers()[&dead].is_alive()).count();
            if unaware as u64 + 1 < self.nodes {
                first.get_or_insert(took);
            }
            match first {
                Some(first) if unaware == 0 => return Ok([first, took]),
                _ if took < PATIENCE => {}
                _ => return Err(format!("{unaware} do not know after {took:?} that one died")),
            }
        }
    }

    fn has_room(&self) -> bool {
        self.farm.nodes[WRITER].as_ref().is_some_and(|running| running.node.has_room())
    }

    fn write(&mut self) {
        self.last_key += 1;
        let key = Key::new(Kind::Tls, &self.last_key.to_be_bytes()).expect("eight bytes");
        let mut value = [0; VALUE_BYTES];
        value[..8].copy_from_slice(&self.farm.now().as_micros().to_be_bytes());
        let written = self.farm.write(WRITER, Ack::Local, |version, wall| {
            let deadlines = Deadlines::at(wall + Duration::from_secs(3_600));
            Record { key, version, deadlines, body: Body::Value(&value) }
        });
        assert!(written.is_some(), "there is room");
    }

    fn traffic(&mut self) -> Traffic {
        self.farm.traffic.take().unwrap_or_default()
    }

    /// What all nodes have counted together.
    fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for running in self.farm.nodes.iter().flatten() {
            sum.naks_sent += running.node.counters().naks_sent;
            sum.unrecovered += running.node.counters().unrecovered;
            sum.gossip_bytes += running.node.counters().gossip_bytes;
        }
        sum
    }
}
