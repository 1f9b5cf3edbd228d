//! A foreign client: the `openssl` command.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::nodes::SERVER_NAME;

/// A version of TLS, as an option of `openssl s_client`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

impl Version {
    pub(crate) const BOTH: [Self; 2] = [Self::Tls12, Self::Tls13];

    /// TLS 1.2 without its tickets: sessions are kept by id.
    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Tls12 => &["-tls1_2", "-no_ticket"],
            Self::Tls13 => &["-tls1_3"],
        }
    }
}

/// A client with a memory of its own for one session.
pub(crate) struct Openssl {
    memory: TempDir,
    version: Version,
    options: Vec<String>,
}

/// What a visit came to.
#[derive(Debug)]
pub(crate) struct Visit {
    /// Whether the client says that its session was reused.
    pub(crate) reused: bool,
    /// Whether the client says that its early data was accepted.
    pub(crate) early_data_accepted: bool,
    /// What the node's page says of the session; nothing if the handshake
    /// failed.
    pub(crate) session: Option<Value>,
    /// All that the command said.
    pub(crate) said: String,
}

impl Openssl {
    pub(crate) fn new(version: Version) -> Self {
        let memory = TempDir::new().unwrap();
        Self { memory, version, options: Vec::new() }
    }

    /// With an option of `s_client` and its value.
    pub(crate) fn with(mut self, option: &str, value: impl AsRef<Path>) -> Self {
        let value = value.as_ref().to_str().expect("paths of tests are text");
        self.options.extend([option.to_owned(), value.to_owned()]);
        self
    }

    /// That accepts no certificate but the one in `file`.
    pub(crate) fn that_trusts(mut self, file: impl AsRef<Path>) -> Self {
        self.options.push("-verify_return_error".to_owned());
        self.with("-CAfile", file)
    }

    /// Begins a session with a node, and remembers it.
    pub(crate) fn begin(&self, node: SocketAddr) -> Visit {
        self.begin_as(node, SERVER_NAME)
    }

    /// Begins a session with a server of another name, and remembers it.
    pub(crate) fn begin_as(&self, node: SocketAddr, server_name: &str) -> Visit {
        self.visit(node, server_name, "-sess_out")
    }

    /// Begins a session with a node by saying something, and remembers it.
    pub(crate) fn say(&self, node: SocketAddr, request: &str) {
        self.run(node, SERVER_NAME, (&["-sess_out"], request));
    }

    /// Offers the session that it remembers to a node.
    pub(crate) fn go_on(&self, node: SocketAddr) -> Visit {
        self.go_on_as(node, SERVER_NAME)
    }

    /// Offers the session that it remembers to a server of another name.
    pub(crate) fn go_on_as(&self, node: SocketAddr, server_name: &str) -> Visit {
        self.visit(node, server_name, "-sess_in")
    }

    /// Offers the session that it remembers to a node, with a request before the
    /// handshake, and with what it says after it.
    pub(crate) fn go_on_early(&self, node: SocketAddr, request: &str, later: &str) -> Visit {
        let early = self.memory.path().join("early");
        std::fs::write(&early, request).unwrap();
        let early = early.to_str().expect("paths of tests are text");
        self.run(node, SERVER_NAME, (&["-early_data", early, "-sess_in"], later))
    }

    fn session(&self) -> PathBuf {
        self.memory.path().join("session.pem")
    }

    fn visit(&self, node: SocketAddr, server_name: &str, memory: &str) -> Visit {
        self.run(node, server_name, (&[memory], &session_of(server_name)))
    }

    /// Runs the command with options, of which the last is what is to be done with
    /// its memory, and has it say something.
    fn run(&self, node: SocketAddr, server_name: &str, (options, said): (&[&str], &str)) -> Visit {
        let mut command = Command::new("openssl");
        command
            .args(["s_client", "-ign_eof", "-servername", server_name])
            .args(["-connect", &node.to_string()])
            .args(self.version.options())
            .args(&self.options)
            .args(options)
            .arg(self.session())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| {
            let is_missing = error.kind() == ErrorKind::NotFound;
            let remedy =
                if is_missing { "this test needs it; Debian: apt install openssl" } else { "" };
            panic!("the `openssl` command: {error}; {remedy}")
        });
        // A client that was refused may have gone before it read this.
        let _ = process.stdin.take().expect("it is piped").write_all(said.as_bytes());
        let output = process.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        Visit::read(String::from_utf8_lossy(&said).into_owned())
    }
}

/// A request for what a node says of the session.
pub(crate) fn session_of(server_name: &str) -> String {
    format!("GET /session HTTP/1.1\r\nHost: {server_name}\r\nConnection: close\r\n\r\n")
}

impl Visit {
    fn read(said: String) -> Self {
        let reused = said.lines().any(|line| line.starts_with("Reused, "));
        let early_data_accepted = said.contains("Early data was accepted");
        // The page has no line of its own: the command goes on behind it.
        let page = said.find("{\"node\"").map(|start| &said[start..]);
        let session =
            page.and_then(|page| serde_json::Deserializer::from_str(page).into_iter().next()?.ok());
        Self { reused, early_data_accepted, session, said }
    }

    /// What the node says of the session.
    ///
    /// # Panics
    ///
    /// When there was no handshake, or the two sides do not agree on whether
    /// the session was reused.
    pub(crate) fn session(&self) -> &Value {
        let session = self.session.as_ref().unwrap_or_else(|| panic!("no page: {}", self.said));
        assert_eq!(session["resumed"], self.reused, "{}", self.said);
        session
    }
}
