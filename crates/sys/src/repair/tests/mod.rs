//! Connections that move between machines under load, with every byte compared.

mod farm;
mod syn_ack;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use self::farm::{Farm, fill};
use super::*;
use crate::rules::MARK;
use crate::testing::street;

/// A connection goes back and forth under load in both directions.
fn check(farm: Option<Farm>, expected: impl Fn(&Options)) {
    const MOVES: usize = 20;
    let Some(mut farm) = farm else { return };
    let mut carried = farm.connect();
    for turn in 0..MOVES {
        // Some 300 KB each way, and never the same.
        carried.pump(300_000 + 7_919 * turn as u64);
        let state = carried.freeze();
        expected(&state.options);
        farm.carry(&mut carried, state);
    }
    carried.finish();
}

#[test]
fn a_connection_moves_twenty_times() {
    check(Farm::v4(), |options| {
        assert!(options.sack && options.scales.is_some() && options.timestamp.is_some());
    });
}

#[test]
fn a_connection_by_ipv6_moves_twenty_times() {
    check(Farm::v6(), |options| {
        assert!(options.sack && options.scales.is_some() && options.timestamp.is_some());
    });
}

/// A farm whose clients do without something.
fn without(sysctl: &str) -> Option<Farm> {
    let farm = Farm::v4()?;
    let path = format!("/proc/sys/net/ipv4/{sysctl}");
    farm.among_clients(|| fs::write(path, "0")).unwrap();
    Some(farm)
}

#[test]
fn without_timestamps() {
    check(without("tcp_timestamps"), |options| assert_eq!(options.timestamp, None));
}

#[test]
fn without_selective_acknowledgements() {
    check(without("tcp_sack"), |options| assert!(!options.sack));
}

#[test]
fn without_window_scaling() {
    check(without("tcp_window_scaling"), |options| assert_eq!(options.scales, None));
}

#[test]
fn with_the_smallest_segments() {
    let Some(farm) = Farm::v4() else { return };
    farm.among_clients(|| {
        let to = Farm::ADDRESS_V4;
        crate::testing::run(&format!("ip route add {to}/32 dev bridge0 advmss 536"));
    });
    check(Some(farm), |options| assert_eq!(options.segment, 536));
}

#[test]
fn a_client_that_has_closed_its_side() {
    let Some(mut farm) = Farm::v4() else { return };
    let mut carried = farm.connect();
    carried.pump(100_000);
    carried.client_closes();
    // Before its end is read, and after.
    for closed_is_read in [false, true] {
        if closed_is_read {
            carried.pump_to_end();
        }
        let state = loop {
            let state = carried.freeze();
            if state.incoming.closed {
                break state;
            }
            carried.thaw();
            carried.read_some();
        };
        farm.carry(&mut carried, state);
    }
    carried.finish();
}

#[test]
fn a_server_that_has_closed_its_side() {
    let Some(mut farm) = Farm::v4() else { return };
    let mut carried = farm.connect();
    carried.pump(100_000);
    carried.server_closes();
    for _ in 0..4 {
        carried.pump(50_000);
        let state = carried.freeze();
        assert!(state.outgoing.closed);
        farm.carry(&mut carried, state);
    }
    carried.finish();
}

#[test]
fn what_is_frozen_can_go_on_where_it_is() {
    let Some(farm) = Farm::v4() else { return };
    let mut carried = farm.connect();
    for _ in 0..5 {
        carried.pump(100_000);
        let before = carried.freeze();
        carried.thaw();
        let after = carried.freeze();
        assert_eq!((before.local, before.peer), (after.local, after.peer));
        assert_eq!(before.options.scales, after.options.scales);
        carried.thaw();
    }
    carried.finish();
}

/// A record knows less than a kernel does: what it takes for unacknowledged has
/// long arrived, and the windows are guesses.
#[test]
fn a_record_that_is_behind() {
    const BEHIND: u64 = 60_000;
    let Some(mut farm) = Farm::v4() else { return };
    let mut carried = farm.connect();
    // More than the buffers hold.
    carried.pump(16 << 20);
    for _ in 0..20 {
        carried.pump(200_000);
        let mut state = carried.freeze();
        let outgoing = &mut state.outgoing;
        let kept = (outgoing.sent.len() + outgoing.unsent.len()) as u64;
        let mut sent = vec![0; usize::try_from(BEHIND).unwrap()];
        fill(&mut sent, carried.written() - kept - BEHIND);
        outgoing.first = outgoing.first.wrapping_sub(u32::try_from(BEHIND).unwrap());
        sent.append(&mut outgoing.sent);
        outgoing.sent = sent;
        state.windows = Windows { promised: 4 << 20, peer: 1 << 16, peer_largest: 1 << 16 };
        let timestamp = state.options.timestamp.map(|shown| shown.after(Duration::from_secs(1)));
        state.options.timestamp = timestamp;
        farm.carry(&mut carried, state);
    }
    carried.finish();
}

/// A connection that no kernel has ever had: both ends are made of records, and
/// the numbers of both directions wrap at once.
#[test]
fn two_ends_made_of_records() {
    const BYTES: usize = 1 << 20;
    let Some(street) = street(1) else { return };
    let ends = ["10.1.0.254:50000", "10.1.0.1:7000"].map(|end| end.parse().unwrap());
    let numbers = [u32::MAX - 1_000, u32::MAX - 70_000];
    let made =
        [(street.outside(), 0, 1), (street.machine(0), 1, 0)].map(|(machine, own, other)| {
            let state = State {
                local: ends[own],
                peer: ends[other],
                incoming: Incoming { next: numbers[other], unread: vec![], closed: false },
                outgoing: Outgoing {
                    first: numbers[own],
                    sent: vec![],
                    unsent: vec![],
                    closed: false,
                },
                options: Options {
                    segment: 1460,
                    sack: true,
                    scales: Some(Scales { peer: 7, own: 7 }),
                    timestamp: Some(Timestamp { value: u32::MAX - 3, microseconds: false }),
                },
                windows: Windows { promised: 60_000, peer: 60_000, peer_largest: 60_000 },
            };
            let buffers = Buffers { receive: 1 << 17, send: 1 << 17 };
            machine
                .within(|| (Restored::restore(state, buffers).unwrap(), Forge::open(MARK).unwrap()))
        });
    let sockets = made.map(|(restored, forge)| match restored.thaw(&forge).unwrap() {
        Thawed::Going(socket) => socket,
        Thawed::Asking(_) => panic!("nothing was sent that could be asked about"),
    });
    // The sockets themselves stay until both ends have everything: a carried one
    // that is closed discards what its peer has not acknowledged.
    let [writing, reading] = [(); 2].map(|()| {
        sockets.each_ref().map(|socket| {
            socket.set_nonblocking(false).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            socket.try_clone().unwrap()
        })
    });
    let mut expected = vec![0; BYTES];
    fill(&mut expected, 0);
    let writers = writing.map(|mut socket| {
        let bytes = expected.clone();
        thread::spawn(move || socket.write_all(&bytes).unwrap())
    });
    let readers = reading.map(|mut socket| {
        thread::spawn(move || {
            let mut bytes = vec![0; BYTES];
            socket.read_exact(&mut bytes).map(|()| bytes).unwrap()
        })
    });
    for reader in readers {
        assert!(reader.join().unwrap() == expected, "bytes differ");
    }
    for writer in writers {
        writer.join().unwrap();
    }
}

#[test]
fn a_clock_goes_on_and_wraps() {
    let at = |value, microseconds| Timestamp { value, microseconds };
    assert_eq!(at(7, false).after(Duration::ZERO), at(8, false));
    assert_eq!(at(7, false).after(Duration::from_secs(1)), at(1_008, false));
    assert_eq!(at(u32::MAX, true).after(Duration::from_micros(5)), at(5, true));
    // 50 days are more milliseconds than 32 bits hold.
    let days = Duration::from_millis(1 << 32);
    assert_eq!(at(7, false).after(days), at(8, false));
}

#[test]
fn what_is_no_connection_is_not_frozen() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let error = Frozen::freeze(socket.into()).unwrap_err();
    assert!(error.socket.is_some());
    // 7 is TCP_CLOSE; without CAP_NET_ADMIN it does not come so far.
    let text = error.to_string();
    assert!(text.contains("state 7") || text.contains("setsockopt TCP_REPAIR"), "{text}");

    // One whose freezing failed goes on as if nothing had been.
    let socket = error.socket.unwrap();
    let socket = Socket::from(socket);
    socket.connect(&address.into()).unwrap();
}

/// Somebody looks at a connection again and again while it goes on.
#[test]
fn a_connection_under_load_is_read_fifty_times() {
    let Some(farm) = Farm::v4() else { return };
    let mut carried = farm.connect();
    let mut last = (0, 0);
    for turn in 0..50 {
        carried.pump(100_000 + 7_919 * turn);
        carried.freeze();
        carried.thaw();
        carried.pump(100_000);
        // What was read is known, and what was written stands between what is
        // acknowledged and what is not sent.
        let state = carried.look();
        let [read, written] = carried.positions();
        let read = state.incoming.next.wrapping_sub(read);
        let written = state.outgoing.first.wrapping_sub(written);
        let unread = u32::try_from(state.incoming.unread.len()).unwrap();
        let kept = u32::try_from(state.outgoing.bytes()).unwrap();
        let begun = (read.wrapping_sub(unread), written.wrapping_add(kept));
        assert!(turn == 0 || begun == last, "{begun:?} and {last:?}");
        last = begun;
    }
    carried.finish();
}

/// Where a fence is forbidden, looking does without, unless something waits to
/// be sent.
#[test]
fn looking_takes_no_fence() {
    let Some(street) = street(0) else { return };
    let (mut client, socket) = street.outside().within(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    });
    socket.set_nonblocking(true).unwrap();
    let lock = |socket: &std::net::TcpStream| {
        crate::fence::raise(socket).unwrap();
        crate::fence::lower(socket).unwrap();
        let option = libc::SO_LOCK_FILTER;
        crate::option::set(socket.as_fd(), libc::SOL_SOCKET, option, 1_i32).unwrap();
    };
    lock(&socket);
    assert!(Frozen::freeze(socket.try_clone().unwrap()).is_err());
    client.write_all(b"question").unwrap();
    assert!(crate::testing::readable(&socket));
    (&socket).write_all(b"answer").unwrap();
    let state = look(&socket).unwrap();
    assert_eq!(state.incoming.unread, b"question");
    // It was not told that it is looked at: all is as it would have been.
    let mut answer = [0; 6];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(look(&socket).unwrap().incoming, state.incoming);

    // More than the client takes.
    while (&socket).write(&[0; 64 << 10]).is_ok() {}
    let error = look(&socket).unwrap_err().to_string();
    assert!(error.contains("SO_ATTACH_FILTER"), "{error}");
}
