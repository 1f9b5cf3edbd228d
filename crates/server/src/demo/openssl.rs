//! A foreign client: the `openssl` command, where it is installed. What it
//! accepts as resumed, no code of ours has decided.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::client::Version;
use super::ground::{Ground, SERVER_NAME};

/// How long a visit may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// `openssl s_client` with a session of its own.
#[derive(Debug)]
pub(crate) struct OpenSsl {
    version: Version,
    authority: PathBuf,
    session: PathBuf,
}

impl OpenSsl {
    /// Whether the command is there to be run.
    pub(crate) async fn is_installed() -> bool {
        let version = Command::new("openssl")
            .arg("version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        version.await.is_ok_and(|status| status.success())
    }

    /// A client without a session.
    pub(crate) fn new(version: Version, ground: &Ground) -> Self {
        let session = match version {
            Version::Tls12 => "openssl.1.2.session",
            Version::Tls13 => "openssl.1.3.session",
        };
        Self { version, authority: ground.path("ca.pem"), session: ground.path(session) }
    }

    /// The version that it speaks.
    pub(crate) const fn version(&self) -> Version {
        self.version
    }

    /// Shakes hands with the server at `address`, with its session if it has
    /// one. Gives whether that was resumed.
    pub(crate) async fn visit(&self, address: SocketAddr) -> anyhow::Result<bool> {
        let output = timeout(PATIENCE, self.exchange(address))
            .await
            .with_context(|| format!("openssl and {address}: no end within {PATIENCE:?}"))??;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "openssl and {address}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        if said.contains("\nReused, ") {
            Ok(true)
        } else if said.contains("\nNew, ") {
            Ok(false)
        } else {
            bail!("openssl says neither \"New\" nor \"Reused\" of {address}");
        }
    }

    async fn exchange(&self, address: SocketAddr) -> anyhow::Result<Output> {
        let mut command = std::process::Command::new("openssl");
        command
            .args(["s_client", "-ign_eof", "-verify_return_error"])
            .args(["-connect", &address.to_string(), "-servername", SERVER_NAME])
            .arg("-CAfile")
            .arg(&self.authority)
            .arg("-sess_out")
            .arg(&self.session)
            .args(match self.version {
                Version::Tls12 => ["-tls1_2", "-no_ticket"].as_slice(),
                Version::Tls13 => &["-tls1_3"],
            });
        if self.session.exists() {
            command.arg("-sess_in").arg(&self.session);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        sys::process::die_with_parent(&mut command);
        let mut command = Command::from(command);
        let mut child = command.kill_on_drop(true).spawn().context("openssl")?;
        // Tickets come with the answer, so there must be a question.
        let question =
            format!("GET /session HTTP/1.1\r\nHost: {SERVER_NAME}\r\nConnection: close\r\n\r\n");
        let mut stdin = child.stdin.take().expect("standard input is piped");
        stdin.write_all(question.as_bytes()).await?;
        let output = child.wait_with_output().await?;
        drop(stdin);
        Ok(output)
    }
}
