//! Where a page is followed: machines that are loopback addresses of their own, with
//! a directory for what each has under `/etc` and `/var`, and a farm on the first
//! three.
//!
//! A page's addresses and paths become those of a test; ports below 1024 become
//! such as anybody may listen at. Otherwise its text is used as it stands.

use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::http;
use crate::page::{Block, Page};
use crate::patience::{PATIENCE, until};
use crate::process::Process;

/// The last number of the address of each machine that has a node.
pub(crate) const NODES: [u8; 3] = [11, 12, 13];

/// Where clients come from.
const CLIENT: u8 = 99;

/// Where a node's configuration is.
const CONFIGURATION: &str = "/etc/segue/segue.toml";

/// What every node of the pages' farm has, unless a page says it.
const FARM: &str = "
[farm]
keys = [\"farm.key\"]
listen = \"10.0.0.11:7700\"
transport = \"unicast\"
peers = [\"10.0.0.11:7700\", \"10.0.0.12:7700\", \"10.0.0.13:7700\"]
";
const TLS: &str = "\n[tls]\nlisten = \"127.0.0.1:8443\"\n";
const ADMIN: &str = "\n[admin]\nlisten = \"127.0.0.1:9700\"\n";

/// What Debian tells httpd and its tools of where things are.
const HTTPD: [(&str, &str); 6] = [
    ("APACHE_CONFDIR", "/etc/apache2"),
    ("APACHE_STATE_DIRECTORY", "/var/lib/apache2"),
    ("APACHE_RUN_DIR", "/var"),
    ("APACHE_LOCK_DIR", "/var"),
    ("APACHE_PID_FILE", "/var/httpd.pid"),
    ("APACHE_LOG_DIR", "/var/log/apache2"),
];

/// What stands in for a machine's own: whose programs look in `/etc`, and whose
/// users there are.
const STAND_INS: &str = r#"
set -euo pipefail
nginx() { command nginx -p "$ROOT" -c "$ROOT/etc/nginx/nginx.conf" "$@"; }
apache2ctl() { command apache2 -t -d "$APACHE_CONFDIR" -f "$APACHE_CONFDIR/apache2.conf"; }
install() { [ "$1 $3" = "-o -g" ] && command install "${@:5}"; }
curl() { command curl --interface "$CLIENT" "$@"; }
segue() {
  case $1 in
    sessions | status) command segue "$@" --admin "http://$ADMIN" ;;
    *) command segue "$@" ;;
  esac
}
"#;

/// The machines of a test.
pub(crate) struct Machines {
    directory: TempDir,
    /// What the addresses of all of them begin with.
    network: String,
    nodes: Vec<Process>,
}

impl Machines {
    /// Machines with a farm's key and certificate, where nothing runs.
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("segue-how-to-").tempdir();
        let directory = directory.expect("a place for files");
        let machines = Self { directory, network: network(), nodes: Vec::new() };
        let made = rcgen::generate_simple_self_signed(["shop.example".to_owned()]);
        let made = made.expect("the name is well formed");
        let key = machines.directory.path().join("farm.key");
        let keygen = Command::new(segue()).arg("keygen").arg("--out").arg(&key).output();
        assert!(keygen.expect("segue runs").status.success());
        for machine in NODES {
            machines.write(machine, "/etc/segue/cert.pem", &made.cert.pem());
            machines.write(machine, "/etc/segue/key.pem", &made.signing_key.serialize_pem());
            machines.write(machine, "/var/www/html/index.html", "the shop\n");
            machines.write(machine, "/var/log/apache2/none", "");
            fs::copy(&key, machines.path(machine, "/etc/segue/farm.key")).expect("files of ours");
        }
        // Servers that root starts give root away.
        let open = Permissions::from_mode(0o755);
        fs::set_permissions(machines.directory.path(), open).expect("it is ours");
        machines
    }

    /// A machine's file.
    pub(crate) fn path(&self, machine: u8, path: &str) -> PathBuf {
        PathBuf::from(format!("{}{path}", self.root(machine).display()))
    }

    fn root(&self, machine: u8) -> PathBuf {
        self.directory.path().join(machine.to_string())
    }

    /// Writes a file of a machine.
    pub(crate) fn write(&self, machine: u8, path: &str, text: &str) {
        let path = self.path(machine, path);
        fs::create_dir_all(path.parent().expect("it is in a directory")).expect("a place of ours");
        fs::write(path, text).expect("a file of ours");
    }

    /// A page's text as it holds for a machine.
    pub(crate) fn placed(&self, machine: u8, text: &str) -> String {
        let own = format!("{}.{machine}", self.network);
        let root = self.root(machine);
        // What a page says of the first node's machine holds for each in its turn.
        let text = text.replace("= \"10.0.0.11:", &format!("= \"{own}:"));
        // An address without a port is whom somebody comes from: of loopback's, all
        // come from the first.
        text.replace("127.0.0.1:", &format!("{own}:"))
            .replace("10.0.0.", &format!("{}.", self.network))
            .replace(":443", ":4430")
            .replace(".11/", ".11:4430/")
            .replace("/etc/", &format!("{}/etc/", root.display()))
            .replace("/var/", &format!("{}/var/", root.display()))
    }

    /// Where clients come from.
    pub(crate) fn client(&self) -> String {
        format!("{}.{CLIENT}", self.network)
    }

    /// Follows the steps of a page at a machine: writes the files and runs the
    /// commands. A service that is to be started again is so by the caller.
    pub(crate) fn follow(&self, machine: u8, steps: &[Block]) {
        for block in steps {
            if block.is_file() && block.name.starts_with('/') {
                let before = self.before(machine, &block.name);
                let text = before + &self.placed(machine, &block.text);
                self.write(machine, &block.name, &text);
            }
            for command in block.commands() {
                match command.split(' ').next() {
                    Some("systemctl" | "phpenmod") => {}
                    _ => drop(self.run(machine, &command)),
                }
            }
        }
    }

    /// What there is already of a file that a page adds to.
    fn before(&self, machine: u8, name: &str) -> String {
        match name {
            CONFIGURATION => {
                let name = char::from(b'a' + (machine - NODES[0]));
                let text = fs::read_to_string(self.path(machine, CONFIGURATION)).ok();
                text.unwrap_or_else(|| {
                    format!("[node]\nname = \"{name}\"\n{}", self.placed(machine, FARM))
                })
            }
            name => fs::read_to_string(self.path(machine, name)).unwrap_or_default(),
        }
    }

    /// Runs a command of a page at a machine: what it prints.
    pub(crate) fn run(&self, machine: u8, command: &str) -> String {
        let script = format!("{STAND_INS}\n{}", self.placed(machine, command));
        let directory = segue().parent().expect("it is in a directory").to_owned();
        let path = std::env::var("PATH").unwrap_or_default();
        let output = self
            .command(machine, "bash")
            .args(["-c", &script])
            .env("PATH", format!("{}:{path}", directory.display()))
            .output()
            .expect("bash is installed");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {said}{complaints}");
        said
    }

    /// A program at a machine, in its directory.
    pub(crate) fn command(&self, machine: u8, program: &str) -> Command {
        let mut command = Command::new(program);
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for name in names.filter(|name| name.starts_with("SEGUE_")) {
            command.env_remove(name);
        }
        let root = self.root(machine);
        command
            .current_dir(&root)
            .env("ROOT", &root)
            .env("CLIENT", self.client())
            .env("ADMIN", self.placed(machine, "127.0.0.1:9700"))
            .env("APACHE_RUN_USER", "www-data")
            .env("APACHE_RUN_GROUP", "www-data");
        for (name, path) in HTTPD {
            command.env(name, self.path(machine, path));
        }
        command
    }

    /// Starts a node on each machine that has one, with what the page had it write,
    /// and waits until they are a farm.
    pub(crate) fn start_nodes(&mut self) {
        for machine in NODES {
            let config = self.path(machine, CONFIGURATION);
            let mut text = fs::read_to_string(&config).expect("the page says what is in it");
            for (section, default) in [("[tls]", TLS), ("[admin]", ADMIN)] {
                if !text.contains(section) {
                    text += &self.placed(machine, default);
                }
            }
            fs::write(&config, text).expect("a file of ours");
            let mut command = self.command(machine, &segue().display().to_string());
            self.nodes.push(Process::start(command.args(["serve", "--config"]).arg(&config)));
        }
        for machine in NODES {
            let admin = self.placed(machine, "127.0.0.1:9700");
            until(|| (voters(&admin)? == 3).then_some(()), || format!("no farm at {admin}"));
        }
    }

    /// Ends the first machine's node without a word.
    pub(crate) fn kill_the_first(&mut self) {
        drop(self.nodes.remove(0));
    }
}

/// The program.
pub(crate) fn segue() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_segue"))
}

/// Starts a page's server, which is to be there before the test goes on.
pub(crate) fn serve(command: &mut Command, address: &str) -> Process {
    let mut process = Process::start(command);
    let listens = || {
        assert!(process.runs(), "{command:?} ended");
        TcpStream::connect(address).ok()
    };
    until(listens, || format!("{command:?} does not listen at {address}"));
    process
}

/// How many voters a node knows to be alive.
fn voters(admin: &str) -> Option<u64> {
    let stream = TcpStream::connect(admin).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let body = http::get(stream, admin, "/api/status").ok()?;
    let status: Value = serde_json::from_str(&body).ok()?;
    status.pointer("/one_answer/voters_alive").and_then(Value::as_u64)
}

/// The first three numbers of addresses that no other test has: of the process and of
/// its tests, as many as there are networks.
pub(crate) fn network() -> String {
    static TESTS: AtomicU32 = AtomicU32::new(0);
    let test = TESTS.fetch_add(1, Ordering::Relaxed);
    let number = std::process::id().wrapping_mul(32).wrapping_add(test) % (200 * 250);
    format!("127.{}.{}", 16 + number / 250, number % 250)
}

/// Follows a page on all machines that have a node, up to a farm that runs.
pub(crate) fn followed(page: &Page, heading: &str) -> Machines {
    let mut machines = Machines::new();
    for machine in NODES {
        machines.follow(machine, &page.under(heading));
    }
    machines.start_nodes();
    machines
}
