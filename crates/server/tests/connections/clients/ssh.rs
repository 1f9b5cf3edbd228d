//! `ssh` and `scp`, through a listener without TLS.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ground::Farm;
use ground::farm::{BACKEND, CLIENTS};

use super::content::Content;
use super::process::{PATIENCE, Process};
use super::{PORT, Trial, before, behind, bytes, check};

/// Where Debian's server wants a directory to be.
const EMPTY: &str = "/run/sshd";

/// The server's program, which has to be called by its whole path.
const SERVER: &str = "/usr/sbin/sshd";

const PROGRAMS: [&str; 4] = ["ssh", "scp", "sshd", "ssh-keygen"];

/// How many lines go both ways.
const LINES: u32 = 100;

/// In how many seconds a file is copied: far longer than killing a node takes.
const SECONDS: u64 = 2;

/// How often a file's length is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// A server with a key of its own, which takes the client's.
fn serve(farm: &Farm) -> Process {
    for name in ["host", "client"] {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(farm.path(name));
        assert!(command.status().expect("it is installed").success());
    }
    fs::create_dir_all(EMPTY).expect("namespaces take root, who may");
    let address = behind(PORT);
    let config = farm.path("sshd_config");
    let text = format!(
        "Port {PORT}\nListenAddress {}\nHostKey {}\nAuthorizedKeysFile {}\nUsePAM no\n\
         StrictModes no\nPidFile none\nPermitRootLogin prohibit-password\n\
         Subsystem sftp internal-sftp\nClientAliveInterval 30\n",
        address.ip(),
        farm.path("host").display(),
        farm.path("client.pub").display(),
    );
    fs::write(&config, text).expect("the directory is there");
    let mut command = Command::new(SERVER);
    command.args(["-D", "-e", "-f"]).arg(config);
    farm.network.on(BACKEND, || Process::serve(&mut command, "Server listening"))
}

/// One of the clients, with what both take.
fn client(trial: &Trial<'_>, program: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
    command.arg("-o").arg(format!("UserKnownHostsFile={}", trial.farm.path("known").display()));
    command.arg("-o").arg(format!("Port={PORT}"));
    command.arg("-i").arg(trial.farm.path("client"));
    command
}

/// Waits until a file has so many bytes.
fn until_long(file: &Path, bytes: u64) {
    let limit = Instant::now() + PATIENCE;
    while fs::metadata(file).map_or(0, |known| known.len()) < bytes {
        assert!(Instant::now() < limit, "{} does not grow", file.display());
        thread::sleep(GLANCE);
    }
}

#[test]
fn scp_copies_both_ways() {
    let Some(mut bed) = before(behind(PORT), &PROGRAMS) else { return };
    let _server = serve(&bed.farm);
    let bytes = bytes();
    let [content, copy] = ["content", "copy"].map(|name| bed.farm.path(name));
    let expected: Vec<u8> = Content::of(bytes).flatten().collect();
    fs::write(&content, &expected).unwrap();
    for up in [true, false] {
        check(&mut bed.farm, |trial| {
            let there = |file: &Path| format!("root@{}:{}", trial.address(), file.display());
            let (from, to) = match up {
                true => (content.display().to_string(), there(&copy)),
                false => (there(&content), copy.display().to_string()),
            };
            let mut command = client(trial, "scp");
            // In kilobits a second.
            command.arg("-l").arg((bytes / SECONDS * 8 / 1_000).to_string()).args([from, to]);
            let _ = fs::remove_file(&copy);
            let mut scp = trial.farm.network.on(CLIENTS, || Process::start(&mut command));
            until_long(&copy, bytes / 2);
            trial.kill(1);
            assert!(scp.runs(), "it was over by then");
            scp.finish();
            assert!(fs::read(&copy).unwrap() == expected, "the copy is the same");
        });
    }
}

#[test]
fn ssh_converses() {
    let Some(mut bed) = before(behind(PORT), &PROGRAMS) else { return };
    let _server = serve(&bed.farm);
    check(&mut bed.farm, |trial| {
        let mut command = client(trial, "ssh");
        command.arg(format!("root@{}", trial.address()));
        command.arg("while read -r line; do echo \"$line and $line\"; done");
        let mut ssh = trial.farm.network.on(CLIENTS, || Process::start(&mut command));
        for line in 0..LINES {
            ssh.tell(&line.to_string());
            if line == LINES / 2 {
                trial.kill(1);
            }
            assert_eq!(ssh.hear(), format!("{line} and {line}"));
        }
        assert_eq!(ssh.finish(), "");
    });
}
