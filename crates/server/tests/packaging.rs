//! What `packaging/` says, held against the program: figures that alerts and the
//! dashboard ask for are exported, configurations are accepted, and what the
//! Debian package is made of is there.
//!
//! The files' own forms are their tools' business: of these, Prometheus' is asked.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, there and then")]

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Above what any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node with every part that has figures. Nobody is at the engine's address,
/// which keeps no node from starting.
const EVERYTHING: &str = r#"
    farm = { keys = "farm.key", listen = "127.0.0.1:0", transport = "unicast" }
    tls.listen = "127.0.0.1:0"
    redis.listen = "127.0.0.1:0"
    memcached.listen = "127.0.0.1:0"
    admin.listen = "127.0.0.1:0"
    upstream = [{ redis = "redis://127.0.0.1:1" }]
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The program, without what the environment would tell it.
fn segue() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_segue"));
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| name.starts_with("SEGUE_")) {
        command.env_remove(name);
    }
    command
}

/// A directory with a farm's key.
fn place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let made = segue().arg("keygen").arg("--out").arg(place.path().join("farm.key")).output();
    assert!(made.unwrap().status.success());
    place
}

/// A process that ends with the test.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a node with every part answers to a collector.
fn metrics() -> String {
    let place = place();
    let config = place.path().join("segue.toml");
    fs::write(&config, EVERYTHING).unwrap();
    let mut command = segue();
    command.arg("serve").arg("--config").arg(&config);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    sys::process::die_with_parent(&mut command);
    let mut node = Node(command.spawn().unwrap());
    let mut ready = String::new();
    BufReader::new(node.0.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let admin = ready.split(' ').find_map(|word| word.strip_prefix("admin=")).unwrap();
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The names of figures that a text has.
fn figures(text: &str) -> BTreeSet<&str> {
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = |(at, _): (usize, &str)| text[at..].split(|c: char| !is_in_name(c)).next().unwrap();
    text.match_indices("segue_").map(name).collect()
}

/// The labels that a text asks for by value, as `state="alive"`; but for those
/// that the collector adds.
fn labels(text: &str) -> BTreeSet<String> {
    let label = |(at, _): (usize, &str)| {
        let name = text[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
        let value = text[at..].split('"').nth(1);
        (name.unwrap(), value.unwrap())
    };
    let labels = text.match_indices("=\"").map(label);
    let own = labels.filter(|(name, _)| !["job", "instance"].contains(name));
    own.map(|(name, value)| format!("{name}=\"{value}\"")).collect()
}

/// The expressions of all panels.
fn expressions(dashboard: &Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().unwrap()).collect()
}

/// The lines of a text that begin so, without that.
fn lines_after<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix(start)).collect()
}

#[test]
fn alerts_and_the_dashboard_ask_for_figures_that_there_are() {
    let metrics = metrics();
    let samples = metrics.lines().filter(|line| line.starts_with("segue_"));
    let exported: BTreeSet<&str> =
        samples.filter_map(|line| line.split(['{', ' ']).next()).collect();
    let dashboard: Value =
        serde_json::from_str(&text_of("packaging/grafana/dashboard.json")).unwrap();
    let alerts = text_of("packaging/prometheus/alerts.yaml");
    let panels = expressions(&dashboard).join("\n");
    assert!(figures(&alerts).len() > 20 && figures(&panels).len() > 20, "they were found");
    for asked in [&alerts, &panels, &text_of("docs/operations.md")] {
        let missing: Vec<_> =
            figures(asked).into_iter().filter(|it| !exported.contains(it)).collect();
        assert!(missing.is_empty(), "nobody exports {missing:?}; there are {exported:#?}");
    }
    for asked in [alerts, panels] {
        let missing: Vec<_> =
            labels(&asked).into_iter().filter(|it| !metrics.contains(it.as_str())).collect();
        assert!(missing.is_empty(), "no figure has {missing:?}:\n{metrics}");
    }
}

#[test]
fn operations_say_what_to_do_about_every_alert() {
    let alerts = text_of("packaging/prometheus/alerts.yaml");
    let operations = text_of("docs/operations.md");
    let told: BTreeSet<&str> = lines_after(&operations, "**Segue")
        .into_iter()
        .filter_map(|line| line.split('*').next())
        .collect();
    let there: BTreeSet<&str> = lines_after(&alerts, "- alert: Segue").into_iter().collect();
    assert!(!there.is_empty());
    assert_eq!(there, told);
}

/// All configurations of a folder.
fn configurations(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            configurations(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
}

/// The text with the keys and sections that stand in comments.
fn uncommented(text: &str) -> String {
    let line = |line: &str| {
        let rest = line.strip_prefix("# ").unwrap_or_default();
        let is_key = rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        let shown = if is_key || rest.starts_with('[') { rest } else { line };
        format!("{shown}\n")
    };
    // Of interfaces every machine has this one.
    text.lines().map(line).collect::<String>().replace("\"eth0\"", "\"lo\"")
}

#[test]
fn every_configuration_is_accepted_also_what_stands_in_comments() {
    let place = place();
    let made = rcgen::generate_simple_self_signed(["shop.segue.example".to_owned()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    fs::create_dir(place.path().join("tls")).unwrap();
    let (cert, key) = (cert.as_str(), key.as_str());
    for (name, text) in [
        ("cert.pem", cert),
        ("key.pem", key),
        ("tls/tls.crt", cert),
        ("tls/tls.key", key),
        ("redis.password", "secret\n"),
        ("admin.token", "0123456789abcdef\n"),
    ] {
        let path = place.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }
    let mut found = Vec::new();
    configurations(&root().join("packaging"), &mut found);
    assert!(found.len() >= 3, "they were found: {found:?}");
    for path in found {
        let given = fs::read_to_string(&path).unwrap();
        for text in [uncommented(&given), given] {
            let config = place.path().join("segue.toml");
            fs::write(&config, &text).unwrap();
            let checked = segue().arg("check").arg("--config").arg(&config).output().unwrap();
            let said = String::from_utf8_lossy(&checked.stderr).into_owned();
            assert!(checked.status.success() && said.is_empty(), "{path:?}: {said}\n{text}");
        }
    }
}

#[test]
fn what_the_package_is_made_of_is_there() {
    let manifest: toml::Table = toml::from_str(&text_of("crates/server/Cargo.toml")).unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let assets = deb["assets"].as_array().unwrap();
    let sources = assets.iter().map(|asset| asset[0].as_str().unwrap());
    let units = deb["systemd-units"]["unit-scripts"].as_str().unwrap();
    let scripts = deb["maintainer-scripts"].as_str().unwrap();
    let unit = format!("{units}segue.service");
    let postinst = format!("{scripts}postinst");
    let build = text_of("packaging/debian/build");
    for source in sources.chain([&*unit, &*postinst]) {
        // The program, and what it writes of itself, is made by `build`.
        let is_made = match source.strip_prefix("../../target/packaging/") {
            Some(name) => build.contains(&format!("$out/{name}")),
            None => source == "target/release/segue",
        };
        let path = root().join("crates/server").join(source.trim_end_matches("*.md"));
        let is_there = if source.ends_with("*.md") { path.is_dir() } else { path.is_file() };
        assert!(is_made || is_there, "{source} is not there");
    }
}

/// Tells that something was skipped; where nothing may be, it is a failure.
#[expect(clippy::print_stderr, reason = "what is told is meant for the terminal")]
fn skipped(why: &str) {
    let required = std::env::var_os("SEGUE_REQUIRE_NETNS").is_some_and(|it| it == "1");
    assert!(!required, "{why}");
    eprintln!("skipped: {why}");
}

#[test]
fn alerts_are_given_when_they_should_be() {
    let place = root().join("packaging/prometheus");
    for words in [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]] {
        match Command::new("promtool").args(words).current_dir(&place).output() {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(error) => skipped(&format!("promtool: {error}; the package prometheus has it")),
        }
    }
}
