//! Connections that move between SYN and SYN-ACK.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::super::ask::later;
use super::*;
use crate::address::{Addresses, Announcer};
use crate::carried;
use crate::interface::Interface;
use crate::namespace::Namespace;
use crate::queue::{Limits, Queue, Verdict};
use crate::rules::{Connections, Guard, MARK, Rules};
use crate::testing::{readable, street};

const NUMBER: u16 = 7;

/// A SYN or SYN-ACK as it was seen.
#[derive(Debug)]
struct Seen {
    port: u16,
    sequence: u32,
    window: u16,
    options: Vec<u8>,
}

impl Seen {
    fn of(packet: &[u8]) -> Self {
        let tcp = &packet[if packet[0] >> 4 == 4 { 20 } else { 40 }..];
        let end = usize::from(tcp[12] >> 4) * 4;
        let two = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let sequence = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
        Self { port: two(0), sequence, window: two(14), options: tcp[20..end].to_vec() }
    }

    /// An option's value.
    fn option(&self, wanted: u8) -> Option<&[u8]> {
        let mut rest = self.options.as_slice();
        while let [kind, tail @ ..] = rest {
            match (*kind, tail) {
                (0, _) => break,
                (1, _) => rest = tail,
                (kind, [length, ..]) => {
                    let (option, others) = rest.split_at(usize::from(*length));
                    if kind == wanted {
                        return Some(&option[2..]);
                    }
                    rest = others;
                }
                (_, []) => panic!("an option without a length"),
            }
        }
        None
    }

    fn segment(&self) -> u16 {
        u16::from_be_bytes(self.option(2).unwrap().try_into().unwrap())
    }

    fn clock(&self) -> Option<u32> {
        self.option(8).map(|value| u32::from_be_bytes(value[..4].try_into().unwrap()))
    }
}

/// What a record has of a connection that is as old as that.
fn state(at: SocketAddr, client: SocketAddr, [syn, answer]: &[Seen; 2]) -> State {
    let scale = |seen: &Seen| seen.option(3).map(|value| value[0]);
    let window = syn.window.into();
    State {
        local: at,
        peer: client,
        incoming: Incoming { next: syn.sequence.wrapping_add(1), unread: vec![], closed: false },
        outgoing: Outgoing {
            first: answer.sequence.wrapping_add(1),
            sent: vec![],
            unsent: vec![],
            closed: false,
        },
        options: Options {
            segment: syn.segment(),
            sack: answer.option(4).is_some(),
            scales: scale(syn).zip(scale(answer)).map(|(peer, own)| Scales { peer, own }),
            timestamp: answer.clock().map(|value| Timestamp { value, microseconds: false }),
        },
        windows: Windows { promised: answer.window.into(), peer: window, peer_largest: window },
    }
}

/// Machines that can have the address.
fn own(machine: &Namespace, at: SocketAddr) -> (Addresses, Announcer) {
    machine.within(|| {
        let interface = Interface::Name("eth0".into()).index().unwrap();
        let addresses = Addresses::of(interface).unwrap();
        let announcer = Announcer::open(interface).unwrap();
        assert!(addresses.add(at.ip()).unwrap());
        announcer.announce(at.ip()).unwrap();
        (addresses, announcer)
    })
}

/// A client's SYN-ACK is lost with the machine that sent it; another one goes on
/// with the connection. The client does without what `sysctl` names.
fn check(address: &str, sysctl: Option<&str>) {
    let Some(street) = street(2) else { return };
    if let Some(sysctl) = sysctl {
        let path = format!("/proc/sys/net/ipv4/{sysctl}");
        street.outside().within(|| fs::write(path, "0")).unwrap();
    }
    let at: SocketAddr = address.parse().unwrap();
    let limits = Limits { packets: 16, bytes: 1 << 20, fail_open: false };
    let guard = |queue| [Guard { connections: Connections::To(at), queue }];
    let (addresses, _announcer) = own(street.machine(0), at);
    let (_listener, _rules, mut queue) = street.machine(0).within(|| {
        let rules = Rules::install(0, &guard(Some(NUMBER))).unwrap();
        (TcpListener::bind(at).unwrap(), rules, Queue::open(NUMBER, limits).unwrap())
    });
    let client = street.outside().within(|| thread::spawn(move || TcpStream::connect(at).unwrap()));

    let seen = [Verdict::Accept, Verdict::Drop].map(|verdict| {
        assert!(readable(&queue));
        queue.receive().unwrap();
        let (id, seen) = queue.packets().map(|it| (it.id, Seen::of(it.bytes))).next().unwrap();
        queue.decide(id, verdict).unwrap();
        queue.flush().unwrap();
        seen
    });
    let outside = if at.is_ipv4() { "10.1.0.254" } else { "fd77::fe" };
    let state = state(at, SocketAddr::new(outside.parse().unwrap(), seen[0].port), &seen);
    let again = SynAck { segment: seen[1].segment(), echo: seen[0].clock().unwrap_or(0) };
    check_options(&state.options, again, &seen[1]);

    assert!(addresses.remove(at.ip()).unwrap());
    let buffers = Buffers { receive: 1 << 18, send: 1 << 18 };
    let (_rules, restored, forge) = street.machine(1).within(|| {
        let rules = Rules::install(1, &guard(None)).unwrap();
        let restored = Restored::restore(state.clone(), buffers).unwrap();
        (rules, restored, Forge::open(MARK).unwrap())
    });
    let _own = own(street.machine(1), at);
    let socket = match restored.thaw(&forge).unwrap() {
        Thawed::Going(socket) => socket,
        Thawed::Asking(_) => panic!("nothing was sent that could be asked about"),
    };
    // Twice, as the first may be lost: the second does no harm.
    forge.syn_ack(&state, again).unwrap();
    forge.syn_ack(&state, again).unwrap();
    let client = client.join().unwrap();

    let status = carried::status(&client).unwrap();
    let turned = |scales: Scales| Scales { peer: scales.own, own: scales.peer };
    assert_eq!(status.scales, state.options.scales.map(turned));
    assert_eq!(status.sack, state.options.sack);
    assert_eq!(status.timestamps, state.options.timestamp.is_some());
    let stamped = if status.timestamps { 12 } else { 0 };
    assert_eq!(status.segment, u32::from(again.segment) - stamped);
    exchange(&client, &socket);
    exchange(&socket, &client);
}

/// They are byte for byte those of the first answer, but for the clock.
fn check_options(options: &Options, again: SynAck, first: &Seen) {
    let mut expected = first.options.clone();
    if let Some(timestamp) = options.timestamp {
        let shown = later(timestamp).to_be_bytes();
        let at = expected.windows(4).position(|four| four == timestamp.value.to_be_bytes());
        expected[at.unwrap()..][..4].copy_from_slice(&shown);
    }
    assert_eq!(options.syn_ack(again), expected);
}

/// More than the first window goes over the connection.
fn exchange(from: &TcpStream, mut to: &TcpStream) {
    const BYTES: usize = 1 << 20;
    for socket in [from, to] {
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    }
    let mut expected = vec![0; BYTES];
    fill(&mut expected, 0);
    let (mut output, bytes) = (from.try_clone().unwrap(), expected.clone());
    let writer = thread::spawn(move || output.write_all(&bytes).unwrap());
    let mut came = vec![0; BYTES];
    to.read_exact(&mut came).unwrap();
    assert!(came == expected, "bytes differ");
    writer.join().unwrap();
}

#[test]
fn a_lost_answer_is_given_by_another_machine() {
    check("10.1.0.100:7000", None);
}

#[test]
fn a_lost_answer_by_ipv6() {
    check("[fd77::100]:7000", None);
}

#[test]
fn a_lost_answer_without_timestamps() {
    check("10.1.0.100:7000", Some("tcp_timestamps"));
}

#[test]
fn a_lost_answer_without_selective_acknowledgements() {
    check("10.1.0.100:7000", Some("tcp_sack"));
}

#[test]
fn a_lost_answer_without_window_scaling() {
    check("10.1.0.100:7000", Some("tcp_window_scaling"));
}
