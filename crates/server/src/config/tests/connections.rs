//! `[connections]`: what is taken, refused and warned of.

use std::time::Duration;

use super::{Place, check};

/// A configuration of a farm whose TLS listener has the virtual address, with
/// this under `[connections]`.
fn with(tls: &str, connections: &str) -> String {
    format!(
        "[farm]\nkeys = \"farm.key\"\n[tls]\nlisten = \"10.77.0.100:443\"\n{tls}\n[connections]\n\
         {connections}\n"
    )
}

const USUAL: &str = "address = \"10.77.0.100/24\"\ninterface = \"eth0\"";
const BACKEND: &str = "backend = \"10.77.0.50:8080\"";

#[test]
fn what_is_not_said_has_defaults() {
    let config = Place::new(&with(BACKEND, USUAL)).load().unwrap();
    assert_eq!(config.warnings, [""; 0]);
    let connections = config.sections.connections.unwrap();
    assert!(connections.takeover && connections.plain.is_empty());
    assert_eq!(connections.hold_timeout.0, Duration::from_millis(200));
    assert_eq!(connections.detect.0, Duration::from_millis(100));
    let six = "[tls]\nlisten = \"[fd00::100]:443\"\nbackend = \"[fd00::50]:80\"\n[connections]\n\
               address = \"fd00::100/64\"\ninterface = \"eth0\"\n";
    let config = Place::new(six).load().unwrap();
    assert_eq!(config.sections.connections.unwrap().address.prefix, 64);
    assert!(Place::new("").load().unwrap().sections.connections.is_none());
}

#[test]
fn the_address_comes_with_its_prefix_and_the_interface_is_named() {
    check(
        &with(BACKEND, "address = \"10.77.0.100\"\ninterface = \"eth0\""),
        "DIR/segue.toml:7: connections.address: found \"10.77.0.100\", expected an IP address and \
         the length of its prefix, as \"10.77.0.100/24\"",
    );
    check(
        &with(BACKEND, "address = \"10.77.0.100/33\"\ninterface = \"eth0\""),
        "DIR/segue.toml:7: connections.address: found 10.77.0.100/33, expected a prefix of 1 to 32 \
         bits, as 10.77.0.100/24",
    );
    check(
        &with(BACKEND, "address = \"127.0.0.1/8\"\ninterface = \"eth0\""),
        "DIR/segue.toml:7: connections.address: found 127.0.0.1, expected an address that several \
         machines can have, one after the other",
    );
    check(
        &with(BACKEND, "address = \"10.77.0.100/24\""),
        "DIR/segue.toml:6: connections: found nothing, expected a value for `interface`",
    );
    check(
        &with(BACKEND, &format!("{USUAL}\ntake_over = true")),
        "DIR/segue.toml:9: connections.take_over: found an unknown key, expected one of \
         \"address\", \"interface\", \"takeover\", \"hold_timeout\", \"detect\", \"plain\"; did you \
         mean \"takeover\"?",
    );
}

#[test]
fn times_are_bounded() {
    check(
        &with(BACKEND, &format!("{USUAL}\nhold_timeout = \"0s\"\ndetect = \"20ms\"")),
        "DIR/segue.toml:9: connections.hold_timeout: found 0s, expected from 1ms to 10s\n\
         error: DIR/segue.toml:10: connections.detect: found 20ms, expected from 30ms to 10s",
    );
}

/// What is said of one `[[connections.plain]]`, whose first line is the tenth.
#[track_caller]
fn check_plain(listen: &str, backend: &str, expected: &str) {
    let plain = format!("[[connections.plain]]\nlisten = \"{listen}\"\nbackend = \"{backend}\"");
    check(&with(BACKEND, &format!("{USUAL}\n{plain}")), expected);
}

#[test]
fn a_plain_listener_is_at_the_address_and_its_backend_elsewhere() {
    check_plain(
        "10.77.0.101:22",
        "10.77.0.50:22",
        "DIR/segue.toml:10: connections.plain[0].listen: found 10.77.0.101:22, expected a port of \
         connections.address, 10.77.0.100",
    );
    check_plain(
        "10.77.0.100:0",
        "10.77.0.50:0",
        "DIR/segue.toml:10: connections.plain[0].listen: found 10.77.0.100:0, expected a port \
         above 0, the same at all nodes\n\
         error: DIR/segue.toml:11: connections.plain[0].backend: found 10.77.0.50:0, expected the \
         address and port of a server, as 10.77.0.50:22",
    );
    check_plain(
        "10.77.0.100:443",
        "[fd00::50]:22",
        "DIR/segue.toml:10: connections.plain[0].listen: found 10.77.0.100:443, where another \
         listener is, expected a port of its own\n\
         error: DIR/segue.toml:11: connections.plain[0].backend: found [fd00::50]:22, expected an \
         address of the family of connections.address, 10.77.0.100",
    );
}

#[test]
fn what_is_served_and_not_carried_is_warned_of() {
    let warnings = |text: &str| {
        let place = Place::new(text);
        let directory = place.path("").display().to_string();
        let warnings = place.load().unwrap().warnings.join("\n");
        warnings.replace(directory.trim_end_matches('/'), "DIR")
    };
    for backend in ["127.0.0.1:80", "[::1]:80", "localhost:80", "unix:/run/app.sock"] {
        let text = with(&format!("backend = \"{backend}\""), USUAL);
        let expected = format!(
            "DIR/segue.toml:5: tls.backend: found {backend}, which only this machine reaches, \
             expected an address that all nodes reach; its connections are served, not carried"
        );
        assert_eq!(warnings(&text), expected);
    }
    let plain = format!(
        "{USUAL}\n[[connections.plain]]\nlisten = \"10.77.0.100:22\"\nbackend = \"127.0.0.1:22\""
    );
    assert!(warnings(&with(BACKEND, &plain)).contains(":11: connections.plain[0].backend: found"));
    assert!(warnings(&with("", USUAL)).contains("tls.backend: found the built-in pages"));
    let nobody = format!("[connections]\n{USUAL}\n");
    assert_eq!(
        warnings(&nobody),
        "DIR/segue.toml:1: connections: found connections without farm.keys, expected the key of \
         a farm; nobody can go on with connections of a node that is alone\n\
         DIR/segue.toml:1: connections: found no listener, expected a listener at 10.77.0.100, in \
         tls.listen or connections.plain"
    );
    let apart = "[farm]\nkeys = \"farm.key\"\ntransport = \"unicast\"\n";
    assert!(warnings(&format!("{apart}{nobody}")).contains("connections without farm.peers"));
}
