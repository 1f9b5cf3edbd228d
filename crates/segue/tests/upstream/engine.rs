//! A real `redis-server`, on loopback, with a directory of its own; and three
//! of them as a Cluster.

use std::fs::File;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Far longer than anything takes on a busy machine, as only a failing test
/// waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An engine. Dropped, it is killed.
pub(crate) struct Engine {
    process: Child,
    port: u16,
    directory: TempDir,
    options: Vec<String>,
}

impl Engine {
    /// Starts one on a port that is free, with these further options.
    pub(crate) fn start(options: &[&str]) -> Self {
        // Another process may take the port before the engine does.
        loop {
            if let Some(engine) = Self::start_at(free_port(), options) {
                return engine;
            }
        }
    }

    /// Starts one on this port; none if the port is taken.
    pub(crate) fn start_at(port: u16, options: &[&str]) -> Option<Self> {
        let directory = tempfile::Builder::new().prefix("segue-redis-").tempdir();
        let directory = directory.expect("a directory for the engine");
        let options = options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>();
        let process = spawn(port, &directory, &options);
        let mut engine = Self { process, port, directory, options };
        engine.serves().then_some(engine)
    }

    /// Waits until it answers; not if it ended, as it does when the port is
    /// taken.
    fn serves(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        while self.process.try_wait().expect("it is our child").is_none() {
            let ping = self.try_connection().and_then(|mut connection| {
                // With a password it answers that it wants one.
                match redis::cmd("PING").query::<String>(&mut connection) {
                    Err(error) if error.is_io_error() => Err(error),
                    Ok(_) | Err(_) => Ok(()),
                }
            });
            let wants_password = ping.as_ref().is_err_and(|error| !error.is_io_error());
            if ping.is_ok() || wants_password {
                return true;
            }
            assert!(Instant::now() < until, "the engine does not serve: {}", self.logged());
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Kills it, and starts it anew on the same port: it has forgotten all.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.process = spawn(self.port, &self.directory, &self.options);
        assert!(self.serves(), "it had the port before: {}", self.logged());
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// SIGSTOP.
    pub(crate) fn halt(&self) {
        sys::process::halt(self.process.id()).expect("it lives");
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self) {
        sys::process::go_on(self.process.id()).expect("it lives");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection past Segue.
    pub(crate) fn connection(&self) -> redis::Connection {
        self.try_connection().expect("the engine serves")
    }

    fn try_connection(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.url())?.get_connection_with_timeout(PATIENCE)
    }

    /// Asks it something, in words.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &str) -> T {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().expect("a command"));
        for word in words {
            command.arg(word);
        }
        command.query(&mut self.connection()).expect("the engine does as told")
    }

    /// Every name and value that it has.
    pub(crate) fn all(&self) -> Vec<(String, Vec<u8>)> {
        let names: Vec<String> = self.ask("KEYS *");
        let value = |name: &String| self.ask::<Vec<u8>>(&format!("GET {name}"));
        names.iter().map(|name| (name.clone(), value(name))).collect()
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, directory: &TempDir, options: &[String]) -> Child {
    let log = File::create(directory.path().join("log")).expect("a log");
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .arg("--dir")
        .arg(directory.path())
        .args(options)
        .stdin(Stdio::null())
        .stderr(log.try_clone().expect("a log"))
        .stdout(log);
    sys::process::die_with_parent(&mut command);
    command.spawn().unwrap_or_else(|error| {
        let is_missing = error.kind() == ErrorKind::NotFound;
        let remedy =
            if is_missing { "this test needs it; Debian: apt install redis-server" } else { "" };
        panic!("the `redis-server` command: {error}; {remedy}")
    })
}

/// A port that nobody had a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    listener.local_addr().expect("it is bound").port()
}

/// Three masters with a third of the slots each. What is left of it serves on
/// when one is lost.
pub(crate) struct Cluster {
    pub(crate) masters: Vec<Engine>,
}

/// All slots of a Cluster.
const SLOTS: usize = 16_384;

impl Cluster {
    pub(crate) fn start() -> Self {
        let options = |bus: &str| {
            ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"]
                .into_iter()
                .chain(["--cluster-node-timeout", "1000", "--cluster-port", bus])
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let master = || loop {
            let options = options(&free_port().to_string());
            let options: Vec<_> = options.iter().map(String::as_str).collect();
            if let Some(engine) = Engine::start_at(free_port(), &options) {
                return engine;
            }
        };
        let cluster = Self { masters: (0..3).map(|_| master()).collect() };
        for (at, master) in cluster.masters.iter().enumerate() {
            let (first, last) = (at * SLOTS / 3, (at + 1) * SLOTS / 3 - 1);
            master.ask::<()>(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"));
            master.ask::<()>(&format!("CLUSTER SET-CONFIG-EPOCH {}", at + 1));
        }
        let first = &cluster.masters[0];
        for other in &cluster.masters[1..] {
            let bus: Vec<String> = other.ask("CONFIG GET cluster-port");
            first.ask::<()>(&format!("CLUSTER MEET 127.0.0.1 {} {}", other.port, bus[1]));
        }
        let until = Instant::now() + PATIENCE;
        let is_whole = |master: &Engine| {
            let info = master.ask::<String>("CLUSTER INFO");
            ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_known_nodes:3"]
                .iter()
                .all(|line| info.contains(line))
        };
        while !cluster.masters.iter().all(is_whole) {
            assert!(Instant::now() < until, "the Cluster does not meet");
            thread::sleep(Duration::from_millis(5));
        }
        cluster
    }

    pub(crate) fn url(&self) -> String {
        let hosts = self.masters.iter().map(|master| format!("127.0.0.1:{}", master.port));
        format!("redis-cluster://{}", hosts.collect::<Vec<_>>().join(","))
    }
}
