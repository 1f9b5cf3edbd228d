//! Processes of `segue serve` with a gateway, and a `redis-server` beside them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::http;
use crate::patience::{PATIENCE, until};

/// Every node serves both protocols.
const MEMCACHED: &str = "memcached.listen = \"127.0.0.1:0\"\n";

/// A directory that ends with the test.
pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new().prefix("segue-gateway-").tempdir().expect("a place for files")
}

/// The program, without what the environment would tell it.
pub(crate) fn segue() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_segue"));
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| name.starts_with("SEGUE_")) {
        command.env_remove(name);
    }
    command
}

/// Makes a farm's key in a directory.
pub(crate) fn keygen(directory: &Path) {
    let made = segue().arg("keygen").arg("--out").arg(directory.join("farm.key")).status();
    assert!(made.expect("segue runs").success());
}

/// A process that ends with the test.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// Makes it stand still, whatever comes (SIGSTOP).
    pub(crate) fn halt(&self) {
        sys::process::halt(self.child.id()).expect("it is ours");
    }

    /// Asks it to read its configuration again (SIGHUP).
    pub(crate) fn reload(&self) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process's number"));
        kill(pid, Signal::SIGHUP).expect("it is ours");
    }

    /// What it has logged so far.
    pub(crate) fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "a failed test shows what its processes logged")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.log.display(), self.logged());
        }
    }
}

/// A node that serves.
pub(crate) struct Node {
    pub(crate) process: Process,
    /// Its gateway's first listener, and all of them.
    pub(crate) redis: String,
    pub(crate) listeners: Vec<String>,
    pub(crate) memcached: String,
    pub(crate) farm: String,
    pub(crate) admin: String,
}

impl Node {
    /// Starts a node; `more` is the rest of its configuration.
    pub(crate) fn start(directory: &Path, name: &str, more: &str) -> Self {
        Self::start_at(directory, name, "\"127.0.0.1:0\"", more)
    }

    /// The same with a gateway that listens there.
    pub(crate) fn start_at(directory: &Path, name: &str, listen: &str, more: &str) -> Self {
        let config = directory.join(format!("{name}.toml"));
        // Unless a test has it listen elsewhere.
        let memcached = if more.contains("memcached.listen") { "" } else { MEMCACHED };
        let text = format!(
            "node.name = \"{name}\"\ntls.listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\n\
             farm.listen = \"127.0.0.1:0\"\nredis.listen = {listen}\n{memcached}{more}"
        );
        fs::write(&config, text).expect("a file of ours");
        let log = directory.join(format!("{name}.log"));
        let mut child = segue()
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a file of ours"))
            .spawn()
            .expect("segue runs");
        let out = child.stdout.take().expect("it is piped");
        let process = Process { child, log };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("a line");
        let field = |name: &str| {
            let field = line.trim().split(' ').find_map(|it| it.strip_prefix(name));
            field.unwrap_or_else(|| panic!("no {name} in {line:?}")).to_owned()
        };
        let (redis, farm, admin) = (field("redis="), field("farm="), field("admin="));
        let memcached = field("memcached=");
        let listeners: Vec<_> = redis.split(',').map(str::to_owned).collect();
        let redis = listeners.first().expect("one at least").clone();
        let memcached = memcached.split(',').next().expect("one at least").to_owned();
        Self { process, redis, listeners, memcached, farm, admin }
    }

    pub(crate) fn client(&self) -> Client {
        Client::tcp(&self.redis)
    }

    pub(crate) fn status(&self) -> Value {
        let stream = TcpStream::connect(&self.admin).expect("the page is served");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
        let body = http::get(stream, &self.admin, "/api/status").expect("an answer");
        serde_json::from_str(&body).expect("JSON")
    }
}

/// What `segue check` says of a configuration that it refuses.
pub(crate) fn refused(directory: &Path, text: &str) -> String {
    let config = directory.join("segue.toml");
    fs::write(&config, text).expect("a file of ours");
    let checked = segue().arg("check").arg("--config").arg(&config).output();
    let checked = checked.expect("segue runs");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(2), "{text}: {said}");
    said
}

/// Nodes of one farm, all of which vote.
pub(crate) fn farm(directory: &Path, names: &[&str]) -> Vec<Node> {
    farm_with(directory, names, "")
}

/// The same; `rest` is the rest of each one's configuration.
pub(crate) fn farm_with(directory: &Path, names: &[&str], rest: &str) -> Vec<Node> {
    keygen(directory);
    let mut nodes: Vec<Node> = Vec::new();
    for name in names {
        let peers: Vec<_> = nodes.iter().map(|node| format!("{:?}", node.farm)).collect();
        let more = format!(
            "farm.keys = \"farm.key\"\nfarm.transport = \"unicast\"\nfarm.peers = [{}]\n{rest}",
            peers.join(", ")
        );
        nodes.push(Node::start(directory, name, &more));
    }
    for node in &nodes {
        let all_vote = || {
            let status = node.status();
            let voters = status.pointer("/one_answer/voters_alive").and_then(Value::as_u64);
            (voters == Some(names.len() as u64)).then_some(())
        };
        until(all_vote, || format!("not all vote: {:#}", node.status()));
    }
    nodes
}

/// A real server, at a unix socket.
pub(crate) struct RedisServer {
    _process: Process,
    socket: PathBuf,
}

impl RedisServer {
    pub(crate) fn start(directory: &Path) -> Self {
        let (socket, log) = (directory.join("redis.sock"), directory.join("redis.log"));
        let out = File::create(&log).expect("a file of ours");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(directory)
            .stdout(out)
            .spawn()
            .expect("redis-server is installed (package redis-server, see .ci/packages)");
        let process = Process { child, log };
        let listens = || std::os::unix::net::UnixStream::connect(&socket).ok();
        until(listens, || "redis-server does not listen".to_owned());
        Self { _process: process, socket }
    }

    pub(crate) fn client(&self) -> Client {
        Client::unix(self.socket())
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}
