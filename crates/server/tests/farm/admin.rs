//! The admin address as operators and their tools meet it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;

use toml::Table;

use crate::client::Client;
use crate::nodes::{Farm, Node, segue};
use crate::patience::{PATIENCE, until};

/// The whole answer to a request that is sent as it is.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // A server that refuses may reset: what it said before counts.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(node: &Node, path: &str) -> String {
    exchange(node.admin(), format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
}

fn status(admin: SocketAddr, arguments: &[&str]) -> Output {
    let url = format!("http://{admin}");
    segue().args(["status", "--admin", &url]).args(arguments).output().unwrap()
}

#[test]
fn a_node_shows_itself_in_every_form() {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let b = farm.start("b", &Table::new());
    Client::new(&farm).visit(a.tls()).unwrap();
    b.until_status(|status| status["cache"]["by_kind"]["tls"] == 1);
    a.until_status(|status| status["members"][0]["lag_ms"].is_number());

    let page = get(&a, "/");
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("with 1 other node"), "{page}");
    for header in ["content-security-policy: default-src 'none'; script-src 'self'", "nosniff"] {
        assert!(page.contains(header), "{page}");
    }
    for inline in ["<script>", "<style", " style=", " onclick="] {
        assert!(!page.contains(inline), "{inline} in {page}");
    }
    let script = get(&a, "/page.js");
    assert!(script.contains("content-type: text/javascript") && script.contains("nosniff"));
    assert!(get(&a, "/healthz").ends_with("ok\n"));
    assert!(get(&a, "/readyz").ends_with("\r\n\r\nready\n"));
    assert!(get(&a, "/elsewhere").starts_with("HTTP/1.1 404 "));

    let metrics = get(&a, "/metrics");
    for line in [
        "segue_node_info{name=\"a\",",
        "segue_ready 1\n",
        "segue_members{state=\"alive\"} 1\n",
        "segue_members_reached{by=\"multicast\"} 1\n",
        "segue_member_overflowed_packets_total{member=\"b\"} 0\n",
        "segue_multicast_overflowed_packets_total 0\n",
        "segue_cache_records{kind=\"tls\"} 1\n",
        "segue_tls_handshakes_total{kind=\"full\"} 1\n",
        "segue_replication_lag_seconds_bucket{le=\"+Inf\"} 1\n",
        "segue_replication_lag_seconds_count 1\n",
        "segue_connections_address 0\n",
        "segue_connections_link 0\n",
        "segue_connections_doubts_total 0\n",
        "segue_connections_moved_total{how=\"handed_over\"} 0\n",
        "segue_connections_refused_packets_total 0\n",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }

    let json = status(a.admin(), &["--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["members"][0]["name"], "b");
    assert_eq!(json["tls"]["handshakes_full"], 1);
    let table = status(a.admin(), &[]).stdout;
    let table = String::from_utf8(table).unwrap();
    assert!(table.starts_with("Node a is ready, with 1 other node\n"), "{table}");
    assert!(table.contains("  records          1 tls\n"), "{table}");
}

/// What a status says of the multicast.
const MULTICAST: [&str; 16] = [
    "sent_packets",
    "received_packets",
    "naks_sent",
    "naks_suppressed",
    "repairs_sent",
    "repairs_received",
    "unrecovered",
    "stalled",
    "overflowed",
    "clocks_ahead",
    "gossip_bytes",
    "gossip_refused",
    "digest_bytes",
    "ranges_fetched",
    "comparing",
    "rejected",
];

#[test]
fn the_status_has_the_documented_shape() {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let _b = farm.start("b", &Table::new());
    let status = a.until_status(|status| status["members"].as_array().unwrap().len() == 1);
    let check = |pointer: &str, expected: &[&str]| {
        let found = status.pointer(pointer).unwrap().as_object().unwrap();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        // JSON has them in no order.
        let found: BTreeSet<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{pointer}");
    };
    let whole =
        "node members portion cache lookups upstreams multicast links one_answer tls connections";
    check("", &whole.split(' ').collect::<Vec<_>>());
    check("/lookups", &["queries", "hedged", "repeated", "known_absent", "unanswered", "refused"]);
    let one_answer = "roster voters voters_alive registers answered failed unknown conflicts \
                      may_be_lost absorbed unfounded";
    check("/one_answer", &one_answer.split_whitespace().collect::<Vec<_>>());
    let links = "live made refused turned_away received_bytes sent_bytes dropped";
    check("/links", &links.split(' ').collect::<Vec<_>>());
    let node = "name incarnation version ready same_name placed_elsewhere keys";
    check("/node", &node.split(' ').collect::<Vec<_>>());
    let member = "name address state ready portion tier by heard_by lag_ms catching_up overflowed";
    check("/members/0", &member.split(' ').collect::<Vec<_>>());
    let portion = "share slots moving lingering replicas moved_records moved_bytes near_records \
                   near_bytes troubles";
    check("/portion", &portion.split(' ').collect::<Vec<_>>());
    check(
        "/cache",
        &[
            "records",
            "bytes",
            "capacity_bytes",
            "by_kind",
            "hits_local",
            "hits_near",
            "hits_remote",
            "hits_upstream",
            "misses",
            "evicted",
            "expired",
        ],
    );
    check("/cache/by_kind", &["tls", "auth", "conn", "purchase", "web"]);
    check("/multicast", &MULTICAST);
    check("/multicast/rejected", &["forged", "replayed", "malformed"]);
    check(
        "/tls",
        &[
            "handshakes_full",
            "resumed_local",
            "resumed_remote",
            "early_data_accepted",
            "early_data_refused",
            "claims",
            "claims_capacity",
            "claims_refused",
        ],
    );
    let connections = "live handed_over taken_over last_pause_ms carried address understudy \
                       protected plain followed lost left alone refused unheld strays overruns link \
                       doubts";
    check("/connections", &connections.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn nonsense_is_refused_and_harms_nobody() {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let huge = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert!(exchange(a.admin(), huge.as_bytes()).starts_with("HTTP/1.1 431 "));
    assert!(exchange(a.admin(), b"\x16\x03\x01\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let post =
        b"POST /api/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\n";
    assert!(exchange(a.admin(), post).starts_with("HTTP/1.1 405 "));
    // More that say nothing than there are places: those in their places are
    // shown the door when their time is up, and everybody else gets his turn.
    let silent: Vec<_> = (0..70).map(|_| TcpStream::connect(a.admin()).unwrap()).collect();
    assert!(get(&a, "/healthz").ends_with("ok\n"));
    drop(silent);
}

#[test]
fn an_address_that_is_taken_is_named_with_its_key_and_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for key in ["tls.listen", "admin.listen"] {
        let output = segue()
            .args(["serve", "--set", "farm.listen=127.0.0.1:0"])
            .args(["--set", "tls.listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0"])
            .args(["--set", &format!("{key}={address}")])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("error: {key}: {address}: another process")), "{said}");
        assert!(said.contains(&format!("--set {key}=ADDRESS")), "{said}");
    }
}

#[test]
fn a_reload_takes_over_what_is_good_and_refuses_what_is_not() {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let config = farm.path("a.toml");
    let good = std::fs::read_to_string(&config).unwrap();
    let logged = |text: &str| {
        let look = || a.logged().contains(text).then_some(());
        until(look, || format!("{text:?} is not in the log:\n{}", a.logged()));
    };

    std::fs::write(&config, good.replace("level = \"info\"", "level = \"loud\"")).unwrap();
    a.reload();
    logged("not reloaded: ");
    logged("log.level: found \"loud\"");

    std::fs::write(&config, good.replace("64MiB", "32MiB")).unwrap();
    a.reload();
    logged("at the next start only");
    assert!(a.stop().success());
}

#[test]
fn a_node_that_takes_leave_is_not_ready_any_more() {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let client = TcpStream::connect(a.tls()).unwrap();
    a.until_status(|status| status["connections"]["live"] == 1);
    a.terminate();
    // The client has said nothing yet: for its sake the node still runs.
    a.until_status(|status| status["node"]["ready"] == false);
    assert!(get(&a, "/readyz").starts_with("HTTP/1.1 503 "));
    drop(client);
    assert!(a.stop().success());
}
