//! What commands mean across nodes.

use std::thread;

use super::talk::Talk;
use crate::node::{Node, directory, farm};

fn talks(nodes: &[Node]) -> Vec<Talk> {
    nodes.iter().map(|node| Talk::tcp(&node.memcached)).collect()
}

/// The number of a key's value, as a node tells it.
fn number(talk: &mut Talk, key: &str) -> String {
    let reply = talk.say(&format!("mg {key} c"));
    reply.strip_prefix("HD c").unwrap_or_else(|| panic!("{reply}")).to_owned()
}

#[test]
fn a_session_goes_on_at_another_node_at_once() {
    let directory = directory();
    let mut nodes = farm(directory.path(), &["a", "b"]);
    let mut talks = talks(&nodes);
    for session in 0..200 {
        // A write that is acknowledged at one node is read at the other.
        assert_eq!(talks[0].say(&format!("set sess{session} {session} 1000 4|user")), "STORED");
        let expected = format!("VALUE sess{session} {session} 4 user END");
        assert_eq!(talks[1].say(&format!("get sess{session}")), expected);
        let key = format!("sess{session}");
        assert_eq!(number(&mut talks[0], &key), number(&mut talks[1], &key));
    }
    assert_eq!(talks[1].say("delete sess0"), "DELETED");
    assert_eq!(talks[0].say("get sess0"), "END");
    assert_eq!(talks[0].say("touch sess1 1500"), "TOUCHED");
    assert_eq!(number(&mut talks[0], "sess1"), number(&mut talks[1], "sess1"));
    nodes[0].process.kill();
    assert_eq!(talks[1].say("get sess7"), "VALUE sess7 7 4 user END");
    assert_eq!(talks[1].say("set sess7 7 1000 2|on"), "STORED");
    assert_eq!(talks[1].say("get sess7"), "VALUE sess7 7 2 on END");
}

#[test]
fn one_of_fifty_changes_what_all_have_read() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b", "c"]);
    let mut talks = talks(&nodes);
    for round in 0..5 {
        assert_eq!(talks[round % 3].say(&format!("set k{round} 0 0 1|x")), "STORED");
        let number = number(&mut talks[(round + 1) % 3], &format!("k{round}"));
        let askers = (0..50).map(|asker| {
            let mut talk = Talk::tcp(&nodes[asker % 3].memcached);
            let line = format!("cas k{round} 0 0 2 {number}|{asker:02}");
            thread::spawn(move || talk.say(&line))
        });
        let askers: Vec<_> = askers.collect();
        let replies: Vec<_> =
            askers.into_iter().map(|asker| asker.join().expect("it ends in order")).collect();
        let winners: Vec<_> =
            replies.iter().enumerate().filter(|(_, reply)| *reply == "STORED").collect();
        assert_eq!(winners.len(), 1, "{replies:?}");
        let expected = format!("VALUE k{round} 0 2 {:02} END", winners[0].0);
        for talk in &mut talks {
            assert_eq!(talk.say(&format!("get k{round}")), expected);
        }
    }
}

#[test]
fn one_of_many_is_told_to_fill_what_is_missing() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b", "c"]);
    let askers = (0..30).map(|asker| {
        let mut talk = Talk::tcp(&nodes[asker % 3].memcached);
        thread::spawn(move || talk.say("mg page N100 v"))
    });
    let askers: Vec<_> = askers.collect();
    let replies: Vec<_> =
        askers.into_iter().map(|asker| asker.join().expect("it ends in order")).collect();
    let count = |wanted: &str| replies.iter().filter(|reply| *reply == wanted).count();
    assert_eq!((count("VA 0 W"), count("VA 0 Z")), (1, 29), "{replies:?}");
    let mut talks = talks(&nodes);
    assert_eq!(talks[0].say("ms page 4 T100|full"), "HD");
    assert_eq!(talks[1].say("mg page v"), "VA 4 full");
}

#[test]
fn plain_writes_and_counters_mix_on_one_key() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b", "c"]);
    let mut talks = talks(&nodes);
    for round in 0..20 {
        assert_eq!(talks[round % 3].say("set n 3 0 1|5"), "STORED");
        assert_eq!(talks[(round + 1) % 3].say("incr n 1"), "6");
        assert_eq!(talks[(round + 2) % 3].say("append n 0 0 1|0"), "STORED");
        assert_eq!(talks[round % 3].say("get n"), "VALUE n 3 2 60 END");
        assert_eq!(talks[(round + 1) % 3].say("delete n"), "DELETED");
        assert_eq!(talks[(round + 2) % 3].say("incr n 1"), "NOT_FOUND");
        assert_eq!(talks[round % 3].say("add n 0 0 1|1"), "STORED");
        assert_eq!(talks[(round + 1) % 3].say("add n 0 0 1|2"), "NOT_STORED");
        assert_eq!(talks[(round + 2) % 3].say("replace n 0 0 1|3"), "STORED");
        assert_eq!(talks[round % 3].say("get n"), "VALUE n 0 1 3 END");
    }
}

#[test]
fn no_increment_is_lost_while_a_node_dies() {
    let directory = directory();
    let mut nodes = farm(directory.path(), &["a", "b", "c"]);
    assert_eq!(Talk::tcp(&nodes[0].memcached).say("add n 0 0 1|0"), "STORED");
    let counters: Vec<_> = nodes[1..]
        .iter()
        .map(|node| {
            let mut talk = Talk::tcp(&node.memcached);
            thread::spawn(move || {
                let replies = (0..150).map(|_| talk.say("incr n 1"));
                let (done, failed): (Vec<_>, Vec<_>) =
                    replies.partition(|reply| reply.parse::<u64>().is_ok());
                (done, failed)
            })
        })
        .collect();
    nodes[0].process.kill();
    let (mut numbers, mut failed) = (Vec::new(), 0);
    for counter in counters {
        let (done, errors) = counter.join().expect("it ends in order");
        assert!(errors.iter().all(|error| error.starts_with("SERVER_ERROR ")), "{errors:?}");
        numbers.extend(done.iter().map(|reply| reply.parse::<u64>().expect("a number")));
        failed += errors.len() as u64;
    }
    let answered = numbers.len() as u64;
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len() as u64, answered, "no number is given twice");
    let sum = Talk::tcp(&nodes[1].memcached).say("incr n 1");
    let sum: u64 = sum.parse().expect("a number");
    // One that failed may have been done all the same.
    assert!((answered + 1..=answered + 1 + failed).contains(&sum), "{sum}, {answered}, {failed}");
}

#[test]
fn all_goes_at_every_node() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b"]);
    let mut talks = talks(&nodes);
    for key in 0..500 {
        assert_eq!(talks[key % 2].say(&format!("set k{key} 0 0 1|x")), "STORED");
    }
    assert_eq!(talks[0].say("flush_all"), "OK");
    for key in 0..500 {
        assert_eq!(talks[1].say(&format!("get k{key}")), "END");
    }
    assert_eq!(talks[1].say("set k1 0 0 1|y"), "STORED");
    assert_eq!(talks[0].say("get k1"), "VALUE k1 0 1 y END");
}

#[test]
fn a_reply_that_cannot_be_ended_ends_with_its_connection() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b"]);
    let mut talk = Talk::tcp(&nodes[0].memcached);
    let value = "v".repeat(1_000_000);
    for key in ["k1", "k2", "k3"] {
        assert_eq!(talk.say(&format!("set {key} 0 100 {}|{value}", value.len())), "STORED");
    }
    assert_eq!(talk.say("add k4 0 100 1|x"), "STORED");
    nodes[1].process.halt();
    // Both would have to agree on when this one ends.
    let said = talk.say("gat 150 k4");
    assert!(said.starts_with("SERVER_ERROR "), "{said}");
    // Behind others, a part of the reply is on its way before that is known.
    talk.send(b"gat 150 k1 k2 k3 k4\r\nversion\r\n");
    let rest = String::from_utf8(talk.rest()).expect("text");
    assert_eq!(rest.matches("VALUE k").count(), 3, "{} bytes", rest.len());
    for word in ["SERVER_ERROR", "END", "VERSION"] {
        assert!(!rest.contains(word), "{} bytes with {word}", rest.len());
    }
    let status = nodes[0].status();
    assert!(status.pointer("/memcached/errors").is_some_and(|it| *it == 2), "{status:#}");
}

#[test]
fn sessions_that_are_only_touched_take_no_voters_memory() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b"]);
    let mut talks = talks(&nodes);
    for end in [10, 100, 1_000, 50] {
        let wanted = if end == 10 { "STORED" } else { "TOUCHED" };
        let asked = if end == 10 { "set k 0 10 1|x".to_owned() } else { format!("touch k {end}") };
        assert_eq!(talks[0].say(&asked), wanted);
        let left: u64 = talks[1].say("mg k t").trim_start_matches("HD t").parse().expect("a time");
        assert!(left <= end && left + 5 > end, "{left} of {end}");
    }
    let number = talks[0].say("mg k c");
    assert_eq!(talks[1].say("gat 2000 k"), "VALUE k 0 1 x END");
    assert_eq!(talks[0].say("mg k c"), number);
    for node in &nodes {
        let status = node.status();
        assert!(status.pointer("/one_answer/registers").is_some_and(|it| *it == 0), "{status:#}");
    }
}
