//! Who may come in where: listeners with TLS, with prefixes, and with users.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::client::{Client, request};
use crate::node::{Node, directory, refused};

/// A certificate that signs itself, with its key, as `cert.pem` and `key.pem`.
fn certificate(directory: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-keyout"])
        .arg(directory.join("key.pem"))
        .arg("-out")
        .arg(directory.join("cert.pem"))
        .output();
    let made = made.expect("openssl is installed (see .ci/packages)");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// What `openssl s_client` gets for what it sends.
fn by_openssl(address: &str, directory: &Path, bytes: &[u8]) -> String {
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-connect", address, "-CAfile"])
        .arg(directory.join("cert.pem"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed (see .ci/packages)");
    let mut stdin = client.stdin.take().expect("it is piped");
    stdin.write_all(bytes).expect("it reads");
    let mut said = String::new();
    // The node closes after QUIT.
    client.stdout.take().expect("it is piped").read_to_string(&mut said).expect("text");
    drop(stdin);
    client.wait().expect("it is ours");
    said
}

#[test]
fn a_listener_speaks_tls_to_foreign_clients() {
    let directory = directory();
    certificate(directory.path());
    fs::write(directory.path().join("secret"), "open sesame").expect("a file of ours");
    let more = "redis.certificate = { cert = \"cert.pem\", key = \"key.pem\" }\n\
                redis.password_file = \"secret\"\n\
                [[redis.listener]]\nlisten = \"127.0.0.1:0\"\n";
    let node = Node::start(directory.path(), "a", more);
    let large = "x".repeat(300_000);
    let asked = [
        request(&["AUTH", "open sesame"]),
        request(&["SET", "k", &large]),
        request(&["STRLEN", "k"]),
        request(&["GET", "k"]),
        request(&["QUIT"]),
    ];
    let said = by_openssl(&node.redis, directory.path(), &asked.concat());
    let expected = format!("+OK\r\n+OK\r\n:300000\r\n$300000\r\n{large}\r\n+OK\r\n");
    assert!(said == expected, "{} bytes", said.len());
    // The other listener is open and plain, and has the same keys.
    assert_eq!(Client::tcp(&node.listeners[1]).say("STRLEN k"), ":300000");
    // Who speaks no TLS is not served by the first one.
    let mut plain = node.client();
    plain.send(&request(&["PING"]));
    let reply = plain.reply();
    assert!(!reply.starts_with(b"+PONG"), "{}", reply.escape_ascii());
    let redis_cli = Command::new("redis-cli")
        .args(["-h", "127.0.0.1", "-p", node.redis.rsplit_once(':').expect("an address").1])
        .args(["--tls", "-a", "open sesame", "--no-auth-warning", "--cacert"])
        .arg(directory.path().join("cert.pem"))
        .args(["--sni", "localhost", "STRLEN", "k"])
        .output();
    let redis_cli = redis_cli.expect("redis-cli is installed (see .ci/packages)");
    let said = String::from_utf8_lossy(&redis_cli.stdout).into_owned();
    assert_eq!(said.trim(), "300000", "{}", String::from_utf8_lossy(&redis_cli.stderr));
}

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
    certificate(directory.path());
    fs::write(directory.path().join("other.pem"), b"nothing").expect("a file of ours");
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
    check(
        "redis.certificate = { cert = \"other.pem\", key = \"key.pem\" }\n",
        &["redis.certificate.cert", "other.pem"],
    );
}
