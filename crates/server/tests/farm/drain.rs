//! `segue drain`: a node is told to leave, and who tells it.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use toml::Table;

use crate::admin::exchange;
use crate::nodes::{Farm, Node, segue};

fn drain(node: &Node) -> Command {
    let mut command = segue();
    command.args(["drain", "--admin", &format!("http://{}", node.admin())]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_node_leaves_when_its_last_client_has() {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let b = farm.start("b", &Table::new());
    let client = TcpStream::connect(a.tls()).unwrap();
    a.until_status(|status| status["connections"]["live"] == 1);
    let mut draining = drain(&a).spawn().unwrap();
    let mut said = BufReader::new(draining.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "draining: 1 live connections left\n");
    assert_eq!(a.status()["node"]["ready"], false);
    // Nothing is read of it before: the node waits for its client.
    drop(client);
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("the node is gone\n"), "{rest}");
    assert!(draining.wait().unwrap().success());
    assert!(a.ended().success());
    b.until_status(|status| status["members"][0]["state"] == "left");
}

#[test]
fn a_node_goes_on_when_its_connections_cannot_go_there() {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let _b = farm.start("b", &Table::new());
    a.until_status(|status| status["members"][0]["state"] == "alive");
    for (to, expected) in [
        ("x", "to: found \"x\", expected a live member of the farm: b"),
        ("b", "to: this node carries no connections ([connections]), so none can go to \"b\""),
    ] {
        let output = drain(&a).args(["--to", to]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(a.status()["node"]["ready"], true);
}

#[test]
fn a_page_in_a_browser_cannot_end_a_node() {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let post = |headers: &str, body: &str| {
        let head = "POST /api/drain HTTP/1.1\r\nHost: localhost\r\n";
        let request = format!("{head}{headers}Content-Length: {}\r\n\r\n{body}", body.len());
        exchange(a.admin(), request.as_bytes())
    };
    let json = "Content-Type: application/json\r\n";
    let wordy = format!("{{\"to\": \"{}\"}}", "x".repeat(2_000));
    for (headers, body, expected) in [
        (format!("{json}Origin: http://elsewhere.example\r\n"), "{}", "403"),
        (format!("{json}Sec-Fetch-Site: same-origin\r\n"), "{}", "403"),
        ("Content-Type: text/plain\r\n".to_owned(), "{}", "415"),
        (json.to_owned(), "{", "400"),
        (json.to_owned(), "{\"too\": \"b\"}", "422"),
        (json.to_owned(), wordy.as_str(), "413"),
    ] {
        let answer = post(&headers, body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{headers}{answer}");
    }
    assert_eq!(a.status()["node"]["ready"], true);
    assert!(post(json, "{}").starts_with("HTTP/1.1 202 "));
    assert!(a.ended().success());
}
