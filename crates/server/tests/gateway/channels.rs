//! Channels: what is said at one node is heard at all, and what happens to
//! keys is heard of as with a real `redis-server`.

use crate::client::{Client, request};
use crate::node::{Node, RedisServer, directory, farm};

/// Lines that two connections say in turn, a listener (`<`) and a speaker (`>`),
/// and how many messages the listener then has (`=`).
const TALK: &str = "\
< SUBSCRIBE
< SUBSCRIBE a b
=1
< PSUBSCRIBE a* [bc]?
=1
> PUBLISH a hello
=2
> PUBLISH bx there
=1
> PUBLISH none x
> PUBLISH a
> PUBSUB CHANNELS a*
> PUBSUB CHANNELS a b
> PUBSUB NUMSUB a b c
> PUBSUB NUMSUB
> PUBSUB NUMPAT
> PUBSUB NUMPAT x
> PUBSUB NOSUCH
< GET a
< PING
< PING x
< UNSUBSCRIBE a none
=1
> PUBLISH a again
=1
< UNSUBSCRIBE
< PUNSUBSCRIBE
=1
< UNSUBSCRIBE
< PUNSUBSCRIBE
< GET a
< SUBSCRIBE a
< UNSUBSCRIBE a
< UNSUBSCRIBE a
> CONFIG SET notify-keyspace-events KEA
> CONFIG GET notify-keyspace-events
> CONFIG SET notify-keyspace-events Q
> CONFIG SET nosuch x
> CONFIG SET notify-keyspace-events
> CONFIG SET notify-keyspace-events Egx$n
> CONFIG GET notify-keyspace-events
> CONFIG SET notify-keyspace-events KEA
< PSUBSCRIBE __key*
> SET k 1
=2
> SET k 1 EX 100
=4
> SETEX k 100 2
=4
> INCR k
=2
> DECRBY k 2
=2
> APPEND k x
=2
> EXPIRE k 200
=2
> PERSIST k
=2
> GETEX k EX 100
=2
> GETEX k PERSIST
=2
> GETEX k
> SET k 2 NX
> SETRANGE k 0 z
=2
> RENAMENX k k
> COPY k k2
=2
> DEL k k2 none
=4
> HSET h f 1 g 2
=2
> HINCRBY h f 2
=2
> HINCRBYFLOAT h f 0.5
=2
> HDEL h f
=2
> HDEL h g
=4
> SADD s m
=2
> SREM s m
=4
> ZADD z 1 a 2 b
=2
> ZADD z INCR 1 a
=2
> ZINCRBY z 1 a
=2
> ZREM z a
=2
> ZREMRANGEBYSCORE z -inf +inf
=4
> MSET x 1 y 2
=4
> GETDEL x
=2
> EXPIREAT y 1
=2
> GETSET x 1
=2
> SETNX x 1
> SETNX y 1
=2
> INCRBYFLOAT y 0.5
=2
> MULTI
> SET x 5
> INCR x
> EXEC
=4
> EXPIRE x 0
=2
> CONFIG SET notify-keyspace-events KEn
> SET new 1
=2
> SET new 2
> CONFIG SET notify-keyspace-events A
> SET new 3
> CONFIG SET notify-keyspace-events Kx
> SET new 3 PX 20
=1
> CONFIG SET notify-keyspace-events \"\"
< RESET
> PUBSUB NUMPAT";

/// What both said, line by line.
fn talk(mut client: impl FnMut() -> Client) -> Vec<String> {
    let (mut listener, mut speaker) = (client(), client());
    let mut said = Vec::new();
    for line in TALK.lines() {
        if let Some(count) = line.strip_prefix('=') {
            let mut heard: Vec<String> = (0..count.parse().expect("a number"))
                .map(|_| listener.reply().escape_ascii().to_string())
                .collect();
            // Of several patterns that fit, Redis' hash table says which is first.
            heard.sort();
            said.extend(heard);
            continue;
        }
        let (who, words) = line.split_at(2);
        let words: Vec<&str> =
            words.split(' ').map(|word| if word == "\"\"" { "" } else { word }).collect();
        let client = if who == "< " { &mut listener } else { &mut speaker };
        said.push(format!("{line}: {}", client.ask(&words).escape_ascii()));
    }
    said
}

#[test]
fn channels_and_key_events_are_those_of_redis() {
    let directory = directory();
    let redis = RedisServer::start(directory.path());
    let node = Node::start(directory.path(), "a", "");
    let (theirs, ours) = (talk(|| redis.client()), talk(|| node.client()));
    let differing = theirs.iter().zip(&ours).filter(|(theirs, ours)| theirs != ours);
    let differing: Vec<_> =
        differing.map(|(theirs, ours)| format!("{ours}\n  and not {theirs}")).collect();
    assert!(differing.is_empty() && theirs.len() == ours.len(), "{}", differing.join("\n"));
}

/// What is refused leaves the connection as it was, and the rest of its words too.
#[test]
fn a_refused_subscription_is_none() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "redis.prefix = \"app:\"");
    let (mut client, mut speaker) = (node.client(), node.client());
    let long = format!("PSUBSCRIBE app:* {}", "?".repeat(128));
    let expected = "-ERR a pattern is too long: at most 127 characters";
    assert_eq!(client.say(&long), expected);
    assert_eq!(client.say("SUBSCRIBE app:c other"), "-NOPERM No permissions to access a channel");
    assert_eq!(speaker.say("PUBLISH app:c x"), ":0");
    assert_eq!(client.say("GET app:k"), "$-1");
    assert_eq!(speaker.say(&format!("PUBSUB CHANNELS {}", "?".repeat(128))), expected);
}

#[test]
fn what_is_said_at_one_node_is_heard_at_all() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b", "c"]);
    let mut listeners: Vec<Client> = nodes.iter().map(Node::client).collect();
    for listener in &mut listeners {
        assert_eq!(listener.say("SUBSCRIBE news"), "*3 $9 subscribe $4 news :1");
    }
    let mut speaker = nodes[0].client();
    let large = "x".repeat(100_000);
    for text in ["one", "two", &large] {
        // The receivers at this node are counted, and no others.
        assert_eq!(speaker.ask(&["PUBLISH", "news", text]), b":1\r\n");
    }
    for listener in &mut listeners {
        for text in ["one", "two", &large] {
            let expected =
                format!("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n${}\r\n{text}\r\n", text.len());
            assert_eq!(listener.reply(), expected.into_bytes());
        }
    }
}

#[test]
fn every_node_tells_of_a_key_that_changes_and_of_its_end() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b"]);
    let mut listeners: Vec<Client> = nodes.iter().map(Node::client).collect();
    for listener in &mut listeners {
        assert_eq!(listener.say("CONFIG SET notify-keyspace-events E$ghx"), "+OK");
        assert!(listener.say("PSUBSCRIBE __keyevent@0__:*").starts_with("*3"));
    }
    let mut writer = nodes[0].client();
    assert_eq!(writer.say("SET text 1"), "+OK");
    assert_eq!(writer.say("HSET hash f 1"), ":1");
    assert_eq!(writer.say("DEL text"), ":1");
    assert_eq!(writer.say("SET brief 1 PX 50"), "+OK");
    for (at, listener) in listeners.iter_mut().enumerate() {
        let mut expected = vec!["set text", "hset hash", "del text", "set brief"];
        if at == 0 {
            // By which options it was written is known where it was written.
            expected.push("expire brief");
        }
        expected.push("expired brief");
        for event in expected {
            let (event, key) = event.split_once(' ').expect("two words");
            let heard = String::from_utf8_lossy(&listener.reply()).replace("\r\n", " ");
            assert!(heard.contains(&format!("__keyevent@0__:{event} ")), "{event}: {heard}");
            assert!(heard.ends_with(&format!("{key} ")), "{key}: {heard}");
        }
    }
}

#[test]
fn a_subscriber_that_does_not_read_is_closed_and_others_go_on() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "");
    let (mut slow, mut quick, mut speaker) = (node.client(), node.client(), node.client());
    assert!(slow.say("SUBSCRIBE c").starts_with("*3"));
    assert!(quick.say("SUBSCRIBE c").starts_with("*3"));
    let text = "x".repeat(500_000);
    let closed = || node.status()["redis"]["slow_subscribers"].as_u64() == Some(1);
    let mut sent = 0;
    while !closed() {
        speaker.send(&request(&["PUBLISH", "c", &text]));
        speaker.reply();
        assert!(quick.reply().starts_with(b"*3\r\n$7\r\nmessage\r\n"));
        sent += 1;
        assert!(sent < 1_000, "the kernel's buffers and ours hold less");
    }
    assert_eq!(speaker.ask(&["PUBLISH", "c", "last"]), b":1\r\n");
}
