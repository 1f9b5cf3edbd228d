//! Client libraries by themselves: a program that has a connection to each of two
//! nodes, and checks most of what it is answered itself.

use std::process::Command;

use crate::bed::Bed;
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
