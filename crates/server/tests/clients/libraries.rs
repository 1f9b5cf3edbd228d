//! Client libraries by themselves: a program that has a connection to each of two
//! nodes, and checks most of what it is answered itself.

use std::process::Command;

use crate::bed::Bed;
use crate::node::{Node, RedisServer, directory};
use crate::parts;
use crate::process::Process;

/// A program does its work at one node, which is killed, and goes on at another.
fn check(program: Option<Command>) {
    let Some(mut command) = program else { return };
    let mut bed = Bed::new();
    let mut program = Process::start(command.args([bed.url(0), bed.url(1)]));
    assert_eq!(program.hear(), "ready");
    bed.kill_the_first();
    program.tell("killed");
    assert_eq!(program.hear(), "ada: tea");
    let said = program.hear();
    assert!(said == "ada: tea jam" || said == "ada: jam tea", "{said}");
    assert_eq!(program.finish(), "");
}

#[test]
fn ioredis_goes_on() {
    check(parts::node("ioredis.js"));
}

#[test]
fn redis_py_and_its_lock_go_on() {
    check(parts::python("redis_py.py"));
}

#[test]
fn fred_goes_on() {
    check(parts::rust("fred"));
}

#[test]
fn laravel_its_locks_and_its_limiters_go_on() {
    check(parts::laravel("laravel.php"));
}

#[test]
fn laravels_scripts_do_what_an_interpreter_does() {
    let directory = directory();
    let said = |host: &str, port: &str| {
        let mut program = parts::laravel("laravel_scripts.php")?;
        let done = program.args([host, port]).output().expect("it is installed");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}{wrong}");
        Some(said)
    };
    let redis = RedisServer::start(directory.path());
    let socket = redis.socket().to_str().expect("a path of ours");
    let Some(theirs) = said(socket, "0") else { return };
    assert!(theirs.lines().count() > 40, "{theirs}");
    let node = Node::start(directory.path(), "a", "");
    let (host, port) = node.redis.rsplit_once(':').expect("an address");
    assert_eq!(said(host, port), Some(theirs));
}
