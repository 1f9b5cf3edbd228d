//! `psql`, in a transaction.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ground::farm::{BACKEND, CLIENTS};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::process::Process;
use super::{PORT, before, behind, check};

/// The user and group "nobody" of Debian: the server refuses to be root.
const NOBODY: u32 = 65_534;

/// How many rows a transaction inserts.
const ROWS: u32 = 100;

/// A server with a directory of its own, which believes who comes by the network.
struct Postgres {
    process: Process,
    _directory: TempDir,
}

/// The folder of the server's programs: Debian has one for each version.
fn folder() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    folders.filter(|folder| folder.join("initdb").is_file()).max()
}

impl Postgres {
    fn serve(folder: &Path, network: &ground::Network) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        chown(directory.path(), Some(NOBODY), Some(NOBODY)).expect("who has networks may");
        let program = |name: &str| {
            let mut command = Command::new(folder.join(name));
            command.uid(NOBODY).gid(NOBODY).current_dir(directory.path()).arg("-D").arg("data");
            command
        };
        let mut initdb = program("initdb");
        initdb.args(["-U", "postgres", "-A", "trust", "--no-sync", "--locale=C"]);
        let made = initdb.output().expect("it is installed");
        assert!(made.status.success(), "{made:?}");
        let rules = directory.path().join("data/pg_hba.conf");
        fs::write(rules, "host all all all trust\n").expect("it was made");
        let mut postgres = program("postgres");
        let address = behind(PORT);
        postgres.args(["-h", &address.ip().to_string(), "-p", &PORT.to_string()]);
        postgres.args(["-k", "", "-c", "fsync=off"]);
        let ready = "ready to accept connections";
        let process = network.on(BACKEND, || Process::serve(&mut postgres, ready));
        Self { process, _directory: directory }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Asked to be quick it takes its shared memory along, which a killed one
        // leaves behind.
        let pid = i32::try_from(self.process.pid()).expect("the kernel has it so");
        if kill(Pid::from_raw(pid), Signal::SIGINT).is_ok() {
            self.process.until_ended();
        }
    }
}

#[test]
fn psql_commits() {
    let Some(folder) = folder() else {
        assert!(!super::process::are_installed(&["initdb"]));
        return;
    };
    let Some(mut bed) = before(behind(PORT), &["psql"]) else { return };
    let _server = Postgres::serve(&folder, &bed.farm.network);
    check(&mut bed.farm, |trial| {
        let mut command = Command::new("psql");
        command.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]);
        command.args(["-v", "ON_ERROR_STOP=1", "-U", "postgres", "-p", &PORT.to_string()]);
        command.args(["-h", &trial.address().to_string(), "postgres"]);
        command.env("PGSSLMODE", "disable").env("PGGSSENCMODE", "disable");
        let mut psql = trial.farm.network.on(CLIENTS, || Process::start(&mut command));
        psql.tell("drop table if exists items; create table items (n int);");
        psql.tell("begin; select pg_backend_pid();");
        let backend = psql.hear();
        for row in 0..ROWS {
            psql.tell(&format!("insert into items values ({row}) returning n;"));
            if row == ROWS / 2 {
                trial.kill(1);
            }
            assert_eq!(psql.hear(), row.to_string());
        }
        psql.tell("commit; select pg_backend_pid(), count(*), count(distinct n) from items;");
        assert_eq!(psql.hear(), format!("{backend}|{ROWS}|{ROWS}"));
        assert_eq!(psql.finish(), "");
    });
}
