//! A farm's directory and its processes.
//!
//! Every farm has a directory, a key, a certificate and a multicast group of
//! its own. All ports are the system's choice, and nodes tell them when they
//! are ready, so nothing is reserved and nothing collides.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use toml::Table;

use crate::http;
use crate::patience::{PATIENCE, until};

/// The name that a farm's certificate is for.
pub(crate) const SERVER_NAME: &str = "shop.segue.example";

/// Farms take turns: a machine that runs several at once tells little of each.
static TURN: Mutex<()> = Mutex::new(());

/// Nodes that know each other.
pub(crate) struct Farm {
    directory: TempDir,
    group: Ipv4Addr,
    /// Where the nodes that were started are, or were.
    listening: Vec<SocketAddr>,
    /// What its nodes are told beside their configuration.
    arguments: &'static [&'static str],
    _turn: MutexGuard<'static, ()>,
}

impl Farm {
    /// A farm without nodes yet.
    pub(crate) fn new() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::Builder::new().prefix("segue-test-").tempdir().unwrap();
        let farm = Self {
            directory,
            group: own_group(),
            listening: Vec::new(),
            arguments: &[],
            _turn: turn,
        };
        let made = segue().arg("keygen").arg("--out").arg(farm.path("farm.key")).output().unwrap();
        assert!(made.status.success(), "segue keygen: {made:?}");
        let certificate = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()]).unwrap();
        fs::write(farm.path("admin.token"), http::TOKEN).unwrap();
        let own = fs::Permissions::from_mode(0o600);
        fs::set_permissions(farm.path("admin.token"), own).unwrap();
        fs::write(farm.path("cert.pem"), certificate.cert.pem()).unwrap();
        fs::write(farm.path("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
        farm
    }

    /// The same as a demo has it: nodes may be killed from their pages.
    pub(crate) fn of_a_demo() -> Self {
        Self { arguments: &["--drill"], ..Self::new() }
    }

    /// A file of this name in the farm's directory, which is every node's.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// The group that its nodes multicast to.
    pub(crate) fn group(&self) -> Ipv4Addr {
        self.group
    }

    /// Starts a node on this machine that keeps everything, joined to those
    /// that were started before, and waits until it is ready. What `settings`
    /// says overrides the test's configuration, key by key.
    ///
    /// The node dies with the thread that starts it.
    pub(crate) fn start(&mut self, name: &str, settings: &Table) -> Node {
        let node = self.begin(name, settings).ready();
        self.listening.push(node.ready.farm);
        node
    }

    /// The same, without waiting until it is ready.
    pub(crate) fn begin(&self, name: &str, settings: &Table) -> Starting {
        let config = self.path(&format!("{name}.toml"));
        fs::write(&config, self.configuration(name, settings).to_string()).unwrap();
        Starting::new(name, (&config, self.arguments), &self.path(&format!("{name}.log")))
    }

    fn configuration(&self, name: &str, settings: &Table) -> Table {
        let peers: Vec<_> = self.listening.iter().map(ToString::to_string).collect();
        let group = SocketAddr::new(self.group.into(), 7799).to_string();
        let mut configuration = toml::toml! {
            [cache]
            memory = "64MiB"
            [tls]
            listen = "127.0.0.1:0"
            certificates = [{ cert = "cert.pem", key = "key.pem" }]
            [admin]
            listen = "127.0.0.1:0"
            [log]
            level = "info"
            [farm]
            keys = ["farm.key"]
            listen = "127.0.0.1:0"
        };
        let own = toml::toml! {
            [node]
            name = name
            [farm]
            peers = peers
            group = group
        };
        override_with(&mut configuration, &own);
        override_with(&mut configuration, settings);
        configuration
    }
}

/// A running node. Dropped, it crashes: SIGKILL.
pub(crate) struct Node {
    process: Process,
    ready: Ready,
}

/// A node that has yet to say that it is ready.
pub(crate) struct Starting {
    process: Process,
    said: mpsc::Receiver<String>,
}

/// The process of a node.
struct Process {
    child: Child,
    name: String,
    log: std::path::PathBuf,
}

/// Where a node serves, as it tells when it is ready.
struct Ready {
    tls: SocketAddr,
    admin: SocketAddr,
    farm: SocketAddr,
}

impl Starting {
    fn new(name: &str, (config, more): (&Path, &[&str]), log: &Path) -> Self {
        let mut command = segue();
        command.arg("serve").arg("--config").arg(config).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(log).unwrap());
        sys::process::die_with_parent(&mut command);
        let mut child = command.spawn().unwrap();
        let output = child.stdout.take().expect("it is piped");
        let (sender, said) = mpsc::channel();
        // Reads on for as long as the node lives, so that it never has to wait
        // to be heard.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let process = Process { child, name: name.to_owned(), log: log.to_owned() };
        Self { process, said }
    }

    /// What it has logged so far.
    pub(crate) fn logged(&self) -> String {
        self.process.logged()
    }

    /// Waits until it is ready.
    pub(crate) fn ready(self) -> Node {
        let Self { process, said } = self;
        let line = said.recv_timeout(PATIENCE);
        let Some(ready) = line.as_ref().ok().and_then(|line| Ready::parse(line)) else {
            panic!("node {} is not ready: {line:?}", process.name)
        };
        Node { process, ready }
    }
}

impl Process {
    fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Node {
    /// Where its clients connect.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.ready.tls
    }

    /// Where it takes what other nodes send to it.
    pub(crate) fn farm(&self) -> SocketAddr {
        self.ready.farm
    }

    /// Where its admin server is.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.ready.admin
    }

    /// What it has logged so far.
    pub(crate) fn logged(&self) -> String {
        self.process.logged()
    }

    /// Asks it to read its configuration again (SIGHUP).
    pub(crate) fn reload(&self) {
        let pid = Pid::from_raw(self.process.child.id().try_into().unwrap());
        kill(pid, Signal::SIGHUP).unwrap();
    }

    /// Makes it stand still, whatever comes (SIGSTOP).
    pub(crate) fn halt(&self) {
        sys::process::halt(self.process.child.id()).unwrap();
    }

    /// Lets it go on (SIGCONT).
    pub(crate) fn go_on(&self) {
        sys::process::go_on(self.process.child.id()).unwrap();
    }

    /// What it says of itself: `/api/status`.
    pub(crate) fn status(&self) -> Value {
        status_at(self.ready.admin).expect("it serves")
    }

    /// Waits until its status is as wanted, and gives it.
    pub(crate) fn until_status(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = || Some(self.status()).filter(&wanted);
        until(look, || format!("node {}: {:#}", self.process.name, self.status()))
    }

    /// How much memory it has, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        sys::process::resident_bytes(self.process.child.id()).unwrap()
    }

    /// Asks it to end (SIGTERM).
    pub(crate) fn terminate(&self) {
        sys::process::terminate(self.process.child.id()).unwrap();
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn stop(self) -> ExitStatus {
        self.terminate();
        self.ended()
    }

    /// Waits until it has ended.
    pub(crate) fn ended(mut self) -> ExitStatus {
        until(
            || self.process.child.try_wait().unwrap(),
            || format!("node {} does not end", self.process.name),
        )
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "a failed test shows what its nodes have logged")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- log of node {} ---\n{log}", self.name);
        }
    }
}

impl Ready {
    /// Reads `ready node=a tls=127.0.0.1:8443 admin=… farm=…`.
    fn parse(line: &str) -> Option<Self> {
        let fields = line.strip_prefix("ready ")?;
        let address = |name: &str| {
            let field =
                fields.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            // Of several listeners the first.
            field?.split(',').next()?.parse().ok()
        };
        Some(Self { tls: address("tls")?, admin: address("admin")?, farm: address("farm")? })
    }
}

/// What a node says of itself, if it serves at this admin address.
pub(crate) fn status_at(admin: SocketAddr) -> Option<Value> {
    let stream = TcpStream::connect(admin).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = http::get(stream, &admin.to_string(), "/api/status").unwrap();
    Some(serde_json::from_str(&body).unwrap())
}

/// The program, without what the environment would tell it.
pub(crate) fn segue() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_segue"));
    let ours = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in ours.filter(|name| name.starts_with("SEGUE_")) {
        command.env_remove(name);
    }
    command
}

/// A group that no other farm on this machine has: of the site-local ones
/// (239.255.0.0/16, RFC 2365), by process and by farm.
fn own_group() -> Ipv4Addr {
    static FARMS: AtomicU32 = AtomicU32::new(0);
    let farm = FARMS.fetch_add(1, Ordering::Relaxed);
    let [_, _, high, low] = (std::process::id().wrapping_mul(16) + farm).to_be_bytes();
    Ipv4Addr::new(239, 255, high, low)
}

fn override_with(configuration: &mut Table, settings: &Table) {
    for (section, keys) in settings {
        if keys.is_array() {
            configuration.insert(section.clone(), keys.clone());
            continue;
        }
        let section = configuration.entry(section).or_insert_with(|| Table::new().into());
        let (section, keys) = (section.as_table_mut(), keys.as_table());
        let (section, keys) = section.zip(keys).expect("a configuration has sections of keys");
        section.extend(keys.clone());
    }
}
