//! Odd segments, over a take-over: of a client that sends them by hand, and of
//! others that have no business here.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

use ground::farm::{BACKEND, Exit, PATIENCE};
use ground::load::Amount;

use crate::bed::{Bed, check_right};
use crate::clients::content::serve_echo;
use crate::clients::{PORT, before, behind};
use crate::hand::{ACK, Hand, RST, SYN, Segment};
use crate::odd::{change, receive};

/// The port that clients by hand have.
const HERE: u16 = 4_000;

/// How many lines go both ways; midway the node is killed.
const LINES: u32 = 40;

/// How long each is.
const LINE_BYTES: u32 = 1_000;

/// Any number for the first byte, where none is wanted.
const FIRST: u32 = 0x1234_5678;

/// A farm before a server that sends back each line.
fn echoing() -> Option<Bed> {
    let bed = before(behind(PORT), &[])?;
    bed.farm.network.on(BACKEND, || serve_echo(behind(PORT)));
    Some(bed)
}

/// A client by hand, whose connection is there.
fn connect(bed: &Bed, first: u32) -> Hand {
    let mut hand = Hand::new(&bed.farm, [HERE, PORT], first);
    hand.shake();
    hand
}

fn line(number: u32) -> Vec<u8> {
    format!("{number:0>width$}\n", width = LINE_BYTES as usize - 1).into_bytes()
}

/// Kills the node that has the one connection.
fn kill(bed: &mut Bed) {
    let owner = bed.farm.until_owner(|_| true).expect("a node has the address");
    bed.farm.until_protected(owner, 1).expect("another follows");
    change(bed, Exit::Process);
}

/// Lines go both ways, each after something odd, and midway the node is killed.
fn check(first: u32, odd: impl Fn(&Hand, &[u8])) {
    let Some(mut bed) = echoing() else { return };
    let mut hand = connect(&bed, first);
    for number in 0..LINES {
        let line = line(number);
        odd(&hand, &line);
        if number == LINES / 2 {
            kill(&mut bed);
            odd(&hand, &line);
        }
        let came = hand.echo(&line);
        let told = String::from_utf8_lossy(&came[..came.len().min(80)]);
        assert!(came == line, "line {number} came back wrong: {told:?}");
    }
}

#[test]
fn sequence_numbers_wrap() {
    // Within the line that is on its way when the node is killed.
    let before_wrap = LINES / 2 * LINE_BYTES + LINE_BYTES / 2;
    check(u32::MAX - before_wrap, |hand, line| hand.send(0, line));
}

#[test]
fn segments_come_twice_and_overlap() {
    check(FIRST, |hand, line| {
        let (third, half) = (line.len() / 3, line.len() / 2);
        // Behind a gap; overlapping it from before; in pieces; what was
        // acknowledged long ago with what was not.
        hand.send(LINE_BYTES / 2, &line[half..]);
        hand.send(0, &line[..half + third]);
        hand.send(0, &line[..third]);
        hand.send(0, &line[..third]);
        hand.send(0u32.wrapping_sub(1), &[b"\n", &line[..half]].concat());
        hand.send(0, line);
    });
}

#[test]
fn segments_have_other_bytes_where_they_overlap() {
    let Some(mut bed) = echoing() else { return };
    let mut hand = connect(&bed, FIRST);
    for number in 0..LINES {
        let line = line(number);
        let half = line.len() / 2;
        let other = [&vec![b'x'; line.len() - half - 1][..], b"\n"].concat();
        hand.send(LINE_BYTES / 2, &other);
        if number == LINES / 2 {
            kill(&mut bed);
        }
        // Whose bytes it takes is up to the kernel; but they are those of one.
        let came = hand.echo(&line);
        assert!(came[..half] == line[..half], "line {number} begins wrong");
        assert!(came[half..] == line[half..] || came[half..] == other, "line {number} ends wrong");
    }
}

#[test]
fn segments_that_mean_nothing_change_nothing() {
    check(FIRST, |hand, _| {
        let far = 1 << 30;
        let said = |bytes| Segment { flags: ACK, ..hand.segment(bytes) };
        let other = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 200), 5_000);
        for segment in [
            Segment { wrong_by: 1, ..said(b"of a wrong checksum\n") },
            Segment { wrong_by: 1, flags: RST | ACK, ..said(b"") },
            Segment { sequence: hand.next.wrapping_add(far), ..said(b"far ahead\n") },
            Segment { sequence: hand.next.wrapping_sub(far), ..said(b"far behind\n") },
            Segment { acknowledged: hand.awaited.wrapping_add(far), ..said(b"too far an ACK\n") },
            Segment { acknowledged: hand.awaited.wrapping_sub(far), ..said(b"too old an ACK\n") },
            Segment { flags: 0, ..said(b"without an ACK\n") },
            Segment { sequence: hand.next.wrapping_add(far), flags: RST, ..hand.segment(&[]) },
            // Within the window, but not at its begin (RFC 5961, section 3).
            Segment { sequence: hand.next.wrapping_add(100), flags: RST, ..hand.segment(&[]) },
            Segment { flags: SYN, ..hand.segment(&[]) },
            Segment { from: other, ..said(b"of another\n") },
            Segment { from: other, flags: RST, ..said(b"") },
            Segment { from: SocketAddrV4::new(*hand.here.ip(), 1), ..said(b"of another port\n") },
        ] {
            hand.send_as(&segment);
        }
    });
}

/// Waits until another node follows the one that has the address.
fn until_followed(bed: &Bed) -> u8 {
    let owner = bed.farm.until_owner(|_| true).expect("a node has the address");
    let is_followed = |status: &serde_json::Value| status["connections"]["understudy"].is_string();
    bed.farm.until_status(owner, is_followed).expect("another follows");
    owner
}

#[test]
fn killed_between_syn_and_syn_ack() {
    let Some(mut bed) = echoing() else { return };
    let owner = until_followed(&bed);
    let mut hand = Hand::new(&bed.farm, [HERE, PORT], FIRST);
    // It stands still with the SYN in its queue.
    bed.farm.node(owner).halt().unwrap();
    hand.knock();
    assert!(!hand.is_answered(), "a SYN-ACK went out of which nobody else knows");
    bed.farm.kill(owner);
    bed.farm.until_owner(|other| other != owner).unwrap();
    hand.shake();
    for number in 0..LINES {
        assert!(hand.echo(&line(number)) == line(number));
    }
}

#[test]
fn killed_before_the_syn_ack_is_acknowledged() {
    let Some(mut bed) = echoing() else { return };
    until_followed(&bed);
    let mut hand = Hand::new(&bed.farm, [HERE, PORT], FIRST);
    hand.knock();
    while !hand.is_answered() {
        hand.knock();
    }
    change(&mut bed, Exit::Process);
    hand.acknowledge();
    for number in 0..LINES {
        assert!(hand.echo(&line(number)) == line(number));
    }
}

#[test]
fn a_request_that_a_killed_node_never_read_is_passed_on() {
    let Some(mut bed) = echoing() else { return };
    let mut hand = connect(&bed, FIRST);
    assert!(hand.echo(&line(0)) == line(0));
    let owner = bed.farm.until_owner(|_| true).expect("a node has the address");
    bed.farm.until_protected(owner, 1).expect("another follows");
    bed.farm.node(owner).halt().unwrap();
    hand.send(0, &line(1));
    bed.farm.kill(owner);
    // It is sent only once.
    assert!(hand.await_bytes(line(1).len()) == line(1));
}

#[test]
fn a_connection_that_nobody_has_is_reset_after_a_while() {
    let Some(mut bed) = echoing() else { return };
    until_followed(&bed);
    let mut known = connect(&bed, FIRST);
    assert!(known.echo(&line(0)) == line(0));
    // The node that has the address from here on never heard of the other one.
    kill(&mut bed);
    let unknown = Hand::new(&bed.farm, [HERE + 1, PORT], FIRST);
    unknown.send(0, b"to whoever has this\n");
    assert!(!unknown.is_reset(), "somebody could still have it");
    let limit = Instant::now() + PATIENCE;
    loop {
        unknown.send(0, b"to whoever has this\n");
        if unknown.is_reset() {
            break;
        }
        assert!(Instant::now() < limit, "it is not reset");
    }
    let owner = bed.farm.until_owner(|_| true).expect("a node has the address");
    let counts = |status: &serde_json::Value| status["connections"]["strays"] != 0;
    bed.farm.until_status(owner, counts).expect("it is counted");
    // The one that moved goes on, and is not taken for one of those.
    for number in 1..LINES {
        assert!(known.echo(&line(number)) == line(number));
    }
}

#[test]
fn a_flood_of_syns_is_bounded_and_others_are_served() {
    /// More than are told while they are half open.
    const FLOOD: u16 = 6_000;
    /// Ports from which nobody else connects.
    const FROM: u16 = 10_000;
    let Some(mut bed) = echoing() else { return };
    let owner = until_followed(&bed);
    let hand = Hand::new(&bed.farm, [HERE, PORT], FIRST);
    for port in FROM..FROM + FLOOD {
        let from = SocketAddrV4::new(*hand.here.ip(), port);
        hand.send_as(&Segment { from, flags: SYN, acknowledged: 0, ..hand.segment(&[]) });
    }
    let counts = |status: &serde_json::Value| status["connections"]["unheld"] != 0;
    bed.farm.until_status(owner, counts).expect("those beyond are counted");
    let plan = bed.farm.plain(Amount::UntilEnd, Amount::UntilEnd);
    let connections = [bed.farm.connect(&plan).expect("others are served")];
    receive(&connections, 1 << 20);
    // Those that never answered are forgotten, and the other one is protected.
    let alone = |status: &serde_json::Value| {
        status["connections"]["live"] == 1 && status["connections"]["protected"] == 1
    };
    bed.farm.until_status(owner, alone).expect("the flood passes");
    change(&mut bed, Exit::Process);
    receive(&connections, 8 << 20);
    check_right(&bed.farm, &connections);
}
