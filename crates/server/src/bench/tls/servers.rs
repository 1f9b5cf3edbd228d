//! The servers that are measured: processes that cannot outlive this one.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command as StdCommand, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::demo::{Ground, Node};

/// How long a server may take to start: one fills a cache first.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a server that does not say when it serves is tried.
const GLANCE: Duration = Duration::from_millis(10);

/// Where Debian has nginx, for those who have no such directory in their path.
const NGINX: [&str; 2] = ["nginx", "/usr/sbin/nginx"];

/// A server that runs.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pid: u32,
    /// Killed when dropped; a node is its farm's.
    _process: Option<Child>,
}

impl Server {
    /// A node of a farm.
    pub(super) fn node(node: &Node) -> anyhow::Result<Self> {
        let pid = node.pid().context("the node has ended")?;
        Ok(Self { address: node.tls(), pid, _process: None })
    }

    /// This program as a peer ([`super::peer`]).
    pub(super) async fn peer(ground: &Ground, holding: Option<u64>) -> anyhow::Result<Self> {
        let mut command = StdCommand::new(std::env::current_exe()?);
        command.arg("bench-peer").arg(ground.path(""));
        if let Some(sessions) = holding {
            command.args(["--holding", &sessions.to_string()]);
        }
        let mut process = spawn(command, Stdio::piped())?;
        let out = process.stdout.take().expect("standard output is piped");
        let line = timeout(PATIENCE, BufReader::new(out).lines().next_line()).await??;
        let address = line.context("the peer did not start")?.parse()?;
        Self::new(process, address)
    }

    /// Nginx, if it is installed: one process, sessions in its shared cache.
    pub(super) async fn nginx(ground: &Ground) -> anyhow::Result<Option<Self>> {
        // Nginx takes no port of the kernel's choice. One that was free a
        // moment ago will do.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let configuration = ground.path("nginx.conf");
        fs::write(&configuration, nginx_configuration(ground, address))?;
        for program in NGINX {
            let mut command = StdCommand::new(program);
            command.arg("-c").arg(&configuration).arg("-e").arg(ground.path("nginx.log"));
            match spawn(command, Stdio::null()) {
                Ok(process) => {
                    let connected = timeout(PATIENCE, until_connected(address)).await;
                    connected.context("nginx does not serve")?;
                    return Self::new(process, address).map(Some);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => bail!("nginx: {error}"),
            }
        }
        Ok(None)
    }

    /// The processor time that it has used so far.
    pub(super) fn processor_time(&self) -> io::Result<Duration> {
        sys::process::cpu_time(self.pid)
    }

    fn new(process: Child, address: SocketAddr) -> anyhow::Result<Self> {
        let pid = process.id().context("the server has ended")?;
        Ok(Self { address, pid, _process: Some(process) })
    }
}

fn spawn(mut command: StdCommand, stdout: Stdio) -> io::Result<Child> {
    command.stdin(Stdio::null()).stdout(stdout);
    sys::process::die_with_parent(&mut command);
    Command::from(command).kill_on_drop(true).spawn()
}

async fn until_connected(address: SocketAddr) {
    while TcpStream::connect(address).await.is_err() {
        sleep(GLANCE).await;
    }
}

/// One process, with the key exchange that the visitors offer, and one ticket
/// as the others give.
fn nginx_configuration(ground: &Ground, address: SocketAddr) -> String {
    let directory = ground.path("");
    let directory = directory.display();
    format!(
        "daemon off; master_process off; pid {directory}/nginx.pid;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519:prime256v1;
  ssl_session_cache shared:sessions:16m;
  ssl_certificate {directory}/cert.pem; ssl_certificate_key {directory}/key.pem;
  server {{ listen {address} ssl; return 204; }}
}}
"
    )
}
