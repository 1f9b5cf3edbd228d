//! Listeners of both protocols that speak TLS, with `openssl`, `redis-cli` and
//! rustls as clients, and certificates that are renewed meanwhile.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::{Client, request};
use crate::memcached::talk::Talk;
use crate::node::{Node, directory, refused};
use crate::patience::{PATIENCE, until};

/// A certificate that signs itself, with its key, as `cert.pem` and `key.pem`.
pub(crate) fn certificate(directory: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        // No client takes that of an authority for a server's.
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
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

/// A connection by rustls, which takes a server with this certificate only.
fn by_rustls(address: &str, certificate: &[u8]) -> Option<impl Read + Write + Send + use<>> {
    let certificate = CertificateDer::from_pem_slice(certificate).expect("openssl made it");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("it can be read");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("what the provider has")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("it can begin");
    let socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
    let mut stream = StreamOwned::new(connection, socket);
    stream.conn.complete_io(&mut stream.sock).ok()?;
    Some(stream)
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
fn clients_of_memcached_speak_tls_too() {
    let directory = directory();
    certificate(directory.path());
    let more = "memcached.listen = \"127.0.0.1:0\"\n\
                memcached.certificate = { cert = \"cert.pem\", key = \"key.pem\" }\n";
    let node = Node::start(directory.path(), "a", more);
    let large = "x".repeat(300_000);
    let asked = format!("set k 5 0 300000\r\n{large}\r\nget k\r\nmg k s\r\nquit\r\n");
    let said = by_openssl(&node.memcached, directory.path(), asked.as_bytes());
    let expected = format!("STORED\r\nVALUE k 5 300000\r\n{large}\r\nEND\r\nHD s300000\r\n");
    assert!(said == expected, "{} bytes", said.len());
    let shown = fs::read(directory.path().join("cert.pem")).expect("openssl wrote it");
    let mut client = Talk::new(by_rustls(&node.memcached, &shown).expect("a handshake"));
    assert_eq!(client.say("mg k s"), "HD s300000");
    // Who speaks no TLS is not served, and counted.
    assert!(!Talk::tcp(&node.memcached).lines(b"get k\r\n").starts_with(b"VALUE"));
    let failed = || {
        let status = node.status();
        let failed = status.pointer("/memcached/failed_handshakes")?.as_u64()?;
        (failed == 1).then_some(())
    };
    until(failed, || format!("{:#}", node.status()));
}

#[test]
fn certificates_are_renewed_while_clients_stay() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    certificate(directory.path());
    let shown = "certificate = { cert = \"cert.pem\", key = \"key.pem\" }\n";
    let more = format!(
        "redis.{shown}memcached.listen = \"127.0.0.1:0\"\nmemcached.{shown}\
         [[redis.listener]]\nlisten = \"unix:{}\"\n",
        path("plain").display()
    );
    let node = Node::start(directory.path(), "a", &more);
    let old = fs::read(path("cert.pem")).expect("openssl wrote it");
    let [redis, memcached] = [&node.redis, &node.memcached];
    let mut stays = Talk::new(by_rustls(memcached, &old).expect("a handshake"));
    assert_eq!(stays.say("set k 0 0 1|x"), "STORED");
    certificate(directory.path());
    let new = fs::read(path("cert.pem")).expect("openssl wrote it");
    assert!(by_rustls(redis, &new).is_none(), "it was not told to read the files");
    node.process.reload();
    for address in [redis, memcached] {
        let shows_it = || by_rustls(address, &new).map(drop);
        until(shows_it, || format!("{address} shows another certificate"));
        assert!(by_rustls(address, &old).is_none(), "{address}");
    }
    assert_eq!(stays.say("get k"), "VALUE k 0 1 x END");
    // What cannot be used changes nothing.
    fs::write(path("cert.pem"), "nothing").expect("a file of ours");
    node.process.reload();
    until(
        || node.process.logged().contains("not reloaded").then_some(()),
        || node.process.logged(),
    );
    assert!(by_rustls(redis, &new).is_some() && by_rustls(memcached, &new).is_some());
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let directory = directory();
    certificate(directory.path());
    fs::write(directory.path().join("other.pem"), b"nothing").expect("a file of ours");
    for section in ["redis", "memcached"] {
        let certificate = |cert: &str, key: &str| {
            format!("{section}.certificate = {{ cert = \"{cert}\", key = \"{key}\" }}\n")
        };
        let said = refused(directory.path(), &certificate("other.pem", "key.pem"));
        let named = said.contains(&format!("{section}.certificate.cert"));
        assert!(named && said.contains("other.pem"), "{said}");
        let said = refused(directory.path(), &certificate("cert.pem", "none.pem"));
        assert!(said.contains(&format!("{section}.certificate.key")), "{said}");
    }
}
