//! The servers that are measured: processes that cannot outlive this one.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::speech::Protocol;
use crate::ready::Ready;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a server that does not say when it serves is tried.
const GLANCE: Duration = Duration::from_millis(5);
/// What a server may use where its memory is not what is measured.
pub(super) const MEMORY_BYTES: u64 = 256 << 20;

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Engine {
    Segue,
    Redis,
    Valkey,
    Memcached,
    /// None: replies that are always the same ([`super::floor`]).
    Floor,
}

/// A server that runs. Killed when dropped.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) engine: Engine,
    pub(super) address: SocketAddr,
    process: Child,
    /// Where its farm is joined, if it is a node.
    farm: Option<SocketAddr>,
}

impl Engine {
    pub(super) const ALL: [Self; 5] =
        [Self::Segue, Self::Redis, Self::Valkey, Self::Memcached, Self::Floor];

    /// As it stands in the names of figures.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Segue => "segue",
            Self::Redis => "redis",
            Self::Valkey => "valkey",
            Self::Memcached => "memcached",
            Self::Floor => "floor",
        }
    }

    pub(super) const fn protocol(self) -> Protocol {
        match self {
            Self::Segue | Self::Redis | Self::Valkey | Self::Floor => Protocol::Redis,
            Self::Memcached => Protocol::Memcached,
        }
    }

    /// The program, as Debian names it; none where it is this one.
    const fn program(self) -> Option<&'static str> {
        match self {
            Self::Redis => Some("redis-server"),
            Self::Valkey => Some("valkey-server"),
            Self::Memcached => Some("memcached"),
            Self::Segue | Self::Floor => None,
        }
    }
}

impl Server {
    /// A server by itself; none where it is not installed.
    pub(super) fn alone(
        engine: Engine,
        directory: &Path,
        memory_bytes: u64,
    ) -> anyhow::Result<Option<Self>> {
        match engine {
            Engine::Segue => Self::node("alone", "", (directory, memory_bytes)).map(Some),
            Engine::Floor => Self::floor().map(Some),
            Engine::Redis | Engine::Valkey | Engine::Memcached => {
                Self::peer(engine, &[], (directory, memory_bytes))
            }
        }
    }

    /// Two nodes of one farm, or a Redis and its replica; none where that is
    /// not installed.
    pub(super) fn pair(engine: Engine, directory: &Path) -> anyhow::Result<Option<[Self; 2]>> {
        if engine == Engine::Segue {
            crate::keyfile::create(&directory.join("farm.key"))?;
            let keys = "farm.keys = \"farm.key\"\n";
            let place = (directory, MEMORY_BYTES);
            let one = Self::node("one", keys, place)?;
            let peer = one.farm.context("a node has a farm's address")?;
            let other = Self::node("other", &format!("{keys}farm.peers = [\"{peer}\"]\n"), place)?;
            return Ok(Some([one, other]));
        }
        let place = (directory, MEMORY_BYTES);
        let Some(one) = Self::peer(engine, &[], place)? else { return Ok(None) };
        let port = one.address.port().to_string();
        let other = Self::peer(engine, &["--replicaof", "127.0.0.1", &port], place)?;
        Ok(other.map(|other| [one, other]))
    }

    /// The processor time that it has used so far.
    pub(super) fn processor_time(&self) -> io::Result<Duration> {
        sys::process::cpu_time(self.process.id())
    }

    /// How much memory it has, in bytes.
    pub(super) fn resident_bytes(&self) -> io::Result<u64> {
        sys::process::resident_bytes(self.process.id())
    }

    /// A node with a gateway; `more` is of its configuration.
    fn node(
        name: &str,
        more: &str,
        (directory, memory_bytes): (&Path, u64),
    ) -> anyhow::Result<Self> {
        let file = directory.join(format!("{name}.toml"));
        let any = "\"127.0.0.1:0\"";
        let text = format!(
            "node.name = \"{name}\"\ntls.listen = {any}\nadmin.listen = {any}\nfarm.listen = {any}\n\
             redis.listen = {any}\nlog.level = \"warn\"\ncache.memory = \"{memory_bytes}B\"\n{more}"
        );
        std::fs::write(&file, text)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--config").arg(&file);
        let (process, line) = said(command)?;
        let ready = line.parse::<Ready>().with_context(|| format!("node {name}"))?;
        let redis = ready.redis.first().context("a gateway says where it is")?;
        let address = redis.parse()?;
        Ok(Self { engine: Engine::Segue, address, process, farm: Some(ready.farm) })
    }

    fn floor() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bench-floor");
        let (process, line) = said(command)?;
        Ok(Self { engine: Engine::Floor, address: line.parse()?, process, farm: None })
    }

    /// Another engine's server, which finds nothing on disk: a replica leaves what
    /// it was sent where it runs.
    fn peer(
        engine: Engine,
        more: &[&str],
        (directory, memory_bytes): (&Path, u64),
    ) -> anyhow::Result<Option<Self>> {
        // They take no port of the kernel's choice. One that was free a moment
        // ago will do.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let program = engine.program().context("it has a program")?;
        let (mut command, port) = (Command::new(program), address.port().to_string());
        let place = directory.join(&port);
        std::fs::create_dir_all(&place)?;
        command.current_dir(place);
        if engine == Engine::Memcached {
            command.args(["-l", "127.0.0.1", "-U", "0", "-p", &port, "-u", "nobody"]);
            command.args(["-m", &(memory_bytes >> 20).to_string()]);
        } else {
            command.args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port,
                "--save",
                "",
                "--appendonly",
                "no",
            ]);
        }
        command.args(more).stdin(Stdio::null()).stdout(Stdio::null());
        sys::process::die_with_parent(&mut command);
        let process = match command.spawn() {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => bail!("{program}: {error}"),
        };
        let server = Self { engine, address, process, farm: None };
        let limit = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            anyhow::ensure!(Instant::now() < limit, "{program} does not serve");
            std::thread::sleep(GLANCE);
        }
        Ok(Some(server))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It fails when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Says where this process serves.
pub(super) fn announce(address: SocketAddr) -> anyhow::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{address}")?;
    Ok(out.flush()?)
}

/// Starts this program, and waits for the line that says where it serves.
fn said(mut command: Command) -> anyhow::Result<(Child, String)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    sys::process::die_with_parent(&mut command);
    let mut process = command.spawn()?;
    let out = process.stdout.take().context("standard output is piped")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    if line.is_empty() {
        let _ = process.wait();
        bail!("a server did not start: see above");
    }
    Ok((process, line.trim().to_owned()))
}
