//! One node under real clients.

use std::process::Command;

use crate::client::{Client, request};
use crate::node::{Node, directory, segue};

fn redis_cli(node: &Node, arguments: &[&str]) -> String {
    let (host, port) = node.redis.rsplit_once(':').expect("an address");
    let output = Command::new("redis-cli").args(["-h", host, "-p", port]).args(arguments).output();
    let output = output.expect("redis-cli is installed (package redis-server, see .ci/packages)");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[test]
fn redis_cli_and_redis_benchmark_find_a_server() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "");
    assert_eq!(redis_cli(&node, &["-3", "SET", "k", "v", "EX", "100"]), "OK");
    assert_eq!(redis_cli(&node, &["GET", "k"]), "v");
    assert!(redis_cli(&node, &["INFO"]).contains("redis_version:7.2"));
    let (host, port) = node.redis.rsplit_once(':').expect("an address");
    let measured = Command::new("redis-benchmark")
        .args(["-h", host, "-p", port, "-n", "2000", "-c", "10", "-P", "4", "-q"])
        .args(["-t", "ping,set,get,incr,hset,sadd,mset"])
        .output()
        .expect("redis-benchmark is installed (package redis-server, see .ci/packages)");
    let text = String::from_utf8_lossy(&measured.stdout).into_owned();
    assert!(
        measured.status.success() && text.matches("requests per second").count() >= 7,
        "{text}"
    );
}

#[test]
fn a_password_is_asked_for_and_a_prefix_holds() {
    let directory = directory();
    std::fs::write(directory.path().join("secret"), "open sesame\n").expect("a file of ours");
    let more = "redis.password_file = \"secret\"\nredis.prefix = \"app:\"\n";
    let node = Node::start(directory.path(), "a", more);
    let mut client = node.client();
    assert_eq!(client.say("GET app:k"), "-NOAUTH Authentication required.");
    assert!(client.ask(&["AUTH", "wrong"]).starts_with(b"-WRONGPASS"));
    assert_eq!(client.ask(&["AUTH", "open sesame"]), b"+OK\r\n");
    assert_eq!(client.say("SET app:k v"), "+OK");
    assert_eq!(client.say("SET other v"), "-NOPERM No permissions to access a key");
    let mut other = node.client();
    let hello = other.ask(&["HELLO", "3", "AUTH", "default", "open sesame"]);
    assert!(hello.starts_with(b"%7\r\n"), "{}", String::from_utf8_lossy(&hello));
    assert_eq!(node.status()["redis"]["failed_logins"], 1);
}

#[test]
fn a_unix_socket_and_keys_of_any_length() {
    let directory = directory();
    let socket = directory.path().join("s");
    let listen = format!("[\"127.0.0.1:0\", \"unix:{}\"]", socket.display());
    let node = Node::start_at(directory.path(), "a", &listen, "");
    let mut client = Client::unix(&socket);
    let long = "k".repeat(300);
    assert_eq!(client.ask(&["SET", &long, "v"]), b"+OK\r\n");
    assert_eq!(node.client().ask(&["GET", &long]), b"$1\r\nv\r\n");
    let keys = client.ask(&["KEYS", "k*"]);
    assert!(keys.ends_with(format!("{long}\r\n").as_bytes()));
    assert!(client.ask(&["SET", &"k".repeat(2_000), "v"]).starts_with(b"-ERR a key of 2000 bytes"));
    let large = "v".repeat((1 << 20) + 1);
    assert!(client.ask(&["SET", "large", &large]).starts_with(b"-ERR "));
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "");
    let mut client = node.client();
    let mut bytes = Vec::new();
    for _ in 0..1_000 {
        bytes.extend(request(&["INCR", "n"]));
        bytes.extend(request(&["NOSUCH"]));
    }
    client.send(&bytes);
    for number in 1..=1_000 {
        assert_eq!(client.reply(), format!(":{number}\r\n").into_bytes());
        assert!(client.reply().starts_with(b"-ERR unknown command"));
    }
}

#[test]
fn scripts_of_locks_are_served() {
    let directory = directory();
    let node = Node::start(directory.path(), "a", "");
    let mut client = node.client();
    let script = "if redis.call(\"get\",KEYS[1]) == ARGV[1] then return redis.call(\"del\",KEYS[1]) else return 0 end";
    let name = client.ask(&["SCRIPT", "LOAD", script]);
    let name = String::from_utf8(name[5..45].to_vec()).expect("digits");
    assert_eq!(client.say("SET lock mine NX PX 10000"), "+OK");
    assert_eq!(client.ask(&["EVALSHA", &name, "1", "lock", "other"]), b":0\r\n");
    assert_eq!(client.ask(&["EVAL", script, "1", "lock", "mine"]), b":1\r\n");
    assert_eq!(client.say("EXISTS lock"), ":0");
    assert!(client.ask(&["EVAL", "return 1", "0"]).starts_with(b"-ERR only scripts"));
}

#[test]
fn a_listener_for_others_needs_a_password() {
    let checked = segue().args(["serve", "--set", "redis.listen=0.0.0.0:0"]).output();
    let checked = checked.expect("segue runs");
    let text = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(2), "{text}");
    assert!(text.contains("redis.listen") && text.contains("redis.password_file"), "{text}");
}
