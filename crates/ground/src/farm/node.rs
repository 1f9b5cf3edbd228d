//! One node: a real `segue serve` process.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{FarmError, PATIENCE};
use crate::watch::until;

/// A node's process. Dropped, it crashes: SIGKILL.
#[derive(Debug)]
pub struct Node {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Node {
    /// Starts a node on the calling thread's machine, and waits until it says
    /// that it serves. It dies with that thread.
    pub(super) fn start(program: &Path, name: &str, config: &Path) -> Result<Self, FarmError> {
        let log = config.with_extension("log");
        let file = File::options().create(true).append(true).open(&log);
        let file = file.map_err(FarmError::because("a node's log"))?;
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(config);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        // What overrides the operator's own nodes is not meant for these.
        for (key, _) in std::env::vars_os() {
            if key.to_str().is_some_and(|key| key.starts_with("SEGUE_")) {
                command.env_remove(key);
            }
        }
        sys::process::die_with_parent(&mut command);
        let mut child = command.spawn().map_err(FarmError::because("a node's process"))?;
        let output = child.stdout.take().expect("it is piped");
        let node = Self { child, name: name.to_owned(), log };
        let (sender, said) = mpsc::channel();
        // Reads on for as long as the node lives, so that it never has to wait
        // to be heard.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        match said.recv_timeout(PATIENCE) {
            Ok(line) if line.starts_with("ready ") => Ok(node),
            other => Err(FarmError::Failed {
                what: format!("node {name} is not ready: {other:?}"),
                why: node.logged(),
            }),
        }
    }

    /// The number of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Makes it stand still, whatever comes (SIGSTOP).
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn halt(&self) -> Result<(), FarmError> {
        sys::process::halt(self.pid()).map_err(FarmError::because("SIGSTOP"))
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn go_on(&self) -> Result<(), FarmError> {
        sys::process::go_on(self.pid()).map_err(FarmError::because("SIGCONT"))
    }

    /// The processor time that it has used.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn processor(&self) -> Result<Duration, FarmError> {
        sys::process::cpu_time(self.pid()).map_err(FarmError::because("a node's processor time"))
    }

    /// How much memory it has, in bytes.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn memory_bytes(&self) -> Result<u64, FarmError> {
        sys::process::resident_bytes(self.pid()).map_err(FarmError::because("a node's memory"))
    }

    /// What it and its earlier starts have logged.
    #[must_use]
    pub fn logged(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        format!("--- log of node {} ---\n{log}", self.name)
    }

    /// Waits until it has ended by itself.
    pub(super) fn until_ended(mut self, patience: Duration) -> Result<(), FarmError> {
        let look = || self.child.try_wait().map_err(FarmError::because("a node's end"));
        match until(patience, look)? {
            Some(status) if status.success() => Ok(()),
            ended => {
                let what = format!("node {} should end with 0: {ended:?}", self.name);
                Err(FarmError::Failed { what, why: self.logged() })
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            // A failed test shows what its nodes have logged.
            let _ = writeln!(std::io::stderr(), "{}", self.logged());
        }
    }
}

/// What a node says of itself at its admin address: `/api/status`.
pub(super) fn status(admin: SocketAddr) -> Result<Value, FarmError> {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let host = format!("Host: {admin}\r\nConnection: close");
        write!(stream, "GET /api/status HTTP/1.1\r\n{host}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    let answer = ask().map_err(FarmError::because("a node's status"))?;
    let body = answer.strip_prefix("HTTP/1.1 200 ").and_then(|rest| rest.split_once("\r\n\r\n"));
    let status = body.and_then(|(_, body)| serde_json::from_str(body).ok());
    status.ok_or_else(|| FarmError::Failed { what: "a node's status".to_owned(), why: answer })
}
