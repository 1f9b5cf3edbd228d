//! `segue bench multicast`: how much the multicast carries, how late, and what
//! repair costs.
//!
//! Real processes ([`member`]) on machines of their own where that is possible
//! ([`ground`]): one writes records, the others hold them. The limit that
//! throughput is compared with is plain `sendmmsg` of full packets to the same
//! receivers, in the same run ([`plain`]).

mod forged;
mod ground;
mod idle;
mod lags;
mod many;
mod member;
mod orders;
mod plain;
mod process;
mod stalled;

use anyhow::{Context as _, ensure};

use self::ground::Ground;
use super::report::{Better, Figure, Report, progress};
use crate::cli::{MulticastBench, MulticastPart};
pub(crate) use member::run as member;
use orders::{Figures, NodeRole, Order, Role, Work};
use process::Process;

/// How often each throughput is measured, in turns with the limit.
const ROUNDS: usize = 3;

/// How long one measurement of throughput takes.
const THROUGHPUT_SECONDS: f64 = 2.0;

/// How long a new farm writes before that.
const WARMING_SECONDS: f64 = 0.7;

/// Memory of a node's cache: the sessions never fill it.
const MEMORY_BYTES: usize = 64 << 20;

/// How long lags are measured.
const LAG_SECONDS: f64 = 8.0;

/// How many records fill a packet that carries nothing else: what a full plain
/// packet is worth.
fn records_a_packet(bytes: usize) -> f64 {
    (1_400 / bytes.max(1)).max(1) as f64
}

/// What is measured of throughput: a loss, and whether the kernel is given
/// runs of packets.
struct Point {
    name: &'static str,
    loss: f64,
    segmentation: bool,
    goal: f64,
}

const POINTS: [Point; 4] = [
    Point { name: "no_loss", loss: 0.0, segmentation: true, goal: 2.5 },
    Point { name: "no_loss_without_gso", loss: 0.0, segmentation: false, goal: 1.0 },
    Point { name: "1_percent_loss", loss: 0.01, segmentation: true, goal: 1.5 },
    Point { name: "5_percent_loss", loss: 0.05, segmentation: true, goal: 1.0 },
];

/// Measures, and prints what it found.
///
/// # Errors
///
/// When a member does not start, or does not do what it is told.
pub(crate) fn run(given: &MulticastBench, json: bool) -> anyhow::Result<()> {
    let mut report = Report::new("multicast");
    let (ground, obstacle) = Ground::new(given.receivers + 1);
    if let Some(why) = obstacle {
        progress(&format!("on loopback, since there can be no machines: {why}"));
    }
    let stage = Stage { ground, receivers: given.receivers, bytes: given.size };
    match (given.only, given.loss, given.rate) {
        (Some(part), _, _) => stage.measure_part(part, &mut report)?,
        (None, None, None) => {
            stage.measure_all(&mut report)?;
            let parts = [
                MulticastPart::Many,
                MulticastPart::Stalled,
                MulticastPart::Idle,
                MulticastPart::Forged,
            ];
            parts.into_iter().try_for_each(|part| stage.measure_part(part, &mut report))?;
        }
        (None, loss, rate) => {
            let loss = loss.unwrap_or(0.0);
            match rate.and_then(|rate| rate.0) {
                Some(rate) => stage.measure_lag("chosen", loss, rate)?.report(&mut report),
                None => stage.measure_one(loss, &mut report)?,
            }
        }
    }
    report.print(json)
}

/// Where it takes place, with whom and with what.
struct Stage {
    ground: Ground,
    receivers: u8,
    /// The size of a record's payload.
    bytes: usize,
}

/// One run of writing as fast as possible.
struct Throughput {
    records_a_second: f64,
    sender: Spent,
    receiver: Spent,
    packets: f64,
    repairs: f64,
}

/// Processor time of a member, in microseconds a record.
type Spent = f64;

/// Lags of one run, of the receiver that was worst.
struct Lagging {
    name: String,
    lag: orders::LagFigures,
}

impl Lagging {
    fn report(&self, report: &mut Report) {
        let quantiles = [
            ("p50", self.lag.p50),
            ("p99", self.lag.p99),
            ("p99.9", self.lag.p999),
            ("max", self.lag.worst),
        ];
        for (quantile, seconds) in quantiles {
            let name = format!("lag_{}_{quantile}", self.name);
            report.add(Figure::median(name, &mut [seconds * 1e6], "us", Better::Lower));
        }
    }
}

impl Stage {
    fn measure_part(&self, part: MulticastPart, report: &mut Report) -> anyhow::Result<()> {
        match part {
            MulticastPart::Many => self.measure_many(report),
            MulticastPart::Stalled => self.measure_stalled(report),
            MulticastPart::Idle => self.measure_idle(report),
            MulticastPart::Forged => self.measure_forged(report),
        }
    }

    fn measure_all(&self, report: &mut Report) -> anyhow::Result<()> {
        let mut limits = Vec::new();
        let mut runs: [Vec<Throughput>; POINTS.len()] = Default::default();
        for round in 1..=ROUNDS {
            progress(&format!("throughput, round {round} of {ROUNDS}"));
            limits.push(self.limit()?);
            for (point, runs) in POINTS.iter().zip(&mut runs) {
                runs.push(self.throughput(point.loss, point.segmentation)?);
            }
        }
        let mut packets: Vec<f64> = limits.clone();
        report.add(Figure::median("sendmmsg_packets", &mut packets, "packets/s", Better::Higher));
        for (point, runs) in POINTS.iter().zip(&runs) {
            self.report_throughput(point.name, Some(point.goal), runs, &limits, report);
        }
        for (name, loss) in [("1_percent", 0.01), ("5_percent", 0.05), ("10_percent", 0.1)] {
            let run = self.throughput(loss, true)?;
            let least = least_repairs(loss, self.receivers);
            let ratio = run.repairs / (run.packets * least);
            let name = format!("repairs_vs_least_{name}");
            report.add(Figure::median(name, &mut [ratio], "ratio", Better::Lower).with_goal(1.1));
        }
        self.report_lags(report)
    }

    fn report_lags(&self, report: &mut Report) -> anyhow::Result<()> {
        let trip = self.round_trip()?;
        report.add(Figure::median("udp_round_trip", &mut [trip * 1e6], "us", Better::Lower));
        let calm = self.measure_lag("5k_no_loss", 0.0, 5_000.0)?;
        calm.report(report);
        let goal = 1.5 * (trip / 2.0 * 1e6 + 50.0);
        let calm = &mut [calm.lag.p50 * 1e6];
        report.add(Figure::median("lag_5k_p50", calm, "us", Better::Lower).with_goal(goal));
        let lossy = self.measure_lag("5k_5_percent_loss", 0.05, 5_000.0)?;
        lossy.report(report);
        let lossy = &mut [lossy.lag.p99 * 1e3];
        report.add(Figure::median("lag_5k_lossy_p99", lossy, "ms", Better::Lower).with_goal(15.0));
        let tail = self.measure_lag("3_20_percent_loss", 0.2, 3.0)?;
        tail.report(report);
        let tail = &mut [tail.lag.worst * 1e3];
        report.add(Figure::median("tail_loss_worst", tail, "ms", Better::Lower).with_goal(20.0));
        Ok(())
    }

    /// One throughput beside its limit, with no goal.
    fn measure_one(&self, loss: f64, report: &mut Report) -> anyhow::Result<()> {
        let (mut limits, mut runs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            limits.push(self.limit()?);
            runs.push(self.throughput(loss, true)?);
        }
        self.report_throughput("chosen", None, &runs, &limits, report);
        Ok(())
    }

    fn report_throughput(
        &self,
        name: &str,
        goal: Option<f64>,
        runs: &[Throughput],
        limits: &[f64],
        report: &mut Report,
    ) {
        let mut add = |name, unit, better, figure: &dyn Fn(&Throughput) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(figure).collect();
            report.add(Figure::median(name, &mut values, unit, better));
        };
        add(format!("records_{name}"), "records/s", Better::Higher, &|run| run.records_a_second);
        add(format!("sender_{name}"), "us/record", Better::Lower, &|run| run.sender);
        add(format!("receiver_{name}"), "us/record", Better::Lower, &|run| run.receiver);
        let worth = records_a_packet(self.bytes);
        let ratios =
            runs.iter().zip(limits).map(|(run, limit)| run.records_a_second / (limit * worth));
        let mut ratios: Vec<f64> = ratios.collect();
        let ratio = format!("records_{name}_vs_sendmmsg");
        let ratio = Figure::median(ratio, &mut ratios, "ratio", Better::Higher);
        report.add(match goal {
            Some(goal) => ratio.with_goal(goal),
            None => ratio,
        });
    }

    /// Full packets a second by plain `sendmmsg`.
    fn limit(&self) -> anyhow::Result<f64> {
        let mut members = self.members(|_| Role::Plain)?;
        let sender = members.first_mut().context("there is a sender")?;
        let order = Order::Flood { seconds: THROUGHPUT_SECONDS };
        let (count, seconds) = sender.ask(&order)?.done()?;
        Ok(count / seconds)
    }

    /// The round trip of a small packet between two machines, in seconds.
    fn round_trip(&self) -> anyhow::Result<f64> {
        let roles = |member| if member == 0 { Role::Plain } else { Role::Echo };
        let mut members = self.members(roles)?;
        let to = members.last().context("there are two")?.address;
        members[0].ask(&Order::Ping { to })?.round_trip()
    }

    fn throughput(&self, loss: f64, segmentation: bool) -> anyhow::Result<Throughput> {
        let mut members = self.farm(NodeRole { loss, segmentation, ..self.role()? })?;
        self.warm(&mut members)?;
        let before = look(&mut members)?;
        let work = Work { seconds: THROUGHPUT_SECONDS, bytes: self.bytes, rate: None };
        let (count, seconds) = write(&mut members, work)?;
        let after = look(&mut members)?;
        let spent =
            |member: usize| (after[member].processor - before[member].processor) * 1e6 / count;
        let receivers = 1..members.len();
        Ok(Throughput {
            records_a_second: count / seconds,
            sender: spent(0),
            receiver: receivers.clone().map(spent).sum::<f64>() / receivers.len() as f64,
            packets: (after[0].packets - before[0].packets) as f64,
            repairs: (after[0].repairs - before[0].repairs) as f64,
        })
    }

    fn measure_lag(&self, name: &str, loss: f64, rate: f64) -> anyhow::Result<Lagging> {
        progress(&format!("lag at {rate} records/s, {} % loss", loss * 100.0));
        let mut members = self.farm(NodeRole { loss, lags: true, ..self.role()? })?;
        look(&mut members)?;
        let work = Work { seconds: LAG_SECONDS, bytes: self.bytes, rate: Some(rate) };
        write(&mut members, work)?;
        let figures = look(&mut members)?;
        let lags = figures[1..].iter().map(|figures| figures.lag);
        let worst = |one: f64, other: f64| one.max(other);
        let lag = lags.fold(orders::LagFigures::default(), |sum, lag| orders::LagFigures {
            p50: worst(sum.p50, lag.p50),
            p99: worst(sum.p99, lag.p99),
            p999: worst(sum.p999, lag.p999),
            worst: worst(sum.worst, lag.worst),
        });
        Ok(Lagging { name: name.to_owned(), lag })
    }

    /// A member of a new farm.
    fn role(&self) -> anyhow::Result<NodeRole> {
        let mut key = [0; segue::FARM_KEY_BYTES];
        getrandom::fill(&mut key)?;
        let memory_bytes = MEMORY_BYTES;
        Ok(NodeRole { key, loss: 0.0, segmentation: true, lags: false, memory_bytes })
    }

    /// Nodes of one farm, the first of which writes; only the others lose
    /// packets.
    fn farm(&self, role: NodeRole) -> anyhow::Result<Vec<Process>> {
        let role = |member| {
            let loss = if member == 0 { 0.0 } else { role.loss };
            Role::Node(NodeRole { loss, ..role.clone() })
        };
        let mut members = self.members(role)?;
        meet(&mut members)?;
        Ok(members)
    }

    /// Has a new farm write: every page is in memory then, and every session is
    /// known.
    fn warm(&self, members: &mut [Process]) -> anyhow::Result<()> {
        write(members, Work { seconds: WARMING_SECONDS, bytes: self.bytes, rate: None })?;
        Ok(())
    }

    fn members(&self, role: impl Fn(u8) -> Role) -> anyhow::Result<Vec<Process>> {
        self.some_members(1 + self.receivers, role)
    }

    /// The first so many members.
    fn some_members(&self, count: u8, role: impl Fn(u8) -> Role) -> anyhow::Result<Vec<Process>> {
        let starting = (0..count).map(|member| {
            let place = self.ground.place(member);
            self.ground.within(member, || Process::start(&place, &role(member)))
        });
        let mut members = starting.collect::<anyhow::Result<Vec<_>>>()?;
        members.iter_mut().try_for_each(Process::ready)?;
        Ok(members)
    }
}

/// Waits until each of these nodes has met the others.
fn meet(members: &mut [Process]) -> anyhow::Result<()> {
    let others = members.len() - 1;
    members.iter_mut().try_for_each(|member| member.ask(&Order::Meet { others }).map(drop))
}

/// Has the first member write. Gives how many records, and the seconds until
/// every other one had the last.
fn write(members: &mut [Process], work: Work) -> anyhow::Result<(f64, f64)> {
    members[0].ask(&Order::Write(work))?.done()
}

/// Every member's figures since the last look.
fn look(members: &mut [Process]) -> anyhow::Result<Vec<Figures>> {
    let looks = members.iter_mut().map(|member| {
        let figures = member.ask(&Order::Look)?.figures()?;
        ensure!(figures.unrecovered == 0, "{} packets were past repair", figures.unrecovered);
        Ok(figures)
    });
    looks.collect()
}

/// How many packets are sent again for each that is sent, at the least: each
/// is sent until all of `receivers` have it, who lose `loss` of them one by
/// one. The expectation of the most of several geometric numbers, less one.
fn least_repairs(loss: f64, receivers: u8) -> f64 {
    let all_have_it_after = |sendings: i32| (1.0 - loss.powi(sendings)).powi(receivers.into());
    (1..64).map(|sendings| 1.0 - all_have_it_after(sendings)).sum()
}

#[cfg(test)]
mod tests {
    use super::least_repairs;

    #[test]
    fn one_receiver_needs_what_it_loses() {
        let is_near = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(is_near(least_repairs(0.5, 1), 1.0));
        assert!(is_near(least_repairs(0.0, 3), 0.0));
        assert!(least_repairs(0.01, 3) > 0.0297 && least_repairs(0.01, 3) < 0.0301);
    }
}
