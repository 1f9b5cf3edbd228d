//! `redis-benchmark`: many connections, and each command is carried out once.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::Command;

use ground::farm::{BACKEND, CLIENTS};

use super::process::Process;
use super::{PORT, before, behind, check};

/// How many connections there are.
const CONNECTIONS: u64 = 20;

/// How many commands go over all of them: some seconds of work.
const COMMANDS: u64 = 100_000;

/// What the benchmark counts up.
const COUNTER: &str = "counter:__rand_int__";

/// A connection to the server that goes by no node.
struct Beside(BufReader<TcpStream>);

impl Beside {
    /// Asks for a line.
    fn ask(&mut self, command: &str) -> String {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).expect("it is there");
        let mut line = String::new();
        self.0.read_line(&mut line).expect("it answers");
        line.trim().to_owned()
    }

    /// How far the counter is.
    fn count(&mut self) -> u64 {
        // Answered by a length and a text; or by none, as "$-1".
        if self.ask(&format!("GET {COUNTER}")) == "$-1" {
            return 0;
        }
        let mut line = String::new();
        self.0.read_line(&mut line).expect("it answers");
        line.trim().parse().expect("it is a number")
    }
}

#[test]
fn redis_benchmark_counts() {
    let Some(mut bed) = before(behind(PORT), &["redis-server", "redis-benchmark"]) else {
        return;
    };
    let mut command = Command::new("redis-server");
    command.args(["--bind", &behind(PORT).ip().to_string(), "--port", &PORT.to_string()]);
    command.args(["--save", "", "--protected-mode", "no", "--dir"]).arg(bed.farm.path("."));
    let ready = "Ready to accept connections";
    let network = &bed.farm.network;
    let _server = network.on(BACKEND, || Process::serve(&mut command, ready));
    let beside = network.on(BACKEND, || TcpStream::connect(behind(PORT))).unwrap();
    let mut beside = Beside(BufReader::new(beside));
    check(&mut bed.farm, |trial| {
        beside.ask(&format!("DEL {COUNTER}"));
        let mut command = Command::new("redis-benchmark");
        command.args(["-h", &trial.address().to_string(), "-p", &PORT.to_string()]);
        command.args(["-c", &CONNECTIONS.to_string(), "-n", &COMMANDS.to_string()]);
        command.args(["-t", "incr", "--csv"]);
        let benchmark = trial.farm.network.on(CLIENTS, || Process::start(&mut command));
        while beside.count() < COMMANDS / 4 {}
        trial.kill(CONNECTIONS);
        assert!(beside.count() < COMMANDS, "it was over by then");
        assert!(benchmark.finish().contains("INCR"));
        assert_eq!(beside.count(), COMMANDS);
    });
}
