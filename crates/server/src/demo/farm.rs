//! The demo's nodes together.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use proto::rng::Rng;
use tokio::time::{sleep, timeout};

use super::ground::Ground;
use super::node::{GLANCE, Node, Orders, PATIENCE, Portion, Starting};
use super::steps::Steps;
use crate::admin::Status;

/// The port of the multicast groups of demos.
const GROUP_PORT: u16 = 7799;

/// How old the multicast figures of a node's status may be
/// ([`segue::Node::status`]).
const FIGURES_AGE: Duration = Duration::from_millis(100);

/// Multicast packets of all nodes together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    /// Data packets sent, each counted once.
    pub(crate) sent: u64,
    /// Packets received, by however many nodes.
    pub(crate) received: u64,
}

/// The nodes that run, with what they share.
#[derive(Debug)]
pub(crate) struct Farm {
    pub(crate) ground: Ground,
    /// In the order of their starts.
    pub(crate) nodes: Vec<Node>,
    group: SocketAddr,
    /// Nodes started, the dead ones counted: each gets a name of its own.
    started: u8,
    rng: Rng,
}

impl Farm {
    /// A farm without nodes, with a multicast group that hardly any other
    /// farm on this machine uses.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).context("random numbers")?;
        let mut rng = Rng::new(seed);
        let [x, y, ..] = rng.next_u64().to_le_bytes();
        // The organisation-local scope (RFC 2365, section 6.2).
        let group = SocketAddr::from((Ipv4Addr::new(239, 255, x, y), GROUP_PORT));
        Ok(Self { ground: Ground::new()?, nodes: Vec::new(), group, started: 0, rng })
    }

    /// The group that it multicasts to.
    pub(crate) const fn group(&self) -> SocketAddr {
        self.group
    }

    /// Starts `count` nodes that keep such a portion: one, and then the others
    /// by it.
    pub(crate) async fn start_many(
        &mut self,
        count: usize,
        portion: Portion<'_>,
    ) -> anyhow::Result<()> {
        self.start_keeping(portion).await?;
        let others: Vec<_> =
            (1..count).map(|_| self.launch(portion, 0.0)).collect::<Result<_, _>>()?;
        for node in others {
            self.nodes.push(node.ready().await?);
        }
        Ok(())
    }

    /// Starts one node more, which keeps such a portion. Gives it once it
    /// serves.
    pub(crate) async fn start_keeping(&mut self, portion: Portion<'_>) -> anyhow::Result<&Node> {
        let starting = self.launch(portion, 0.0)?;
        self.await_ready(starting).await
    }

    /// Starts one node more, which keeps everything and loses the share `drop`
    /// of what it receives. Gives it once it serves.
    pub(crate) async fn start_losing(&mut self, drop: f64) -> anyhow::Result<&Node> {
        let starting = self.launch(Portion::All, drop)?;
        self.await_ready(starting).await
    }

    async fn await_ready(&mut self, starting: Starting) -> anyhow::Result<&Node> {
        let node = starting.ready().await?;
        self.nodes.push(node);
        Ok(self.nodes.last().expect("one was just put there"))
    }

    /// Starts the process of a node that joins by those that live.
    fn launch(&mut self, portion: Portion<'_>, drop: f64) -> anyhow::Result<Starting> {
        let name = char::from(b'a' + self.started).to_string();
        self.started += 1;
        // As on machines of their own, each node has an address for itself.
        let address = Ipv4Addr::new(127, 0, 0, 1 + self.started);
        let peers = self.nodes.iter().map(|node| node.ready.farm).collect();
        let orders = Orders { name: &name, address, group: self.group, peers, portion, drop };
        Starting::new(&self.ground, &orders)
    }

    /// Waits until every node knows every other as alive.
    pub(crate) async fn acquainted(&self) -> anyhow::Result<()> {
        let others = self.nodes.len() - 1;
        let knows_all = |status: &Status| {
            status.members.iter().filter(|member| member.state == "alive").count() == others
        };
        self.until(knows_all).await
    }

    /// Waits until every node's status is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&Status) -> bool) -> anyhow::Result<()> {
        for node in &self.nodes {
            node.until(&wanted).await?;
        }
        Ok(())
    }

    /// Waits until all nodes hold as many sessions as the one with most.
    pub(crate) async fn agreed(&self) -> anyhow::Result<()> {
        let most = self.statuses().await?.iter().map(|status| status.cache.by_kind.tls).max();
        self.until(|status| Some(status.cache.by_kind.tls) >= most).await
    }

    /// Waits until the nodes keep so many sessions together, and gives how many
    /// each of them does.
    pub(crate) async fn kept(&self, together: usize) -> anyhow::Result<Vec<usize>> {
        let mut kept = Vec::new();
        let wait = async {
            loop {
                let statuses = self.statuses().await?;
                let sessions = statuses.iter().map(|status| status.cache.by_kind.tls);
                kept = sessions.map(usize::try_from).collect::<Result<_, _>>()?;
                if kept.iter().sum::<usize>() == together {
                    return anyhow::Ok(());
                }
                sleep(GLANCE).await;
            }
        };
        match timeout(PATIENCE, wait).await {
            Ok(outcome) => outcome.map(|()| kept),
            Err(_) => {
                bail!("{together} sessions are to be kept, and after {PATIENCE:?} {kept:?} are")
            }
        }
    }

    /// Multicast packets of all nodes together, up to this moment.
    pub(crate) async fn traffic(&self) -> anyhow::Result<Traffic> {
        sleep(FIGURES_AGE).await;
        let statuses = self.statuses().await?;
        Ok(Traffic {
            sent: statuses.iter().map(|status| status.multicast.sent_packets).sum(),
            received: statuses.iter().map(|status| status.multicast.received_packets).sum(),
        })
    }

    /// What every node says of itself, in their order.
    async fn statuses(&self) -> anyhow::Result<Vec<Status>> {
        let mut statuses = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            statuses.push(node.status().await?);
        }
        Ok(statuses)
    }

    /// Two different places among the nodes, at random.
    ///
    /// # Panics
    ///
    /// When there are fewer than two.
    pub(crate) fn two(&mut self) -> [usize; 2] {
        let mut pick = |bound: usize| {
            usize::try_from(self.rng.below(bound as u64)).expect("below a number of nodes")
        };
        let count = self.nodes.len();
        let first = pick(count);
        [first, (first + 1 + pick(count - 1)) % count]
    }

    /// Their names, as a sentence lists them.
    pub(crate) fn names(&self) -> String {
        list(self.nodes.iter().map(|node| node.name.as_str()))
    }

    /// Says where its nodes are to be found.
    pub(crate) fn describe(&self, steps: &Steps) -> anyhow::Result<()> {
        steps.say(
            "\nThe farm keeps running; Ctrl-C ends it. The http pages show it, and kill nodes.\n",
        )?;
        for Node { name, ready, .. } in &self.nodes {
            steps.say(&format!(
                "{name}   https://{}/   http://{}/   segue status --admin http://{}",
                ready.tls[0], ready.admin, ready.admin
            ))?;
        }
        Ok(())
    }

    /// Ends all nodes as an operator does.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        while let Some(node) = self.nodes.pop() {
            node.stop().await?;
        }
        Ok(())
    }
}

/// Names as a sentence lists them: "b, c and d".
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
