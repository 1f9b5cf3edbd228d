//! OpenSSL's client, as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::channel;

use super::rustls_client::{ended, text};
use super::server::{Plan, Told, serve, terminator};

const SUITES: [&str; 3] =
    ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

fn client(address: SocketAddr, suite: &str, options: &[&str]) -> (Child, ChildStdin, ChildStdout) {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-servername", "localhost"])
        .args(["-tls1_3", "-ciphersuites", suite])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    (child, stdin, stdout)
}

#[test]
fn megabytes_pass_while_the_owner_changes() {
    const TOTAL: usize = 4_000_000;
    for (suite, seed) in SUITES.into_iter().zip(11..) {
        let (sender, told) = channel();
        let plan = Plan { seed, updates: true, closes_after: Some(TOTAL as u64) };
        let address = serve(terminator(|_| {}).0, plan, sender);
        let (mut child, mut stdin, mut stdout) = client(address, suite, &["-quiet"]);
        let written = text(0, TOTAL);
        let writing = written.clone();
        let writer = std::thread::spawn(move || {
            stdin.write_all(&writing).unwrap();
            stdin
        });
        let mut read = Vec::new();
        stdout.read_to_end(&mut read).unwrap();
        drop(writer.join().unwrap());
        child.wait().unwrap();
        assert!(read == written, "{} of {TOTAL} bytes came back", read.len());
        let ended = ended(&told);
        assert_eq!((ended.failure, ended.received.plain), (None, TOTAL as u64));
        assert!(ended.owners > 5 && ended.sent.generation > 5, "{ended:?}");
    }
}

/// Its commands: `K` changes both keys, `k` its own, `Q` ends it.
#[test]
fn keys_are_changed_by_the_client() {
    for suite in SUITES {
        let (sender, told) = channel();
        let plan = Plan { seed: 3, updates: false, closes_after: None };
        let address = serve(terminator(|_| {}).0, plan, sender);
        let (mut child, mut stdin, stdout) = client(address, suite, &["-brief"]);
        let mut lines = BufReader::new(stdout).lines();
        let mut echo = |stdin: &mut ChildStdin, line: &str| {
            writeln!(stdin, "{line}").unwrap();
            assert!(lines.any(|echoed| echoed.unwrap() == line), "{line} comes back");
        };
        echo(&mut stdin, "before");
        for (turned, command) in (1..).zip(["K", "k", "K"]) {
            // The client takes what it reads at once for one command.
            writeln!(stdin, "{command}").unwrap();
            assert_eq!(told.recv().unwrap(), Told::ClientKey(turned));
            echo(&mut stdin, &format!("after {turned}"));
        }
        writeln!(stdin, "Q").unwrap();
        assert!(child.wait().unwrap().success());
        let ended = ended(&told);
        assert_eq!((ended.failure, ended.received.generation), (None, 3));
        // What was not asked for was not given.
        assert_eq!(ended.sent.generation, 2);
    }
}
