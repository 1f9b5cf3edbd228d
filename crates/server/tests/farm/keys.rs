//! A farm changes its key while sessions begin and packets are lost.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::client::Client;
use crate::nodes::{Farm, Node, segue};
use crate::patience::{say, until};
use crate::writer::Writer;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// How often the key is changed while sessions begin.
const ROTATIONS: usize = 4;

/// How often it is changed at full rate, as in a minute.
const MANY_ROTATIONS: usize = 20;

/// How many records are written at full rate, again and again.
const RECORDS: u64 = 10_000;

/// A node of the farm, with a copy of the key file that is its own.
fn start(farm: &mut Farm, name: &str) -> Node {
    let keys = format!("{name}.key");
    let keys = keys.as_str();
    copy_keys(farm, name);
    let settings = toml::toml! {
        [farm]
        keys = [keys]
        drop = 0.05
    };
    farm.start(name, &settings)
}

fn copy_keys(farm: &Farm, name: &str) {
    fs::copy(farm.path("farm.key"), farm.path(&format!("{name}.key"))).unwrap();
}

/// Takes the next step of a rotation, and gives what is said of it.
fn rotate(file: &Path) -> String {
    let output = segue().args(["keygen", "--rotate", "--out"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Gives a node the farm's key file, and waits until it uses it: its log says
/// so a moment before.
fn hand_over(farm: &Farm, node: &Node, name: &str) {
    let before = node.status()["node"]["keys"].clone();
    copy_keys(farm, name);
    node.reload();
    node.until_status(|status| status["node"]["keys"] != before);
}

fn knows_everyone(status: &Value) -> bool {
    let members = status["members"].as_array().unwrap();
    members.iter().filter(|member| member["state"] == "alive").count() == NAMES.len() - 1
}

#[test]
fn a_key_is_changed_several_times_under_load_and_loss() {
    let mut farm = Farm::new();
    let nodes = NAMES.map(|name| start(&mut farm, name));
    nodes.iter().for_each(|node| drop(node.until_status(knows_everyone)));
    let rotated = AtomicBool::new(false);
    let visit = |node: &Node| {
        let (first, mut clients) = (Client::new(&farm), Vec::new());
        while !rotated.load(Ordering::Relaxed) {
            let client = first.another();
            assert_eq!(client.visit(node.tls()).unwrap()["resumed"], false);
            clients.push(client);
        }
        clients
    };
    let clients: Vec<Client> = thread::scope(|scope| {
        let visitors = nodes.each_ref().map(|node| scope.spawn(|| visit(node)));
        for step in 0..3 * ROTATIONS {
            rotate(&farm.path("farm.key"));
            // Another one is the first each time.
            for turn in 0..NAMES.len() {
                let at = (step + turn) % NAMES.len();
                hand_over(&farm, &nodes[at], NAMES[at]);
            }
        }
        rotated.store(true, Ordering::Relaxed);
        visitors.into_iter().flat_map(|visitor| visitor.join().unwrap()).collect()
    });
    say(&format!("{} sessions began during {ROTATIONS} rotations", clients.len()));
    for node in &nodes {
        let all = |status: &Value| status["cache"]["by_kind"]["tls"] == clients.len();
        let status = node.until_status(all);
        let multicast = &status["multicast"];
        assert!(multicast["naks_sent"].as_u64().unwrap() > 0, "packets were lost");
        assert_eq!(multicast["unrecovered"], 0, "{multicast:#}");
        assert_eq!(multicast["rejected"]["forged"], 0, "{multicast:#}");
    }
    for client in clients.iter().step_by(10) {
        assert_eq!(client.visit(nodes[2].tls()).unwrap()["resumed"], true);
    }
}

/// Takes every step of many rotations at all nodes and at the writer, who
/// writes on meanwhile. The next step comes when all of them use the keys of
/// the last.
fn rotate_many_times(farm: &Farm, nodes: &[Node], writer: &Writer) {
    for _ in 0..MANY_ROTATIONS {
        for keys in [2, 2, 1] {
            let before = writer.status().keys;
            rotate(&farm.path("farm.key"));
            for (node, name) in nodes.iter().zip(NAMES) {
                hand_over(farm, node, name);
            }
            writer.rekey(farm);
            let taken = || Some(writer.status().keys).filter(|after| *after != before);
            let taken = until(taken, || format!("still {before:?}"));
            assert_eq!(taken.len(), keys);
            for node in nodes {
                node.until_status(|status| status["node"]["keys"] == serde_json::json!(taken));
            }
        }
    }
}

/// Twenty keys are on their way out at a time, each for at least 15 seconds.
#[test]
fn twenty_rotations_at_full_rate_and_loss_lose_nothing() {
    let mut farm = Farm::new();
    let nodes = NAMES.map(|name| start(&mut farm, name));
    let writer = Writer::join(&farm, "writer", 0.05);
    writer.until_it_knows(NAMES.len());
    let retired = AtomicBool::new(false);
    let last = thread::scope(|scope| {
        let rounds = scope.spawn(|| {
            let mut round = 0_u64;
            while !retired.load(Ordering::Relaxed) {
                round += 1;
                writer.write(0..RECORDS, &round.to_be_bytes());
            }
            round
        });
        rotate_many_times(&farm, &nodes, &writer);
        for node in &nodes {
            let count = || node.logged().matches("opens no more").count();
            until(|| (count() == MANY_ROTATIONS).then_some(()), || node.logged());
        }
        retired.store(true, Ordering::Relaxed);
        rounds.join().unwrap()
    });
    writer.write_everywhere(RECORDS, b"the end");
    say(&format!("{} records were written during {MANY_ROTATIONS} rotations", last * RECORDS));
    let rejected = writer.status().multicast.rejected;
    assert_eq!((rejected.forged, rejected.malformed), (0, 0));
    drop(writer);
    for node in &nodes {
        let status = node.until_status(|status| status["cache"]["records"] == RECORDS + 1);
        let multicast = &status["multicast"];
        assert!(multicast["naks_sent"].as_u64().unwrap() > 0, "packets were lost");
        assert_eq!(multicast["rejected"]["forged"], 0, "{multicast:#}");
        assert_eq!(multicast["rejected"]["malformed"], 0, "{multicast:#}");
    }
    let reader = Writer::join(&farm, "reader", 0.0);
    for number in 0..RECORDS {
        assert!(reader.value(number) == Some(last.to_be_bytes().to_vec()), "record {number}");
    }
}

#[test]
fn who_does_not_get_the_new_key_reads_no_more() {
    let mut farm = Farm::new();
    let nodes = NAMES.map(|name| start(&mut farm, name));
    nodes.iter().for_each(|node| drop(node.until_status(knows_everyone)));
    for _ in 0..3 {
        rotate(&farm.path("farm.key"));
        (0..2).for_each(|at| hand_over(&farm, &nodes[at], NAMES[at]));
    }
    let client = Client::new(&farm);
    assert_eq!(client.visit(nodes[0].tls()).unwrap()["resumed"], false);
    nodes[1].until_status(|status| status["cache"]["by_kind"]["tls"] == 1);
    let forged = |status: &Value| status["multicast"]["rejected"]["forged"].as_u64().unwrap();
    let expelled = nodes[2].until_status(|status| forged(status) > 10);
    assert_eq!(expelled["cache"]["by_kind"]["tls"], 0);
    assert!(expelled["members"].as_array().unwrap().len() == 2);
}

#[test]
fn a_reload_that_would_place_records_elsewhere_changes_nothing() {
    let mut farm = Farm::new();
    let node = start(&mut farm, "a");
    rotate(&farm.path("farm.key"));
    hand_over(&farm, &node, "a");
    let stranger = farm.path("stranger.key");
    assert!(segue().arg("keygen").arg("--out").arg(&stranger).output().unwrap().status.success());
    let said = rotate(&stranger);
    assert!(said.contains("is installed beside key"), "{said}");
    fs::copy(&stranger, farm.path("a.key")).unwrap();
    let keys = node.status()["node"]["keys"].clone();
    node.reload();
    let refused = || node.logged().contains("not reloaded: farm.keys: the new keyring places");
    until(|| refused().then_some(()), || node.logged());
    assert_eq!(node.status()["node"]["keys"], keys);
}
