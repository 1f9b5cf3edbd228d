//! Who may come in where: listeners with prefixes, and with users.

use std::fs;

use crate::client::Client;
use crate::node::{Node, directory, refused};

#[test]
fn users_have_names_prefixes_and_rights() {
    let directory = directory();
    for name in ["ann", "ben"] {
        fs::write(directory.path().join(name), format!("{name}'s")).expect("a file of ours");
    }
    let more = "redis.prefix = \"app:\"\n\
                [[redis.users]]\nname = \"ann\"\npassword_file = \"ann\"\n\
                [[redis.users]]\nname = \"ben\"\npassword_file = \"ben\"\nprefix = \"app:ben:\"\n\
                read_only = true\n\
                [[redis.listener]]\nlisten = \"127.0.0.1:0\"\nprefix = \"tls:\"\n";
    let node = Node::start(directory.path(), "a", more);
    let mut silent = node.client();
    let mut ann = node.client();
    assert_eq!(ann.say("GET app:k"), "-NOAUTH Authentication required.");
    for wrong in [["AUTH", "ann", "ben's"], ["AUTH", "default", "ann's"], ["AUTH", "carl", "ann's"]]
    {
        assert!(ann.ask(&wrong).starts_with(b"-WRONGPASS"), "{wrong:?}");
    }
    assert_eq!(ann.say("AUTH ann ann's"), "+OK");
    assert_eq!(ann.say("ACL WHOAMI"), "$3 ann");
    assert_eq!(ann.say("SET app:ben:k 1"), "+OK");
    assert_eq!(ann.say("SET other 1"), "-NOPERM No permissions to access a key");
    let mut ben = node.client();
    assert!(ben.say("HELLO 3 AUTH ben ben's").starts_with("%7"));
    assert_eq!(ben.say("GET app:ben:k"), "$1 1");
    assert_eq!(ben.say("GET app:k"), "-NOPERM No permissions to access a key");
    for change in
        ["SET app:ben:k 2", "DEL app:ben:k", "PUBLISH app:ben:c x", "FLUSHALL", "GETEX app:ben:k"]
    {
        let name = change.split(' ').next().unwrap_or_default().to_ascii_lowercase();
        let refused = format!("-NOPERM User ben has no permissions to run the '{name}' command");
        assert_eq!(ben.say(change), refused);
    }
    assert_eq!(ben.say("SUBSCRIBE app:c"), "-NOPERM No permissions to access a channel");
    // He hears of his keys, and of no others.
    assert_eq!(ann.say("CONFIG SET notify-keyspace-events E$"), "+OK");
    assert!(ben.say("PSUBSCRIBE *").starts_with(">3"));
    assert_eq!(ann.say("SET app:k 1"), "+OK");
    assert_eq!(ann.say("SET app:ben:k 3"), "+OK");
    assert_eq!(ann.say("PUBLISH app:ben:c x"), ":1");
    assert_eq!(ben.say("PING"), ">4 $8 pmessage $1 * $18 __keyevent@0__:set $9 app:ben:k");
    // Apache cannot log in: it has a listener and a prefix of its own.
    let mut apache = Client::tcp(&node.listeners[1]);
    assert_eq!(apache.say("SET tls:k 1"), "+OK");
    assert_eq!(apache.say("GET app:k"), "-NOPERM No permissions to access a key");
    assert_eq!(apache.say("ACL WHOAMI"), "$7 default");
    // Whoever does not log in has his place for a while only: it is closed.
    assert!(silent.reply().is_empty());
    assert_eq!(ann.say("ACL WHOAMI"), "$3 ann");
}

#[test]
fn what_is_wrong_with_listeners_and_users_is_said() {
    let directory = directory();
    fs::write(directory.path().join("secret"), "x").expect("a file of ours");
    let check = |text: &str, expected: &[&str]| {
        let said = refused(directory.path(), text);
        assert!(expected.iter().all(|words| said.contains(words)), "{text}: {said}");
    };
    check(
        "[[redis.listener]]\nlisten = \"0.0.0.0:0\"\n",
        &["redis.listener[0].listen", "no password"],
    );
    check("[[redis.listener]]\nprefix = \"x\"\n", &["redis.listener[0].listen", "an empty list"]);
    let user = "[[redis.users]]\nname = \"NAME\"\npassword_file = \"FILE\"\n";
    check(&user.replace("NAME", "default").replace("FILE", "secret"), &["redis.users[0].name"]);
    check(&user.replace("NAME", "ann").replace("FILE", "none"), &["redis.users[0].password_file"]);
    check(
        &format!("redis.prefix = \"a:\"\n{}prefix = \"b:\"\n", user.replace("FILE", "secret")),
        &["redis.users[0].prefix", "begins with redis.prefix"],
    );
}
