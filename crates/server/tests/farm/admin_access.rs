//! Who may look and order at the admin address: what the page's browser tests see,
//! request by request, and what only tools do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use toml::Table;

use crate::admin::exchange;
use crate::http::TOKEN;
use crate::nodes::{Farm, Node, segue};
use crate::patience::{PATIENCE, until};

/// The status of the answer to a request with these headers.
fn asked(node: &Node, request: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let body = "{\"user\":\"ada\"}";
    let length = if request.starts_with("POST") { body.len() } else { 0 };
    let request = format!(
        "{request} HTTP/1.1\r\n{headers}Content-Type: application/json\r\nContent-Length: \
         {length}\r\n\r\n{}",
        &body[..length]
    );
    let answer = exchange(node.admin(), request.as_bytes());
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn what_a_page_of_others_has_asked_is_refused() {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let host = &*format!("Host: {}", a.admin());
    for request in ["GET /api/status", "GET /api/events", "GET /metrics", "POST /api/sessions/end"]
    {
        for foreign in [
            &[host, "Sec-Fetch-Site: cross-site"][..],
            &[host, "Sec-Fetch-Site: same-site"],
            &[host, "Origin: http://evil.example"],
            &[host, "Origin: null", "X-Segue-Order: 1"],
            &["Host: rebound.example:9700"],
            &["Host: rebound.example:9700", "Sec-Fetch-Site: same-origin", "X-Segue-Order: 1"],
        ] {
            assert_eq!(asked(&a, request, foreign), "403", "{request} {foreign:?}");
        }
    }
    let own = [host, "Sec-Fetch-Site: same-origin", "X-Segue-Order: 1"];
    assert_eq!(asked(&a, "POST /api/sessions/end", &own), "200");
    assert_eq!(asked(&a, "POST /api/sessions/end", &own[..2]), "403", "a form has no such header");
    assert_eq!(asked(&a, "GET /healthz", &["Host: anything"]), "200");
    assert_eq!(asked(&a, "POST /api/drill", &own), "404", "it is no demo");
}

fn tool(node: &Node, arguments: &[&str], token: Option<&str>) -> Output {
    let admin = format!("http://{}", node.admin());
    let mut command = segue();
    command.args(arguments).args(["--admin", &admin]);
    if let Some(token) = token {
        command.env("SEGUE_ADMIN_TOKEN_FILE", token);
    }
    command.output().unwrap()
}

#[test]
fn where_there_is_a_token_tools_show_it() {
    let mut farm = Farm::new();
    let guarded = toml::toml! { admin.token_file = "admin.token" };
    let a = farm.start("a", &guarded);
    let bearer = &*format!("Authorization: Bearer {TOKEN}");
    for request in ["GET /api/status", "GET /api/events", "GET /metrics", "GET /", "GET /page.js"] {
        assert_eq!(asked(&a, request, &["Host: a"]), "401", "{request}");
        assert_eq!(asked(&a, request, &["Host: a", "Authorization: Bearer x"]), "401");
        if request != "GET /api/events" {
            assert_eq!(asked(&a, request, &["Host: a", bearer]), "200", "{request}");
        }
    }
    for request in ["GET /healthz", "GET /readyz", "GET /page.css"] {
        assert_eq!(asked(&a, request, &["Host: a"]), "200", "{request}");
    }
    let file = farm.path("admin.token");
    let file = file.to_str().unwrap();
    let refused = tool(&a, &["status"], None);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("--token-file FILE"), "{said}");
    assert!(tool(&a, &["status", "--token-file", file], None).status.success());
    assert!(tool(&a, &["sessions", "list"], Some(file)).status.success());
    assert!(!tool(&a, &["drain"], None).status.success());
    assert!(tool(&a, &["drain"], Some(file)).status.success());
}

#[test]
fn figures_may_be_for_everybody_alone() {
    let mut farm = Farm::new();
    let open = toml::toml! {
        admin.token_file = "admin.token"
        admin.metrics_open = true
    };
    let a = farm.start("a", &open);
    assert_eq!(asked(&a, "GET /metrics", &["Host: a"]), "200");
    assert_eq!(asked(&a, "GET /api/status", &["Host: a"]), "401");
}

/// A listener of the page's events that reads when it is told to.
fn listen(node: &Node) -> TcpStream {
    let mut stream = TcpStream::connect(node.admin()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream
}

/// Reads until the text was there; whether it was.
fn hears(stream: &mut TcpStream, text: &str) -> bool {
    let (mut heard, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        heard.extend(&chunk[..count]);
        if String::from_utf8_lossy(&heard).contains(text) {
            return true;
        }
    }
    false
}

#[test]
fn listeners_are_few_and_end_with_the_node() {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let mut listeners: Vec<_> = (0..16).map(|_| listen(&a)).collect();
    for listener in &mut listeners {
        assert!(hears(listener, "\"history\":{"), "the past is told at once");
    }
    assert!(hears(&mut listen(&a), "HTTP/1.1 503 "));
    // One that leaves makes room.
    drop(listeners.pop());
    until(|| hears(&mut listen(&a), "\"picture\":{").then_some(()), || "no place".to_owned());
    // More than a connection's time later they are told still, and the node ends.
    assert!(hears(&mut listeners[0], "\"headline\":\"Node a is ready"));
    assert!(a.stop().success());
    assert!(!hears(&mut listeners[0], "nothing more"), "it has an end");
}

#[test]
fn a_demo_kills_its_nodes_as_a_crash_does() {
    let mut farm = Farm::of_a_demo();
    let a = farm.start("a", &Table::new());
    let b = farm.start("b", &Table::new());
    a.until_status(|status| status["members"][0]["state"] == "alive");
    for (killed, expected) in [(b.farm(), "HTTP/1.1 202 "), (a.farm(), "")] {
        let order = format!("{{\"address\":\"{killed}\"}}");
        let request = format!(
            "POST /api/drill HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{order}",
            order.len()
        );
        assert!(exchange(a.admin(), request.as_bytes()).starts_with(expected));
    }
    for node in [a, b] {
        assert_eq!(node.ended().signal(), Some(9));
    }
}
