use std::net::UdpSocket;
use std::process::Command;

use super::*;
use crate::interface::Interface;
use crate::testing::{readable, run, street};

const PAUSE: Duration = Duration::from_millis(50);

fn eth0() -> u32 {
    Interface::Name("eth0".into()).index().unwrap()
}

fn parse(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// Addresses come and go, once each, and the network knows where they are.
fn check_moves(address: &str) {
    let Some(street) = street(2) else { return };
    let address = parse(address);
    let machines = [0, 1].map(|index| {
        street
            .machine(index)
            .within(|| (Addresses::of(eth0()).unwrap(), Announcer::open(eth0()).unwrap()))
    });
    for round in 0..6 {
        let [(addresses, announcer), (others, other)] =
            [&machines[round % 2], &machines[(round + 1) % 2]];
        let probe = |machine: usize, announcer: &Announcer, times| {
            street.machine(machine % 2).within(|| announcer.probe(address, times, PAUSE)).unwrap()
        };
        assert_eq!(probe(round, announcer, 1), Found::Nobody);
        assert!(addresses.add(address).unwrap());
        assert!(!addresses.add(address).unwrap());
        announcer.announce(address).unwrap();
        let own = announcer.hardware();
        assert_eq!(probe(round + 1, other, 20), Found::Machine(own));
        // A client asks for nothing: the announcement was enough, or its first
        // packet would go to where the address was.
        let there = street.machine(round % 2).within(|| UdpSocket::bind((address, 7000))).unwrap();
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let client = street.outside().within(|| UdpSocket::bind(any)).unwrap();
        client.send_to(b"a packet", (address, 7000)).unwrap();
        assert!(readable(&there), "it did not come where the address is");
        assert!(!others.remove(address).unwrap());
        assert!(addresses.remove(address).unwrap());
    }
}

#[test]
fn an_address_moves() {
    check_moves("10.1.0.100");
}

#[test]
fn an_ipv6_address_moves() {
    check_moves("fd77::100");
}

/// Who had the address before is forgotten where it is put on.
fn check_forgets(address: &str) {
    let Some(street) = street(2) else { return };
    let address = parse(address);
    let [here, there] = [0, 1].map(|index| street.machine(index));
    let [own, others] =
        [here, there].map(|machine| machine.within(|| Addresses::of(eth0()).unwrap()));
    let known = || {
        let show = format!("ip neigh show to {address}");
        let shown = here.within(|| Command::new("sh").args(["-c", &show]).output()).unwrap();
        String::from_utf8(shown.stdout).unwrap()
    };
    assert!(others.add(address).unwrap());
    let ear = there.within(|| UdpSocket::bind((address, 7000))).unwrap();
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    here.within(|| UdpSocket::bind(any).unwrap().send_to(b"a packet", (address, 7000))).unwrap();
    assert!(readable(&ear));
    assert!(known().contains("lladdr"), "{}", known());
    assert!(others.remove(address).unwrap());
    assert!(own.add(address).unwrap());
    assert_eq!(known(), "");
}

#[test]
fn who_had_an_address_is_forgotten_with_it() {
    check_forgets("10.1.0.100");
    check_forgets("fd77::100");
}

#[test]
fn a_link_that_goes_down() {
    let Some(street) = street(1) else { return };
    let watch = street.machine(0).within(|| LinkWatch::of(eth0())).unwrap();
    let ask = || street.machine(0).within(|| watch.ask()).unwrap();
    let becomes = |wanted: LinkState| loop {
        assert!(readable(&watch));
        if watch.changed().unwrap() == Some(wanted) {
            break;
        }
    };
    assert_eq!(ask(), LinkState::Up);
    // The other end of the cable.
    street.outside().within(|| run("ip link set port0 down"));
    becomes(LinkState::Down);
    assert_eq!(ask(), LinkState::Down);
    street.outside().within(|| run("ip link set port0 up"));
    becomes(LinkState::Up);
    street.outside().within(|| run("ip link del port0"));
    becomes(LinkState::Gone);
    assert_eq!(ask(), LinkState::Gone);
}

#[test]
fn an_interface_that_is_not_there() {
    let Some(street) = street(0) else { return };
    street.outside().within(|| {
        let addresses = Addresses::of(99).unwrap();
        let error = addresses.add(parse("10.1.0.100")).unwrap_err();
        assert!(error.is(libc::ENODEV) && error.to_string().contains("RTM_NEWADDR"), "{error}");
        assert!(Announcer::open(99).is_err());
    });
}
