//! Odd moments for a server to go away, and odd clients.

use std::time::Duration;

use ground::farm::{CLIENTS, Exit, PATIENCE, Settings};
use ground::load::{Amount, HUNG, Near, Outcome, Plan};
use ground::{Farm, NetworkError};
use rustls::CipherSuite;

use crate::bed::{Bed, bed, check_right};

/// More than all buffers on the way hold.
const MUCH: u64 = 8 << 20;

/// How long an owner stands still that comes back: far longer than any
/// detection, and than clients wait before they send again.
const STANDSTILL: Duration = Duration::from_secs(10);

/// A connection without TLS and one with, for the same.
fn both(farm: &Farm, upload: Amount, download: Amount) -> [Plan; 2] {
    [
        farm.plain(upload, download),
        farm.tls(CipherSuite::TLS13_AES_256_GCM_SHA384, upload, download),
    ]
}

/// Begins such connections.
pub(crate) fn begin(farm: &Farm, upload: Amount, download: Amount) -> Vec<Near> {
    farm.begin(&both(farm, upload, download)).expect("connections begin")
}

/// The owner goes away; another server has the address after this.
pub(crate) fn change(bed: &mut Bed, exit: Exit) -> u8 {
    let owner = bed.farm.until_owner(|_| true).expect("a farm has an owner");
    bed.farm.leave(owner, exit).expect("a server can go away");
    bed.farm.until_owner(|other| other != owner).expect("another takes over");
    owner
}

/// Waits until so much more has come at each client.
pub(crate) fn receive(connections: &[Near], bytes: u64) {
    let wanted: Vec<_> = connections.iter().map(|near| near.account().received + bytes).collect();
    for (near, wanted) in connections.iter().zip(wanted) {
        assert!(near.until(HUNG, |account| account.received >= wanted), "{:?}", near.account());
    }
}

/// Full load over a take-over, by a client that is odd in some way.
fn check_odd(settings: Settings, make_odd: impl Fn(&Farm) -> Result<(), NetworkError>) {
    let Some(mut bed) = bed(settings) else { return };
    make_odd(&bed.farm).expect("the kernel takes it");
    for exit in [Exit::Process, Exit::Host] {
        let connections = begin(&bed.farm, Amount::UntilEnd, Amount::UntilEnd);
        receive(&connections, MUCH);
        let owner = change(&mut bed, exit);
        receive(&connections, MUCH);
        check_right(&bed.farm, &connections);
        bed.farm.restore(owner).expect("a server comes back");
    }
}

#[test]
fn before_the_first_byte() {
    let Some(mut bed) = bed(Settings::default()) else { return };
    let connections = begin(&bed.farm, Amount::Nothing, Amount::Nothing);
    change(&mut bed, Exit::Process);
    check_right(&bed.farm, &connections);
}

#[test]
fn half_closed_by_the_client() {
    let Some(mut bed) = bed(Settings::default()) else { return };
    let connections = begin(&bed.farm, Amount::Bytes(10), Amount::Bytes(32 * MUCH));
    receive(&connections, 1);
    for near in &connections {
        let far = bed.farm.backend.end(near.id(), PATIENCE).unwrap();
        assert!(far.until(HUNG, |account| account.received_hash.is_some()));
    }
    change(&mut bed, Exit::Process);
    check_right(&bed.farm, &connections);
}

#[test]
fn half_closed_by_the_backend() {
    let Some(mut bed) = bed(Settings::default()) else { return };
    let connections = begin(&bed.farm, Amount::UntilEnd, Amount::Bytes(10));
    for near in &connections {
        assert!(near.until(HUNG, |account| account.received_hash.is_some()));
    }
    change(&mut bed, Exit::Process);
    for near in &connections {
        let sent = near.account().sent;
        assert!(near.until(HUNG, |account| account.sent > sent + MUCH));
    }
    check_right(&bed.farm, &connections);
}

#[test]
fn with_the_end_in_flight() {
    let Some(mut bed) = bed(Settings::default()) else { return };
    let connections = begin(&bed.farm, Amount::UntilEnd, Amount::UntilEnd);
    receive(&connections, MUCH);
    connections.iter().for_each(Near::end);
    change(&mut bed, Exit::Process);
    check_right(&bed.farm, &connections);
}

#[test]
fn with_a_client_that_does_not_read() {
    let Some(mut bed) = bed(Settings::default()) else { return };
    let connections = begin(&bed.farm, Amount::UntilEnd, Amount::UntilEnd);
    receive(&connections, MUCH);
    connections.iter().for_each(|near| near.hold(true));
    for near in &connections {
        let sent = near.account().sent;
        assert!(near.until(HUNG, |account| account.sent > sent + 4 * MUCH));
    }
    change(&mut bed, Exit::Process);
    connections.iter().for_each(|near| near.hold(false));
    receive(&connections, MUCH);
    check_right(&bed.farm, &connections);
}

#[test]
fn with_a_backend_that_does_not_read() {
    let Some(mut bed) = bed(Settings::default()) else { return };
    let connections = begin(&bed.farm, Amount::UntilEnd, Amount::UntilEnd);
    receive(&connections, MUCH);
    let far = |near: &Near| bed.farm.backend.end(near.id(), PATIENCE).expect("it is there");
    let ends: Vec<_> = connections.iter().map(far).collect();
    ends.iter().for_each(|far| far.hold(true));
    receive(&connections, 4 * MUCH);
    change(&mut bed, Exit::Process);
    ends.iter().for_each(|far| far.hold(false));
    receive(&connections, MUCH);
    check_right(&bed.farm, &connections);
}

#[test]
fn broken_off_by_the_client_meanwhile() {
    let Some(mut bed) = bed(Settings::default()) else { return };
    let connections = begin(&bed.farm, Amount::UntilEnd, Amount::UntilEnd);
    receive(&connections, MUCH);
    let owner = bed.farm.until_owner(|_| true).unwrap();
    bed.farm.leave(owner, Exit::Process).unwrap();
    connections.iter().for_each(Near::abort);
    bed.farm.until_owner(|other| other != owner).unwrap();
    for near in &connections {
        let far = bed.farm.backend.end(near.id(), PATIENCE).unwrap();
        far.until(HUNG, |_| false);
        assert!(matches!(near.outcome(&bed.farm.backend), Outcome::Reset(_)));
    }
    // Others go on.
    let connections = begin(&bed.farm, Amount::Bytes(MUCH), Amount::Bytes(MUCH));
    check_right(&bed.farm, &connections);
}

#[test]
fn again_as_soon_as_it_can_be_and_back() {
    let Some(mut bed) = bed(Settings::default()) else { return };
    let connections = begin(&bed.farm, Amount::UntilEnd, Amount::UntilEnd);
    for _ in 0..4 {
        let gone = change(&mut bed, Exit::Process);
        // Two of three that are gone would leave no majority.
        bed.farm.restore(gone).unwrap();
        let owner = bed.farm.until_owner(|_| true).unwrap();
        bed.farm.until_protected(owner, connections.len() as u64).unwrap();
    }
    receive(&connections, MUCH);
    check_right(&bed.farm, &connections);
}

#[test]
fn an_owner_that_stood_still_is_fenced() {
    let Some(bed) = bed(Settings::default()) else { return };
    let connections = begin(&bed.farm, Amount::UntilEnd, Amount::UntilEnd);
    receive(&connections, MUCH);
    let owner = bed.farm.until_owner(|_| true).unwrap();
    bed.farm.node(owner).halt().unwrap();
    let halted = std::time::Instant::now();
    while halted.elapsed() < STANDSTILL {
        receive(&connections, MUCH);
    }
    bed.farm.node(owner).go_on().unwrap();
    receive(&connections, 4 * MUCH);
    bed.farm.until_owner(|other| other != owner).unwrap();
    check_right(&bed.farm, &connections);
}

#[test]
fn an_unplugged_owner_that_comes_back_is_fenced() {
    let Some(mut bed) = bed(Settings::default()) else { return };
    let connections = begin(&bed.farm, Amount::UntilEnd, Amount::UntilEnd);
    receive(&connections, MUCH);
    let owner = change(&mut bed, Exit::Host);
    receive(&connections, MUCH);
    bed.farm.network.plug(owner).unwrap();
    receive(&connections, 4 * MUCH);
    bed.farm.until_owner(|other| other != owner).unwrap();
    check_right(&bed.farm, &connections);
}

#[test]
fn a_cut_between_two_that_live_leaves_one_owner() {
    let Some(bed) = bed(Settings::default()) else { return };
    let connections = begin(&bed.farm, Amount::UntilEnd, Amount::UntilEnd);
    receive(&connections, MUCH);
    let owner = bed.farm.until_owner(|_| true).unwrap();
    for other in (0..3).filter(|&other| other != owner) {
        bed.farm.network.cut([owner, other]).unwrap();
        receive(&connections, MUCH);
        bed.farm.until_owner(|_| true).unwrap();
        bed.farm.network.lose_nothing(owner).unwrap();
        bed.farm.network.lose_nothing(other).unwrap();
    }
    receive(&connections, MUCH);
    check_right(&bed.farm, &connections);
}

#[test]
fn of_ipv6() {
    check_odd(Settings { v6: true, ..Settings::default() }, |_| Ok(()));
}

#[test]
fn without_timestamps() {
    check_odd(Settings::default(), |farm| farm.network.set(CLIENTS, "ipv4/tcp_timestamps", 0));
}

#[test]
fn without_selective_acknowledgements() {
    check_odd(Settings::default(), |farm| farm.network.set(CLIENTS, "ipv4/tcp_sack", 0));
}

#[test]
fn without_window_scaling() {
    check_odd(Settings::default(), |farm| farm.network.set(CLIENTS, "ipv4/tcp_window_scaling", 0));
}

#[test]
fn with_small_segments() {
    check_odd(Settings::default(), |farm| farm.network.take_segments(CLIENTS, 536));
}
