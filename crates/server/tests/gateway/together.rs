//! `MSETNX` of several keys: all or none, beside a real `redis-server`, for those
//! who want the same keys at three nodes, and when a node dies in the middle.

use std::thread;

use crate::client::Client;
use crate::node::{Node, RedisServer, directory, farm};
use crate::patience::until;

const ASKED: &str = "\
MSETNX a 1 b 2
MGET a b
MSETNX b 3 c 4
MGET a b c
TTL b
TYPE b
MSETNX c 4 c 5 d 6
MGET c d
APPEND d 7
INCR d
HSET h f v
MSETNX e 1 h 2
EXISTS e
MSETNX e 1 f
DEL a b c d h
MSETNX a 1 b 2 h 3
MGET a b h
EXPIRE a 100
GETDEL b
MSETNX a 1 b 2
EXISTS b
SET b 9 NX
MSETNX x 1 y 2 z 3
DBSIZE";

fn replies(client: &mut Client) -> Vec<String> {
    ASKED.lines().map(|line| format!("{line}: {}", client.say(line))).collect()
}

#[test]
fn several_keys_are_written_together_as_by_redis() {
    let directory = directory();
    let redis = RedisServer::start(directory.path());
    let expected = replies(&mut redis.client());
    let node = Node::start(directory.path(), "alone", "");
    assert_eq!(replies(&mut node.client()), expected);
    let nodes = farm(directory.path(), &["a", "b"]);
    assert_eq!(replies(&mut nodes[0].client()), expected);
    // What was written here is read there.
    assert_eq!(nodes[1].client().say("MGET x y z"), "*3 $1 1 $1 2 $1 3");
    let many: Vec<String> = (0..129).flat_map(|key| [format!("k{key}"), "1".to_owned()]).collect();
    let many: Vec<&str> = ["MSETNX"].into_iter().chain(many.iter().map(String::as_str)).collect();
    let said = nodes[0].client().ask(&many);
    assert!(said.starts_with(b"-ERR MSETNX of 129 keys; at most 128"), "{}", said.escape_ascii());
}

#[test]
fn of_those_who_want_the_same_keys_one_gets_all_of_them() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b", "c"]);
    for round in 0..10 {
        let key = |name: &str| format!("{name}{round}");
        let wanted = [["a", "b"], ["c", "b"], ["c", "a"]];
        let askers = nodes.iter().zip(wanted).map(|(node, keys)| {
            let mut client = node.client();
            let [one, other] = keys.map(key);
            thread::spawn(move || client.say(&format!("MSETNX {one} {one} {other} {other}")))
        });
        let askers: Vec<_> = askers.collect();
        let said: Vec<String> =
            askers.into_iter().map(|asker| asker.join().expect("it ends in order")).collect();
        let winners: Vec<usize> = (0..3).filter(|&asker| said[asker] == ":1").collect();
        assert_eq!(winners.len(), 1, "{said:?}");
        assert!(said.iter().all(|said| matches!(said.as_str(), ":0" | ":1")), "{said:?}");
        for node in &nodes {
            let mut client = node.client();
            for name in ["a", "b", "c"] {
                let is_there = client.say(&format!("EXISTS {}", key(name))) == ":1";
                assert_eq!(is_there, wanted[winners[0]].contains(&name), "{name}: {said:?}");
            }
        }
    }
}

#[test]
fn a_node_that_dies_in_the_middle_leaves_all_keys_or_none() {
    let directory = directory();
    let mut nodes = farm(directory.path(), &["a", "b", "c"]);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let mut client = nodes[0].client();
            thread::spawn(move || {
                let mut done = 0;
                // Until the node is gone.
                loop {
                    let names = ["x", "y", "z"].map(|name| format!("{name}{writer}-{done} 1"));
                    let asked = format!("MSETNX {}", names.join(" "));
                    let words: Vec<&str> = asked.split(' ').collect();
                    if client.try_ask(&words) != Some(b":1\r\n".to_vec()) {
                        return done;
                    }
                    done += 1;
                }
            })
        })
        .collect();
    let mut reader = nodes[1].client();
    until(
        || (reader.say("EXISTS z0-20") == ":1").then_some(()),
        || "nothing is written".to_owned(),
    );
    nodes[0].process.kill();
    for (writer, done) in writers.into_iter().enumerate() {
        let done: usize = done.join().expect("it ends in order");
        for attempt in 0..=done {
            let names = ["x", "y", "z"].map(|name| format!("{name}{writer}-{attempt}"));
            let asked = format!("EXISTS {}", names.join(" "));
            let mut counts = Vec::new();
            // Voters that are gone are missed after some moments.
            let agree = || {
                counts = nodes[1..].iter().map(|node| node.client().say(&asked)).collect();
                let whole = |count: &String| count == ":3" || count == ":0" && attempt == done;
                (counts.iter().all(whole) && counts[0] == counts[1]).then_some(())
            };
            until(agree, || format!("{asked}: not all and not none"));
        }
        // Whoever wants them gets them, or is told that they are there. What was asked
        // of a node that has just died may be answered by an error, and be done.
        let names = ["x", "y", "z"].map(|name| format!("{name}{writer}-{done}"));
        let mut client = nodes[2].client();
        let there = client.say(&format!("EXISTS {}", names.join(" ")));
        let asked = format!("MSETNX {} 2 {} 2 new{writer} 2", names[2], names[0]);
        let mut failed = false;
        let answer = || {
            let said = client.say(&asked);
            failed |= said.starts_with('-');
            matches!(said.as_str(), ":0" | ":1").then_some(said)
        };
        let set = until(answer, || format!("{asked}: no answer"));
        assert!(if there == ":3" { set == ":0" } else { set == ":1" || failed }, "{there}: {set}");
    }
}
