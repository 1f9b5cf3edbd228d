//! A real server on a unix socket in a directory of its own. It knows how one
//! is started, asked and ended, and nothing of what is said.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Far longer than anything takes on a busy machine, as only a failing test
/// waits that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server. Dropped, it is killed.
pub(crate) struct Peer {
    process: Child,
    directory: TempDir,
}

impl Peer {
    /// Redis, with these further options.
    pub(crate) fn redis(options: &[&str]) -> Self {
        let options = [&["--save", "", "--appendonly", "no", "--port", "0"], options].concat();
        Self::start("redis-server", "--unixsocket", &options)
    }

    /// memcached.
    pub(crate) fn memcached() -> Self {
        // As root it wants to be told whom to run as.
        Self::start("memcached", "-s", &["-u", "root"])
    }

    fn start(program: &str, socket: &str, options: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("segue-peer-").tempdir();
        let directory = directory.expect("a directory for the server");
        let mut command = Command::new(program);
        command
            .args(options)
            .arg(socket)
            .arg(directory.path().join("socket"))
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        sys::process::die_with_parent(&mut command);
        let process = command.spawn().unwrap_or_else(|error| {
            let is_missing = error.kind() == ErrorKind::NotFound;
            let remedy =
                if is_missing { "; this test needs it: .ci/packages installs it" } else { "" };
            panic!("the `{program}` command: {error}{remedy}")
        });
        let mut peer = Self { process, directory };
        let until = Instant::now() + PATIENCE;
        while let Err(error) = peer.connection() {
            let ended = peer.process.try_wait().expect("it is our child");
            assert!(ended.is_none(), "`{program}` ended: {ended:?}");
            assert!(Instant::now() < until, "`{program}` does not serve: {error}");
            // It tells nobody when it listens.
            thread::sleep(Duration::from_millis(5));
        }
        peer
    }

    /// All that it answers to these bytes, after which nothing more comes.
    pub(crate) fn answers(&self, bytes: &[u8]) -> Vec<u8> {
        let mut connection = self.connection().expect("it serves");
        connection.set_read_timeout(Some(PATIENCE)).expect("a socket has time-outs");
        // A server that has closed takes no more, and says why before.
        let _ = connection.write_all(bytes);
        let _ = connection.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match connection.read(&mut buffer) {
                Ok(0) => return answer,
                Ok(len) => answer.extend_from_slice(&buffer[..len]),
                // What it has not read is thrown away with the connection.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return answer,
                Err(error) => panic!("it answers: {error}"),
            }
        }
    }

    /// A connection to it.
    pub(crate) fn connection(&self) -> std::io::Result<UnixStream> {
        UnixStream::connect(self.directory.path().join("socket"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
