//! One node under bad input, and under clients of others' making.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;

use proto::gateway::memcached::{BINARY_REQUEST, MAX_VALUE_BYTES};
use serde_json::Value;

use super::talk::Talk;
use crate::node::{Node, directory, segue};
use crate::patience::{PATIENCE, say, until};

/// What the figures of memcached's clients say.
fn figure(node: &Node, name: &str) -> u64 {
    let status = node.status();
    let figure = status.pointer(&format!("/memcached/{name}")).and_then(Value::as_u64);
    figure.unwrap_or_else(|| panic!("no {name} in {status:#}"))
}

/// libmemcached's own tests of servers, of a protocol.
fn memccapable(protocol: &str) {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "");
    let (host, port) = node.memcached.rsplit_once(':').expect("an address");
    let tested = Command::new("memccapable").args(["-h", host, "-p", port, protocol]).output();
    let Ok(tested) = tested else {
        let required = std::env::var_os("SEGUE_REQUIRE_NETNS").is_some_and(|value| value == "1");
        let missing = "memccapable is not installed (package libmemcached-tools, .ci/packages)";
        assert!(!required, "SEGUE_REQUIRE_NETNS=1, but {missing}");
        say(&format!("skipped: {missing}"));
        return;
    };
    let text = String::from_utf8_lossy(&tested.stdout).into_owned()
        + &String::from_utf8_lossy(&tested.stderr);
    let passed = text.matches("[pass]").count();
    assert!(tested.status.success() && !text.contains("[FAIL]") && passed > 10, "{text}");
}

#[test]
fn memccapable_passes_its_ascii_tests() {
    memccapable("-a");
}

#[test]
fn memccapable_passes_its_binary_tests() {
    memccapable("-b");
}

#[test]
fn a_unix_socket_a_prefix_and_the_clients_of_redis() {
    let directory = directory();
    let socket = directory.path().join("m");
    let more = format!(
        "memcached.listen = [\"127.0.0.1:0\", \"unix:{}\"]\nmemcached.prefix = \"app:\"\n",
        socket.display()
    );
    let node = Node::start(directory.path(), "a", &more);
    let stream = UnixStream::connect(&socket).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
    let mut client = Talk::new(stream);
    assert_eq!(client.say("set app:k 7 100 5|hello"), "STORED");
    assert_eq!(Talk::tcp(&node.memcached).say("get app:k"), "VALUE app:k 7 5 hello END");
    let refused = "CLIENT_ERROR this listener serves keys with another prefix";
    for line in ["get app:k other", "set other 0 0 1|x", "mg other v", "incr other 1"] {
        assert_eq!(client.say(line), refused, "{line}");
    }
    // What clients of Redis see are texts, and they write texts.
    let mut redis = node.client();
    assert_eq!(redis.say("GET app:k"), "$5 hello");
    assert_eq!(redis.say("APPEND app:k !"), ":6");
    assert_eq!(client.say("get app:k"), "VALUE app:k 0 6 hello! END");
    assert_eq!(redis.say("HSET app:h f v"), ":1");
    assert_eq!(client.say("get app:h"), "END");
    assert_eq!(client.say("add app:h 0 0 1|x"), "NOT_STORED");
    // Nor does a client without a right to them have others' keys deleted.
    assert_eq!(redis.say("SET other 1"), "+OK");
    assert_eq!(client.say("flush_all"), "OK");
    assert_eq!(redis.say("EXISTS app:k app:h other"), ":1");
    assert_eq!(figure(&node, "flushes"), 1);
}

#[test]
fn all_goes_once_its_time_has_come() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "");
    let mut client = Talk::tcp(&node.memcached);
    assert_eq!(client.say("set a 0 0 1|x"), "STORED");
    assert_eq!(client.say("flush_all 1"), "OK");
    let is_gone = || {
        let mut client = Talk::tcp(&node.memcached);
        (client.say("get a") == "END").then_some(())
    };
    until(is_gone, || "it is there".to_owned());
    assert_eq!(client.say("set a 0 0 1|x"), "STORED");
    assert_eq!(client.say("get a"), "VALUE a 0 1 x END");
}

#[test]
fn keys_and_values_have_their_longest() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "");
    let mut client = Talk::tcp(&node.memcached);
    let (key, longer) = ("k".repeat(250), "k".repeat(251));
    assert_eq!(client.say(&format!("set {key} 0 0 1|x")), "STORED");
    assert_eq!(client.say(&format!("get {key}")), format!("VALUE {key} 0 1 x END"));
    let bad = "CLIENT_ERROR bad command line format";
    assert_eq!(client.say(&format!("get {longer}")), bad);
    assert_eq!(client.say(&format!("set {longer} 0 0 1")), bad);
    let value = "v".repeat(MAX_VALUE_BYTES);
    assert_eq!(client.say(&format!("set {key} 4294967295 0 {}|{value}", value.len())), "STORED");
    let number = client.say(&format!("mg {key} c"));
    let number = number.trim_start_matches("HD c");
    // What is agreed on has as much room.
    let cas = format!("cas {key} 1 1000 {} {number}|{value}", value.len());
    assert_eq!(client.say(&cas), "STORED");
    assert_eq!(client.say(&format!("mg {key} s f")), format!("HD s{} f1", value.len()));
    assert_eq!(client.say(&format!("append {key} 0 0 1|x")), "NOT_STORED");
    for len in [MAX_VALUE_BYTES + 1, (1 << 20) + 1] {
        let value = "v".repeat(len);
        let large = "SERVER_ERROR object too large for cache";
        assert_eq!(client.say(&format!("set {key} 0 0 {len}|{value}")), large);
        // What was there is not what the client wanted to store.
        assert_eq!(client.say(&format!("get {key}")), "END");
    }
}

#[test]
fn junk_and_half_commands_leave_the_others_alone() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "");
    let mut other = Talk::tcp(&node.memcached);
    assert_eq!(other.say("set a 0 0 1|x"), "STORED");
    let mut packet = vec![BINARY_REQUEST, 0x01, 0xff, 0xff, 0xff];
    packet.resize(100_000, 0xff);
    let junk: [Vec<u8>; 6] = [
        packet,
        vec![BINARY_REQUEST; 100_000],
        [vec![BINARY_REQUEST, 0x0a], vec![0; 22], vec![0x00; 1_000]].concat(),
        vec![b'x'; 100_000],
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        vec![0xff; 100_000],
    ];
    for bytes in junk {
        let mut client = Talk::tcp(&node.memcached);
        client.send(&bytes);
        // The node ends it, by itself.
        let _ = client.rest();
    }
    for half in ["set a 0 0 1000000\r\nabc", "set a 0 0", "get a", "\u{80}\u{1}"] {
        let mut stream = TcpStream::connect(&node.memcached).expect("it listens");
        stream.write_all(half.as_bytes()).expect("it reads");
        drop(stream);
    }
    assert_eq!(other.say("get a"), "VALUE a 0 1 x END");
    let is_alone = || (figure(&node, "connections") == 1).then_some(());
    until(is_alone, || format!("{} are connected", figure(&node, "connections")));
    assert!(figure(&node, "errors") >= 5, "{:#}", node.status());
}

#[test]
fn who_never_reads_is_let_go() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "");
    let value = "v".repeat(MAX_VALUE_BYTES);
    let mut client = Talk::tcp(&node.memcached);
    assert_eq!(client.say(&format!("set a 0 0 {}|{value}", value.len())), "STORED");
    // One request, whose reply is longer than all that sockets hold.
    let mut deaf = TcpStream::connect(&node.memcached).expect("it listens");
    let line = format!("get{}\r\n", " a".repeat(4_000));
    deaf.write_all(line.as_bytes()).expect("it reads");
    let is_let_go = || (figure(&node, "slow_readers") == 1).then_some(());
    until(is_let_go, || format!("{:#}", node.status()));
    assert_eq!(client.say("mg a s"), format!("HD s{}", value.len()));
}

#[test]
fn who_is_one_too_many_is_told() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "memcached.max_connections = 1\n");
    let mut first = Talk::tcp(&node.memcached);
    assert_eq!(first.say("get a"), "END");
    assert_eq!(Talk::tcp(&node.memcached).rest(), b"ERROR Too many open connections\r\n");
    drop(first);
    let is_free = || (figure(&node, "connections") == 0).then_some(());
    until(is_free, || "it is taken".to_owned());
    assert_eq!(Talk::tcp(&node.memcached).say("get a"), "END");
    assert_eq!(figure(&node, "refused"), 1);
}

#[test]
fn figures_are_told_to_clients_and_to_collectors() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "");
    let mut client = Talk::tcp(&node.memcached);
    client.say("set a 0 0 1|x");
    client.say("get a b");
    let stats = client.say("stats");
    for line in ["STAT get_hits 1 ", "STAT get_misses 1 ", "STAT cmd_set 1 ", " END"] {
        assert!(stats.contains(line), "{line}: {stats}");
    }
    assert_eq!(client.say("stats nothing"), "ERROR");
    assert_eq!(client.say("stats reset"), "RESET");
    assert!(client.say("stats").contains("STAT get_hits 0 "));
    assert_eq!((figure(&node, "hits"), figure(&node, "stores")), (1, 1));
    let stream = TcpStream::connect(&node.admin).expect("the page is served");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
    let metrics = crate::http::get(stream, &node.admin, "/metrics").expect("an answer");
    assert!(metrics.contains("segue_memcached_hits_total 1"), "{metrics}");
}

#[test]
fn a_listener_for_others_has_to_be_meant() {
    let checked = segue().args(["serve", "--set", "memcached.listen=0.0.0.0:0"]).output();
    let checked = checked.expect("segue runs");
    let text = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(2), "{text}");
    assert!(text.contains("memcached.listen") && text.contains("trusted_network"), "{text}");
}
