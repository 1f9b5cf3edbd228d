//! One node of the demo's farm: a real `segue serve` process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::ground::Ground;
use crate::admin::Status;
use crate::http;
use crate::ready::Ready;

/// How long a node may take to start, to join and to answer, or to end.
/// Generous: the demo also runs on machines that are busy with other things.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition is looked at while it is waited for.
pub(super) const GLANCE: Duration = Duration::from_millis(2);

/// What a node keeps of the farm's records.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Portion<'a> {
    /// All of them.
    All,
    /// Its share, with so many holders for each record.
    Share { replicas: usize },
    /// What these nodes keep.
    Of(&'a [&'a str]),
}

impl Portion<'_> {
    /// The section of the configuration that says so.
    fn section(self) -> Value {
        match self {
            Self::All => json!({ "keep": "all" }),
            Self::Share { replicas } => json!({ "keep": "share", "replicas": replicas }),
            Self::Of(nodes) => json!({ "keep": "of", "of": nodes }),
        }
    }
}

/// What a node of the demo is told.
#[derive(Debug)]
pub(crate) struct Orders<'a> {
    pub(crate) name: &'a str,
    /// What its farm port is opened at.
    pub(crate) address: Ipv4Addr,
    /// The farm's multicast group.
    pub(crate) group: SocketAddr,
    /// The farm addresses of nodes to join.
    pub(crate) peers: Vec<SocketAddr>,
    /// What it keeps.
    pub(crate) portion: Portion<'a>,
    /// The share of multicast packets that it loses.
    pub(crate) drop: f64,
}

/// A node that was started and does not serve yet. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Starting {
    name: String,
    process: Child,
    /// What it says on standard error.
    log: PathBuf,
}

impl Starting {
    /// Starts a node's process.
    ///
    /// # Errors
    ///
    /// When its configuration cannot be written, or the system gives no
    /// process.
    pub(crate) fn new(ground: &Ground, orders: &Orders<'_>) -> anyhow::Result<Self> {
        let config = ground.path(&format!("{}.toml", orders.name));
        std::fs::write(&config, configuration(orders)?)?;
        let log = ground.path(&format!("{}.log", orders.name));
        Ok(Self { name: orders.name.to_owned(), process: spawn(config, &log)?, log })
    }

    /// Waits until it serves.
    ///
    /// # Errors
    ///
    /// When it does not: with what it said on standard error.
    pub(crate) async fn ready(self) -> anyhow::Result<Node> {
        let Self { name, mut process, log } = self;
        let out = process.stdout.take().expect("standard output is piped");
        let line = timeout(PATIENCE, BufReader::new(out).lines().next_line())
            .await
            .with_context(|| format!("node {name} is not ready within {PATIENCE:?}"))??;
        let Some(line) = line else {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            bail!("node {name} did not start: {}", said.trim());
        };
        let ready = line.parse::<Ready>().with_context(|| format!("node {name}"))?;
        Ok(Node { name, ready, process })
    }
}

/// A running node. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) ready: Ready,
    process: Child,
}

impl Node {
    /// Where its clients connect.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.ready.tls[0]
    }

    /// Its process, if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// What it says of itself.
    pub(crate) async fn status(&self) -> anyhow::Result<Status> {
        let admin = self.ready.admin;
        let ask = async {
            let stream = TcpStream::connect(admin).await?;
            http::get(stream, &*admin.to_string(), "/api/status").await.map_err(anyhow::Error::from)
        };
        let answer = timeout(PATIENCE, ask).await.context("no answer")??;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Waits until its status is as wanted, and gives that status.
    ///
    /// # Errors
    ///
    /// When it is not in time: with what was last seen.
    pub(crate) async fn until(&self, wanted: impl Fn(&Status) -> bool) -> anyhow::Result<Status> {
        let mut last = None;
        let wait = async {
            loop {
                let status = self.status().await?;
                if wanted(&status) {
                    return anyhow::Ok(status);
                }
                last = Some(status);
                sleep(GLANCE).await;
            }
        };
        match timeout(PATIENCE, wait).await {
            Ok(status) => status,
            Err(_) => bail!("node {} after {PATIENCE:?}: {last:?}", self.name),
        }
    }

    /// Ends it without a warning (SIGKILL), as a crash does.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.process.kill().await?)
    }

    /// Asks it to end (SIGTERM), and waits for that.
    ///
    /// # Errors
    ///
    /// When it takes too long or exits with another status than 0.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.process.id().context("it has ended already")?;
        sys::process::terminate(pid)?;
        let status = timeout(PATIENCE, self.process.wait())
            .await
            .with_context(|| format!("node {} does not end", self.name))??;
        anyhow::ensure!(status.success(), "node {} ended with {status}", self.name);
        Ok(())
    }
}

/// Starts this program as a node that cannot outlive it.
fn spawn(config: PathBuf, log: &Path) -> anyhow::Result<Child> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command
        .args(["serve", "--drill", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(log)?);
    // What overrides the operator's own nodes is not meant for these.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("SEGUE_")) {
            command.env_remove(name);
        }
    }
    sys::process::die_with_parent(&mut command);
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    command.spawn().context("a node's process")
}

/// The configuration file of a node. Its ports are the system's choice.
fn configuration(orders: &Orders<'_>) -> Result<String, toml::ser::Error> {
    let anywhere = "127.0.0.1:0";
    toml::to_string(&json!({
        "node": { "name": orders.name },
        "farm": {
            "keys": ["farm.key"],
            "listen": SocketAddr::from((orders.address, 0)),
            "peers": orders.peers,
            "group": orders.group,
            "drop": orders.drop,
        },
        "cache": { "memory": "32MiB" },
        "portion": orders.portion.section(),
        "tls": {
            "listen": anywhere,
            "certificates": [{ "cert": "cert.pem", "key": "key.pem" }],
        },
        "admin": { "listen": anywhere },
        "log": { "level": "warn" },
    }))
}
