//! A member that stands still: nobody waits for it, and it loses nothing.

use segue::MemberState;
use serde_json::Value;
use toml::Table;

use crate::nodes::{Farm, Node};
use crate::patience::{say, until};
use crate::writer::Writer;

/// How many records there are. Each is written again and again.
const RECORDS: u64 = 10_000;

/// How many packets a sender keeps for repair.
const RING_PACKETS: u64 = (32 << 20) / 1_400;

/// How many keys of its packets a sender remembers.
const LOGGED_KEYS: u64 = 1 << 20;

/// What is written in a round: so many bytes, and the round.
fn value(bytes: usize, round: u64) -> Vec<u8> {
    let mut value = vec![7; bytes];
    value[..8].copy_from_slice(&round.to_be_bytes());
    value
}

/// Writes rounds of records of so many bytes, until they are `enough` and the
/// writer's figures say that `stopped` held everybody back, does so no more,
/// and is taken for dead. Gives the last round.
fn write_on(writer: &Writer, stopped: &str, bytes: usize, enough: impl Fn(u64) -> bool) -> u64 {
    let mut round = 0;
    let write_and_look = || {
        round += 1;
        writer.write(0..RECORDS, &value(bytes, round));
        let dead = |member: &segue::Member| member.state == MemberState::Dead;
        let is_shown = writer.status().multicast.stalled > 0
            && writer.member(stopped).as_ref().is_some_and(dead);
        (is_shown && enough(round)).then_some(round)
    };
    until(write_and_look, || format!("{:#?}", writer.status()))
}

/// What a node's figures say of another.
fn member<'a>(status: &'a Value, name: &str) -> &'a Value {
    let members = status["members"].as_array().unwrap();
    members.iter().find(|member| member["name"] == name).unwrap()
}

/// Stops node b while everybody writes on; then it has to come back to all
/// that the others hold, and the figures to tell the story.
fn stop_and_go_on(bytes: usize, enough: impl Fn(&Writer, u64) -> bool) {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let b = farm.start("b", &Table::new());
    let writer = Writer::join(&farm, "writer", 0.0);
    writer.until_it_knows(2);
    writer.write(0..RECORDS, &value(bytes, 0));
    writer.write_everywhere(0, &value(bytes, 0));

    b.halt();
    let last = write_on(&writer, "b", bytes, |round| enough(&writer, round));
    a.until_status(|status| member(status, "b")["state"] == "dead");
    // Without b every live node has it.
    writer.write_everywhere(RECORDS, &value(bytes, last));
    b.go_on();
    writer.until_it_knows(2);
    // Confirmed by b as well, which confirms nothing above a hole.
    writer.write_everywhere(RECORDS + 1, &value(bytes, last));
    tell(&writer, &a, &b);

    // Who joins with nobody else there gets what b holds.
    drop((a, writer));
    b.until_status(|status| member(status, "writer")["state"] != "alive");
    let reader = Writer::join(&farm, "reader", 0.0);
    for number in 0..RECORDS + 2 {
        assert!(reader.value(number) == Some(value(bytes, last)), "record {number}");
    }
}

/// What the figures have to say once b is back.
fn tell(writer: &Writer, a: &Node, b: &Node) {
    let status = b.until_status(|status| status["multicast"]["overflowed"] != 0);
    let multicast = &status["multicast"];
    let (unrecovered, overflowed) = (&multicast["unrecovered"], &multicast["overflowed"]);
    say(&format!(
        "b was too slow for {overflowed} packets, {unrecovered} of which were past repair; {} \
         packets were sent",
        writer.status().multicast.sent_packets
    ));
    assert!(unrecovered.as_u64().unwrap() > 0, "{multicast:#}");
    assert_eq!(multicast["rejected"]["forged"], 0, "{multicast:#}");
    assert_eq!(multicast["rejected"]["malformed"], 0, "{multicast:#}");
    // It stood still itself: that was no silence of the others.
    assert!(!b.logged().contains("is silent"), "{}", b.logged());
    // The others tell it from a network that loses packets.
    let told = |status: &Value| member(status, "b")["overflowed"] != 0;
    let status = a.until_status(told);
    assert_eq!(member(&status, "writer")["overflowed"], 0, "{status:#}");
    let told = || writer.member("b").filter(|b| b.overflowed > 0 && !b.catching_up);
    until(told, || format!("{:?}", writer.member("b")));
    assert_eq!(writer.status().multicast.unrecovered, 0);
}

#[test]
fn a_member_that_stands_still_is_not_waited_for_and_loses_nothing() {
    // Longer than half a packet, so that each takes one.
    stop_and_go_on(1_000, |writer, _| writer.status().multicast.sent_packets > 3 * RING_PACKETS);
}

#[test]
fn what_not_even_the_key_log_remembers_is_not_lost_either() {
    // A quarter more: what came while there was room in b's socket is not lost.
    stop_and_go_on(8, |_, round| round * RECORDS > LOGGED_KEYS + LOGGED_KEYS / 4);
}
