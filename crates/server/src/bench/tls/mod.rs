//! `segue bench tls`: what a connection costs a server, in processor time.
//!
//! Real processes, in one run and in turns: a farm of two nodes, tokio and
//! rustls with nothing else, nginx where it is installed, and fronts whose
//! caches hold many sessions already ([`servers`], [`peer`]). Clients
//! ([`visitor`]) shake hands and go, so that nothing but the handshake is
//! compared. What is told are medians over rounds, and of ratios the medians
//! of each round's: what else the machine does then touches both sides.

mod costs;
mod peer;
mod servers;
mod visitor;

use std::time::Duration;

use anyhow::ensure;
use rustls::HandshakeKind;
use tokio::task::JoinSet;

use super::report::{Report, progress};
use crate::demo::{Farm, Portion, Version};
use costs::{Case, Costs};
pub(crate) use peer::{Options as PeerOptions, run as peer};
use servers::Server;
use visitor::Visitor;

/// How often every case is measured.
const ROUNDS: usize = 15;

/// Connections of one measurement: enough that a server has warmed up for most
/// of them, after another one had the processor's caches. A bare rustls server
/// remembers 256 sessions.
const CONNECTIONS: usize = 240;

/// How many of them are open at a time: enough that a server never waits for
/// its only client.
const LANES: usize = 4;

/// How many sessions are held at the least and at the most.
const FEW: u64 = 1_000;
const MANY: u64 = 1_000_000;

/// Measures, and prints what it found.
///
/// # Errors
///
/// When a server does not start, or a handshake is not of the kind that is
/// measured.
pub(crate) fn run(json: bool) -> anyhow::Result<()> {
    // One thread, which lives as long as the process: the kernel ends the
    // servers together with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure())?;
    report.print(json)
}

async fn measure() -> anyhow::Result<Report> {
    let mut report = Report::new("tls");
    let stage = Stage::set().await?;
    if stage.nginx.is_none() {
        report.miss("nginx");
    }
    let mut costs = Costs::default();
    for round in 0..ROUNDS {
        progress(&format!("round {} of {ROUNDS}", round + 1));
        for version in Version::ALL {
            stage.measure(version, round, &mut costs).await?;
        }
    }
    costs.report(&mut report);
    Ok(report)
}

/// Every server of the run.
struct Stage {
    farm: Farm,
    here: Server,
    elsewhere: Server,
    bare: Server,
    nginx: Option<Server>,
    few: Server,
    many: Server,
}

impl Stage {
    async fn set() -> anyhow::Result<Self> {
        let mut farm = Farm::new()?;
        farm.start_many(2, Portion::All).await?;
        farm.acquainted().await?;
        let [here, elsewhere] = [0, 1].map(|node| Server::node(&farm.nodes[node]));
        progress(&format!("filling a cache with {MANY} sessions"));
        Ok(Self {
            here: here?,
            elsewhere: elsewhere?,
            bare: Server::peer(&farm.ground, None).await?,
            nginx: Server::nginx(&farm.ground).await?,
            few: Server::peer(&farm.ground, Some(FEW)).await?,
            many: Server::peer(&farm.ground, Some(MANY)).await?,
            farm,
        })
    }

    /// One measurement of every case, in an order that turns round.
    async fn measure(
        &self,
        version: Version,
        round: usize,
        costs: &mut Costs,
    ) -> anyhow::Result<()> {
        let mut pairs = vec![
            (&self.here, Case::Full, Case::Resumed),
            (&self.bare, Case::FullBare, Case::ResumedBare),
        ];
        pairs.extend(self.nginx.iter().map(|nginx| (nginx, Case::FullNginx, Case::ResumedNginx)));
        let mut held = vec![(&self.few, Case::HoldingFew), (&self.many, Case::HoldingMany)];
        if round % 2 == 1 {
            pairs.reverse();
            held.reverse();
        }
        for (server, full, resumed) in pairs {
            let visitors = self.visitors(version)?;
            costs.add(version, full, cost(server, &visitors, HandshakeKind::Full).await?);
            costs.add(version, resumed, cost(server, &visitors, HandshakeKind::Resumed).await?);
        }
        let visitors = self.visitors(version)?;
        cost(&self.elsewhere, &visitors, HandshakeKind::Full).await?;
        self.farm.agreed().await?;
        let resumed = cost(&self.here, &visitors, HandshakeKind::Resumed).await?;
        costs.add(version, Case::ResumedElsewhere, resumed);
        for (server, case) in held {
            let visitors = self.visitors(version)?;
            cost(server, &visitors, HandshakeKind::Full).await?;
            costs.add(version, case, cost(server, &visitors, HandshakeKind::Resumed).await?);
        }
        Ok(())
    }

    fn visitors(&self, version: Version) -> anyhow::Result<Vec<Visitor>> {
        Visitor::several(CONNECTIONS, version, &self.farm.ground.authority)
    }
}

/// The processor time that `server` uses for the visit of one of `visitors`,
/// all of whom get a handshake of the expected kind.
async fn cost(
    server: &Server,
    visitors: &[Visitor],
    expected: HandshakeKind,
) -> anyhow::Result<Duration> {
    let address = server.address;
    let before = server.processor_time()?;
    let mut lanes = JoinSet::new();
    for lane in visitors.chunks(visitors.len().div_ceil(LANES)) {
        let lane = lane.to_vec();
        lanes.spawn(async move {
            for visitor in lane {
                let kind = visitor.visit(address).await?;
                ensure!(kind == expected, "a {kind:?} handshake at {address}, not a {expected:?}");
            }
            Ok(())
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane??;
    }
    let spent = server.processor_time()?.saturating_sub(before);
    Ok(spent / u32::try_from(visitors.len())?)
}
