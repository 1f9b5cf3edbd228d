//! What holds for keys that begin alike.

use crate::node::{Node, directory, farm_with, keygen, refused};

#[test]
fn a_delete_wins_over_late_writes_of_its_prefix() {
    let directory = directory();
    let more = "[[writes.prefix]]\nprefix = \"sess:\"\nguard = \"1h\"\n";
    let nodes = farm_with(directory.path(), &["a", "b"], more);
    let (mut at_a, mut at_b) = (nodes[0].client(), nodes[1].client());
    for key in ["sess:1", "other:1"] {
        assert_eq!(at_a.say(&format!("SET {key} user EX 10000")), "+OK");
        assert_eq!(at_b.say(&format!("DEL {key}")), ":1");
    }
    // What an old request writes at its end is as if it had come before.
    assert_eq!(at_a.say("SET sess:1 user EX 10000"), "+OK");
    assert_eq!(at_a.say("HSET sess:1 f 1"), ":1");
    assert_eq!(at_b.say("MSET sess:1 x"), "+OK");
    for client in [&mut at_a, &mut at_b] {
        assert_eq!(client.say("EXISTS sess:1"), ":0");
    }
    assert_eq!(at_a.say("SET other:1 user EX 10000"), "+OK");
    assert_eq!(at_b.say("EXISTS other:1"), ":1");
    // A key that was never there, or that is claimed anew, is written.
    assert_eq!(at_a.say("SET sess:2 user"), "+OK");
    assert_eq!(at_b.say("EXISTS sess:2"), ":1");
    assert_eq!(at_b.say("SET sess:1 new NX EX 100"), "+OK");
    assert_eq!(at_a.say("GET sess:1"), "$3 new");
}

#[test]
fn what_a_write_waits_for_goes_by_its_prefix() {
    let directory = directory();
    keygen(directory.path());
    // Nobody listens at that port: what is to be there never is.
    let more = "farm.keys = \"farm.key\"\nfarm.transport = \"unicast\"\n\
                [[upstream]]\nredis = \"redis://127.0.0.1:1\"\n\
                [writes]\nweb = \"tier\"\n\
                [[writes.prefix]]\nprefix = \"cache:\"\nweb = \"local\"\n";
    let node = Node::start(directory.path(), "a", more);
    let mut client = node.client();
    assert_eq!(client.say("SET cache:1 x"), "+OK");
    let reply = client.say("SET other:1 x");
    assert!(reply.starts_with("-ERR"), "{reply}");
}

#[test]
fn what_is_wrong_with_prefixes_is_said() {
    let directory = directory();
    let check = |text: &str, expected: &str| {
        let said = refused(directory.path(), text);
        assert!(said.contains(expected), "{text}: {said}");
    };
    let one = "[[writes.prefix]]\nprefix = \"a\"\n";
    check(&format!("{one}{one}"), "writes.prefix[1].prefix: found \"a\" twice");
    check(&format!("{one}web = \"tier\"\n"), "writes.prefix[0].web");
    check(&format!("{one}guard = \"25h\"\n"), "writes.prefix[0].guard");
    check("[[writes.prefix]]\nguard = \"1h\"\n", "prefix");
}
