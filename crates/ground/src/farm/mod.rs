//! A farm on machines of its own: three servers, a backend, and clients.
//!
//! The servers run the real program, which whoever builds the farm names. Where
//! its virtual address is can be seen from outside, by the machine's own
//! interface, so that no node is believed.

mod error;
mod node;
mod settings;
mod trial;
mod trust;

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::CipherSuite;
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::run;
use crate::load::{Amount, Backend, Clients, Near, Plan, Security};
use crate::network::{Network, NetworkError};
pub use crate::watch::PATIENCE;
use crate::watch::until;
pub use error::FarmError;
pub use node::Node;
pub use settings::{Listeners, Settings};
pub use trial::{Exit, GOING_ON_BYTES, Trial};

/// How many servers there are: the owner of a connection, its understudy, and
/// one that neither is.
pub const SERVERS: u8 = 3;

/// The machine that clients are on.
pub const CLIENTS: u8 = SERVERS;

/// The machine that the backend is on.
pub const BACKEND: u8 = SERVERS + 1;

/// Names of the servers' nodes.
const NAMES: [&str; SERVERS as usize] = ["a", "b", "c"];

/// Where the backend is, on its machine.
const BACKEND_PORT: u16 = 9000;

/// A farm, its backend, and its clients. Dropped, all of it is gone.
#[derive(Debug)]
pub struct Farm {
    // Dropped in this order: nodes before the network that they are in.
    nodes: [Option<Node>; SERVERS as usize],
    /// What clients talk to, behind the servers.
    pub backend: Backend,
    clients: Clients,
    /// The wire that all of it is on.
    pub network: Network,
    program: PathBuf,
    settings: Settings,
    directory: TempDir,
    certificate: CertificateDer<'static>,
}

/// For how long servers have to agree on who votes: longer than from one change of
/// it to the next.
const SETTLED: Duration = Duration::from_millis(1_200);

impl Farm {
    /// A farm of that program, with no server started.
    ///
    /// # Errors
    ///
    /// Where there can be no such network, or `segue keygen` fails.
    pub fn new(program: PathBuf, settings: Settings) -> Result<Self, FarmError> {
        let network = Network::new(BACKEND + 1)?;
        let (directory, certificate) = trust::prepare(&program, settings.place.as_deref())?;
        // Of the family that its connections will be of.
        let at: IpAddr = match settings.v6 {
            false => Network::address(BACKEND).into(),
            true => Network::address_v6(BACKEND).into(),
        };
        let at = SocketAddr::new(at, BACKEND_PORT);
        let backend = network.on(BACKEND, || Backend::start(at));
        let backend = backend.map_err(FarmError::because("the backend"))?;
        let clients = Clients::start().map_err(FarmError::because("the clients"))?;
        let nodes = Default::default();
        Ok(Self { nodes, backend, clients, network, program, settings, directory, certificate })
    }

    /// Starts all servers that do not run, and waits until they know each other
    /// and one of them has the virtual address.
    ///
    /// # Errors
    ///
    /// When one does not start, or they do not come together: with their logs.
    pub fn start(&mut self) -> Result<(), FarmError> {
        (0..SERVERS).try_for_each(|server| self.start_one(server))?;
        let all_alive = |status: &Value| {
            let members = status["members"].as_array().into_iter().flatten();
            let alive = members.filter(|other| other["state"] == "alive");
            alive.count() + 1 == usize::from(SERVERS)
        };
        for server in 0..SERVERS {
            self.until_status(server, all_alive)?;
        }
        if self.settings.listeners != Listeners::Ordinary {
            self.until_whole()?;
            self.until_owner(|_| true)?;
        }
        Ok(())
    }

    /// Waits until the servers agree on who votes, all of them do, and each has
    /// what is agreed on: before that another loss may be one too many.
    fn until_whole(&self) -> Result<(), FarmError> {
        let mut since = Instant::now();
        let mut known = None;
        let whole = until(PATIENCE, || {
            let seen = (0..SERVERS).map(|server| self.agreed(server));
            let seen = seen.collect::<Result<Vec<_>, _>>()?;
            let first = seen.first().copied().flatten();
            let same = first.is_some() && seen.iter().all(|one| *one == first);
            // A roster changes twice when a server is another start of itself.
            if !same || first != known {
                (known, since) = (first.filter(|_| same), Instant::now());
            }
            Ok::<_, FarmError>((known.is_some() && since.elapsed() > SETTLED).then_some(()))
        })?;
        whole.ok_or_else(|| self.failed("all servers vote"))
    }

    /// Which roster a server goes by and how many registers it has, if all of that
    /// roster are heard.
    fn agreed(&self, server: u8) -> Result<Option<(u64, u64)>, FarmError> {
        let agreed = self.status(server)?["one_answer"].take();
        let field = |name: &str| agreed[name].as_u64().unwrap_or(0);
        let all = u64::from(SERVERS);
        let is_whole = field("voters") == all && field("voters_alive") == all;
        Ok(is_whole.then(|| (field("roster"), field("registers"))))
    }

    /// Starts a server, unless it runs, and waits until it says that it serves.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn start_one(&mut self, server: u8) -> Result<(), FarmError> {
        if self.nodes[usize::from(server)].is_some() {
            return Ok(());
        }
        let name = Self::name(server);
        let config = self.directory.path().join(format!("{name}.toml"));
        let text = self.settings.of(server, name, self.backend.address());
        fs::write(&config, text).map_err(FarmError::because("a configuration"))?;
        let node = self.network.on(server, || Node::start(&self.program, name, &config))?;
        self.nodes[usize::from(server)] = Some(node);
        Ok(())
    }

    /// Ends a server's process at once (SIGKILL).
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn kill(&mut self, server: u8) {
        let node = self.nodes[usize::from(server)].take();
        drop(node.expect("a server is killed that runs"));
    }

    /// A running server's node.
    ///
    /// # Panics
    ///
    /// When it does not run.
    #[must_use]
    pub fn node(&self, server: u8) -> &Node {
        self.nodes[usize::from(server)].as_ref().expect("a server is asked that runs")
    }

    /// Puts a server that was killed or unplugged back, as a new start.
    ///
    /// # Errors
    ///
    /// As for [`Farm::start`].
    pub fn restore(&mut self, server: u8) -> Result<(), FarmError> {
        self.nodes[usize::from(server)] = None;
        // With the plug in, it would be there twice.
        let gone =
            until(PATIENCE, || Ok::<_, FarmError>((!self.has_address(server)?).then_some(())))?;
        gone.ok_or_else(|| self.failed("a killed server's virtual address goes away"))?;
        self.network.plug(server)?;
        self.start()
    }

    /// Has a server hand its connections over and end (`segue drain`), and
    /// waits for that.
    ///
    /// # Errors
    ///
    /// When it fails, or the process does not end.
    pub fn drain(&mut self, server: u8) -> Result<(), FarmError> {
        let admin = format!("http://{}", Settings::ADMIN);
        let drain = || Command::new(&self.program).args(["drain", "--admin", &admin]).output();
        let output = self.network.on(server, drain).map_err(FarmError::because("segue drain"))?;
        if !output.status.success() {
            return Err(FarmError::Failed {
                what: "segue drain".to_owned(),
                why: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        let node = self.nodes[usize::from(server)].take();
        node.map_or(Ok(()), |node| node.until_ended(PATIENCE))
    }

    /// The server on the wire whose machine has the virtual address. While it
    /// moves, or if more than one has it, none.
    ///
    /// # Errors
    ///
    /// That of `ip`.
    pub fn owner(&self) -> Result<Option<u8>, FarmError> {
        let mut owners = Vec::new();
        for server in 0..SERVERS {
            if self.has_address(server)? && !self.network.is_unplugged(server)? {
                owners.push(server);
            }
        }
        Ok(Some(owners).filter(|owners| owners.len() == 1).map(|owners| owners[0]))
    }

    fn has_address(&self, server: u8) -> Result<bool, FarmError> {
        let shown = self.network.on(server, || run("ip -o address show"));
        let shown = shown.map_err(NetworkError::from)?;
        Ok(shown.contains(&format!(" {}/", self.settings.address())))
    }

    /// Waits until one server has the virtual address, and it is one that is
    /// wanted.
    ///
    /// # Errors
    ///
    /// When that takes longer than [`PATIENCE`].
    pub fn until_owner(&self, wanted: impl Fn(u8) -> bool) -> Result<u8, FarmError> {
        let owner =
            until(PATIENCE, || Ok::<_, FarmError>(self.owner()?.filter(|&owner| wanted(owner))))?;
        owner.ok_or_else(|| self.failed("no server has the virtual address alone"))
    }

    /// Waits until so many of a server's connections are protected.
    ///
    /// # Errors
    ///
    /// When that takes longer than [`PATIENCE`].
    pub fn until_protected(&self, server: u8, count: u64) -> Result<(), FarmError> {
        let wanted =
            |status: &Value| status["connections"]["protected"].as_u64().unwrap_or(0) >= count;
        self.until_status(server, wanted).map(drop)
    }

    /// What a server says of itself.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn status(&self, server: u8) -> Result<Value, FarmError> {
        self.network.on(server, || node::status(Settings::ADMIN))
    }

    /// Waits until a server's status is as wanted, and gives it.
    ///
    /// # Errors
    ///
    /// When that takes longer than [`PATIENCE`].
    pub fn until_status(
        &self,
        server: u8,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, FarmError> {
        let mut last = Value::Null;
        let seen = until(PATIENCE, || {
            last = self.status(server)?;
            Ok::<_, FarmError>(wanted(&last).then(|| last.take()))
        })?;
        seen.ok_or_else(|| self.failed(&format!("{} says {last:#}", Self::name(server))))
    }

    /// Has a client connect and begin.
    ///
    /// # Errors
    ///
    /// When nobody answers.
    pub fn connect(&self, plan: &Plan) -> Result<Near, FarmError> {
        let near = self.network.on(CLIENTS, || self.clients.connect(plan));
        near.map_err(FarmError::because("a client's connection"))
    }

    /// A connection to the listener without TLS.
    #[must_use]
    pub fn plain(&self, upload: Amount, download: Amount) -> Plan {
        Plan { to: self.settings.plain(), security: Security::Plain, upload, download }
    }

    /// A connection to the listener with TLS 1.3, by that cipher suite.
    #[must_use]
    pub fn tls(&self, suite: CipherSuite, upload: Amount, download: Amount) -> Plan {
        let security = Security::Tls(Arc::new(trust::client(&self.certificate, suite)));
        Plan { to: self.settings.tls(), security, upload, download }
    }

    /// The name of a server's node.
    #[must_use]
    pub fn name(server: u8) -> &'static str {
        NAMES[usize::from(server)]
    }

    /// Whether a server's process was started and not ended from here.
    #[must_use]
    pub fn runs(&self, server: u8) -> bool {
        self.nodes[usize::from(server)].is_some()
    }

    /// Where its clients connect without TLS.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.settings.address()
    }

    /// Whether its connections go on at another server when theirs dies.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.settings.listeners == Listeners::TakenOver
    }

    /// A file of this name in the farm's directory, which is every node's.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// That something did not happen, with what the nodes have logged.
    fn failed(&self, what: &str) -> FarmError {
        let logs = self.nodes.iter().flatten().map(Node::logged);
        let logs: Vec<_> = logs.collect();
        FarmError::Failed { what: what.to_owned(), why: logs.join("\n") }
    }
}
