//! Odd things about where the address is, and where a backend is.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use ground::command::run;
use ground::farm::{CLIENTS, PATIENCE, SERVERS, Settings};
use ground::load::Amount;

use crate::bed::{bed, check_right, empty};
use crate::clients::content::serve_echo;
use crate::clients::{PORT, process::Process};
use crate::odd::{begin, receive};

/// More than all buffers on the way hold.
const MUCH: u64 = 8 << 20;

/// How often a log is looked at.
const GLANCE: Duration = Duration::from_millis(5);

#[test]
fn an_address_that_another_machine_has_is_left_alone() {
    let Some(mut bed) = empty(Settings::default()) else { return };
    let address = bed.farm.address();
    let there = |what: &str| run(&format!("ip address {what} {address}/24 dev eth0"));
    bed.farm.network.on(CLIENTS, || there("add")).unwrap();
    for server in 0..SERVERS {
        bed.farm.start_one(server).unwrap();
    }
    let limit = Instant::now() + PATIENCE;
    let says_so =
        |server| bed.farm.node(server).logged().contains("is already used by the machine");
    while !(0..SERVERS).any(says_so) {
        assert!(Instant::now() < limit, "nobody says that the address is taken");
        assert_eq!(bed.farm.owner().unwrap(), None, "it was taken from its machine");
        thread::sleep(GLANCE);
    }
    assert_eq!(bed.farm.owner().unwrap(), None, "it was taken from its machine");
    // Once that machine is without it, a node has it.
    bed.farm.network.on(CLIENTS, || there("delete")).unwrap();
    bed.farm.start().unwrap();
    let plan = bed.farm.plain(Amount::Bytes(MUCH), Amount::Bytes(MUCH));
    let connections = bed.farm.begin(&[plan]).unwrap();
    check_right(&bed.farm, &connections);
}

#[test]
fn an_interface_goes_away() {
    let Some(bed) = bed(Settings::default()) else { return };
    let connections = begin(&bed.farm, Amount::UntilEnd, Amount::UntilEnd);
    receive(&connections, MUCH);
    let owner = bed.farm.until_owner(|_| true).unwrap();
    bed.farm.network.on(owner, || run("ip link delete eth0")).unwrap();
    bed.farm.until_owner(|other| other != owner).unwrap();
    receive(&connections, MUCH);
    let gone = |status: &serde_json::Value| {
        let connections = &status["connections"];
        connections["link"] == "gone" && connections["address"] == false
    };
    bed.farm.until_status(owner, gone).unwrap();
    check_right(&bed.farm, &connections);
}

#[test]
fn an_interface_is_turned_off() {
    let Some(bed) = bed(Settings::default()) else { return };
    let connections = begin(&bed.farm, Amount::UntilEnd, Amount::UntilEnd);
    receive(&connections, MUCH);
    let owner = bed.farm.until_owner(|_| true).unwrap();
    bed.farm.network.on(owner, || run("ip link set eth0 down")).unwrap();
    bed.farm.until_owner(|other| other != owner).unwrap();
    receive(&connections, MUCH);
    let down = |status: &serde_json::Value| status["connections"]["link"] == "down";
    bed.farm.until_status(owner, down).unwrap();
    check_right(&bed.farm, &connections);
}

#[test]
fn a_backend_on_the_nodes_own_machine_is_served_and_not_carried() {
    let behind = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let Some(bed) = bed(Settings { more: vec![(PORT, behind)], ..Settings::default() }) else {
        return;
    };
    for server in 0..SERVERS {
        bed.farm.network.on(server, || serve_echo(behind));
    }
    let mut command = std::process::Command::new("bash");
    let there = format!("/dev/tcp/{}/{PORT}", bed.farm.address());
    command.arg("-c").arg(format!("exec 3<>{there}; cat <&3 & exec cat >&3"));
    let mut client = bed.farm.network.on(CLIENTS, || Process::start(&mut command));
    client.tell("once");
    assert_eq!(client.hear(), "once");
    let owner = bed.farm.until_owner(|_| true).unwrap();
    let is_served = |status: &serde_json::Value| {
        let connections = &status["connections"];
        connections["live"] == 1 && connections["plain"] == 0 && connections["protected"] == 0
    };
    bed.farm.until_status(owner, is_served).unwrap();
}
