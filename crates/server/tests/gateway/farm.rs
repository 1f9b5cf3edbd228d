//! What commands mean across nodes.

use std::thread;

use crate::client::Client;
use crate::node::{directory, farm};

/// So many that each of three nodes is the home of some.
const KEYS: usize = 30;

#[test]
fn a_session_goes_on_at_another_node_at_once() {
    let directory = directory();
    let mut nodes = farm(directory.path(), &["a", "b"]);
    let (mut at_a, mut at_b) = (nodes[0].client(), nodes[1].client());
    for number in 0..200 {
        // A write that is acknowledged at one node is read at the other.
        assert_eq!(at_a.say(&format!("SET sess:{number} user{number} EX 1000")), "+OK");
        assert_eq!(
            at_b.say(&format!("GET sess:{number}")),
            format!("${} user{number}", 4 + number.to_string().len())
        );
    }
    assert_eq!(at_b.say("DEL sess:0"), ":1");
    assert_eq!(at_a.say("GET sess:0"), "$-1");
    nodes[0].process.kill();
    assert_eq!(at_b.say("GET sess:7"), "$5 user7");
    assert_eq!(at_b.say("SET sess:7 on EX 1000"), "+OK");
    assert_eq!(at_b.say("GET sess:7"), "$2 on");
}

#[test]
fn fields_that_two_nodes_write_at_once_are_all_there() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b"]);
    let writers = nodes.iter().enumerate().map(|(index, node)| {
        let mut client = node.client();
        thread::spawn(move || {
            for number in 0..100 {
                let reply = client.say(&format!("HSET session field{index}-{number} {number}"));
                assert!(reply == ":1" || reply == ":0", "{reply}");
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    for writer in writers {
        writer.join().expect("it ends in order");
    }
    for node in &nodes {
        assert_eq!(node.client().say("HLEN session"), ":200");
    }
}

#[test]
fn one_of_fifty_gets_the_lock() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b", "c"]);
    for round in 0..5 {
        let askers = (0..50).map(|asker| {
            let mut client = nodes[asker % 3].client();
            thread::spawn(move || client.say(&format!("SET lock{round} {asker} NX EX 100")))
        });
        let askers: Vec<_> = askers.collect();
        let replies: Vec<_> =
            askers.into_iter().map(|asker| asker.join().expect("it ends in order")).collect();
        let winners = replies.iter().filter(|reply| *reply == "+OK").count();
        assert_eq!(winners, 1, "{replies:?}");
        // After a plain delete it is free again, for one.
        assert_eq!(nodes[1].client().say(&format!("DEL lock{round}")), ":1");
        assert_eq!(nodes[2].client().say(&format!("SET lock{round} x NX")), "+OK");
        assert_eq!(nodes[0].client().say(&format!("SET lock{round} x NX")), "$-1");
    }
}

#[test]
fn plain_writes_and_counters_mix_on_one_key() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b", "c"]);
    let mut clients: Vec<Client> = nodes.iter().map(|node| node.client()).collect();
    for round in 0..20 {
        assert_eq!(clients[round % 3].say("SET n 5"), "+OK");
        assert_eq!(clients[(round + 1) % 3].say("INCR n"), ":6");
        assert_eq!(clients[(round + 2) % 3].say("INCRBY n 4"), ":10");
        assert_eq!(clients[round % 3].say("GET n"), "$2 10");
        assert_eq!(clients[(round + 1) % 3].say("DEL n"), ":1");
        assert_eq!(clients[(round + 2) % 3].say("INCR n"), ":1");
        assert_eq!(clients[round % 3].say("GETDEL n"), "$1 1");
        assert_eq!(clients[(round + 1) % 3].say("GET n"), "$-1");
        assert_eq!(clients[(round + 2) % 3].say("HINCRBY h f 1"), format!(":{}", round + 1));
    }
}

#[test]
fn what_needs_one_answer_goes_on_when_a_node_dies() {
    let directory = directory();
    let mut nodes = farm(directory.path(), &["a", "b", "c"]);
    let mut client = nodes[1].client();
    for number in 0..KEYS {
        assert_eq!(client.say(&format!("SET lock{number} a NX EX 1000")), "+OK");
    }
    nodes[0].process.kill();
    // Of a third of them the home is dead, and nobody has missed it yet.
    let askers = (0..KEYS).map(|number| {
        let mut client = nodes[1 + number % 2].client();
        thread::spawn(move || {
            let held = client.say(&format!("SET lock{number} b NX EX 1000"));
            (held, client.say(&format!("SET new{number} b NX EX 1000")))
        })
    });
    let askers: Vec<_> = askers.collect();
    for asker in askers {
        let (held, new) = asker.join().expect("it ends in order");
        assert_eq!((held.as_str(), new.as_str()), ("$-1", "+OK"));
    }
}

#[test]
fn no_increment_is_lost_while_a_node_dies() {
    let directory = directory();
    let mut nodes = farm(directory.path(), &["a", "b", "c"]);
    let counters: Vec<_> = nodes[1..]
        .iter()
        .map(|node| {
            let mut client = node.client();
            thread::spawn(move || {
                let replies = (0..150).map(|_| client.say("INCR n"));
                let (done, failed): (Vec<_>, Vec<_>) =
                    replies.partition(|reply| reply.starts_with(':'));
                (done, failed)
            })
        })
        .collect();
    nodes[0].process.kill();
    let mut numbers = Vec::new();
    let mut failed = 0;
    for counter in counters {
        let (done, errors) = counter.join().expect("it ends in order");
        numbers.extend(done.iter().map(|reply| reply[1..].parse::<u64>().expect("a number")));
        failed += errors.len() as u64;
    }
    let answered = numbers.len() as u64;
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len() as u64, answered, "no number is given twice");
    let sum = nodes[1].client().say("INCR n");
    let sum: u64 = sum[1..].parse().expect("a number");
    // One that failed may have been done all the same.
    assert!((answered + 1..=answered + 1 + failed).contains(&sum), "{sum}, {answered}, {failed}");
}
