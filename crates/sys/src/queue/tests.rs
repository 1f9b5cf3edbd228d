use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use socket2::{Domain, Socket, Type};

use super::*;
use crate::rules::{Connections, Guard, Rules};
use crate::testing::{Street, readable, street};

const LIMITS: Limits = Limits { packets: 1_024, bytes: 4 << 20, fail_open: false };

const NUMBER: u16 = 7;

/// A listener on machine 0 whose clients' segments wait.
fn guarded(street: &Street, address: &str) -> (TcpListener, Rules) {
    street.machine(0).within(|| {
        let listener = TcpListener::bind(address).unwrap();
        let connections = Connections::To(address.parse().unwrap());
        let guards = [Guard { connections, queue: Some(NUMBER) }];
        (listener, Rules::install(1, &guards).unwrap())
    })
}

/// The next packets that wait.
fn wait(queue: &mut Queue) -> Vec<(PacketId, Vec<u8>, bool)> {
    assert!(readable(&*queue), "nothing waits");
    queue.receive().unwrap();
    queue.packets().map(|packet| (packet.id, packet.bytes.to_vec(), packet.leaves)).collect()
}

/// The flags of a packet without options in its IP header.
fn flags(bytes: &[u8]) -> u8 {
    bytes[if bytes[0] >> 4 == 4 { 33 } else { 53 }]
}

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;

fn check(address: &str) {
    let Some(street) = street(1) else { return };
    let (listener, _rules) = guarded(&street, address);
    let mut queue = street.machine(0).within(|| Queue::open(NUMBER, LIMITS)).unwrap();
    let to: SocketAddr = address.parse().unwrap();
    let outside =
        |work: fn(SocketAddr)| street.outside().within(|| thread::spawn(move || work(to)));
    let client = outside(|to| {
        let mut socket = TcpStream::connect(to).unwrap();
        socket.write_all(b"question").unwrap();
        let mut answer = [0; 6];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"answer");
    });

    // The SYN waits, then the answer to it.
    for (expected, leaves) in [(SYN, false), (SYN_ACK, true)] {
        let waiting = wait(&mut queue);
        let [(id, bytes, leaving)] = waiting.as_slice() else { panic!("{}", waiting.len()) };
        assert_eq!((flags(bytes), *leaving), (expected, leaves));
        queue.decide(*id, Verdict::Accept).unwrap();
        queue.flush().unwrap();
    }
    let (mut socket, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();

    // What has data waits. What is dropped comes again: not for nothing.
    let dropped = wait(&mut queue);
    assert!(dropped[0].1.ends_with(b"question"));
    let mut bytes = [0; 64];
    assert_eq!(socket.read(&mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    queue.decide(dropped[0].0, Verdict::Drop).unwrap();
    queue.flush().unwrap();
    let again = wait(&mut queue);
    assert!(again[0].1.ends_with(b"question"));
    queue.decide(again[0].0, Verdict::Accept).unwrap();
    queue.flush().unwrap();
    assert!(readable(&socket));
    assert_eq!(socket.read(&mut bytes).unwrap(), 8);
    // The acknowledgement of this passes: the client gets it and ends, though
    // nobody decides anything.
    socket.write_all(b"answer").unwrap();
    client.join().unwrap();

    // The end waits too.
    let end = wait(&mut queue);
    assert_eq!(flags(&end[0].1) & 1, 1);
    queue.decide(end[0].0, Verdict::Accept).unwrap();
    // A verdict twice is one about a packet that is not there.
    queue.decide(end[0].0, Verdict::Accept).unwrap();
    queue.flush().unwrap();
    assert!(readable(&socket));
    assert_eq!(socket.read(&mut bytes).unwrap(), 0);
    assert!(readable(&queue));
    queue.receive().unwrap();
    assert_eq!((queue.unknown(), queue.overruns()), (1, 0));
}

#[test]
fn segments_wait_for_their_verdict() {
    check("10.1.0.1:7000");
}

#[test]
fn segments_by_ipv6_wait_for_their_verdict() {
    check("[fd77::1]:7000");
}

/// Of a connection that we begin, its SYN and the answer to it wait.
fn check_own(own: &str, backend: &str) {
    let Some(street) = street(1) else { return };
    let backend: SocketAddr = backend.parse().unwrap();
    let listener = street.outside().within(|| TcpListener::bind(backend)).unwrap();
    let connections = Connections::From(own.parse().unwrap(), backend);
    let guards = [Guard { connections, queue: Some(NUMBER) }];
    let (_rules, mut queue) = street
        .machine(0)
        .within(|| (Rules::install(1, &guards).unwrap(), Queue::open(NUMBER, LIMITS).unwrap()));
    let own =
        street.machine(0).within(|| thread::spawn(move || TcpStream::connect(backend).unwrap()));
    let mut decide = |expected: u8, leaves: bool| {
        let waiting = wait(&mut queue);
        let [(id, bytes, leaving)] = waiting.as_slice() else { panic!("{}", waiting.len()) };
        assert_eq!((flags(bytes) & 0x1F, *leaving), (expected, leaves));
        queue.decide(*id, Verdict::Accept).unwrap();
        queue.flush().unwrap();
    };
    decide(SYN, true);
    decide(SYN_ACK, false);
    let own = own.join().unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    // What the backend says waits.
    socket.write_all(b"answer").unwrap();
    decide(0x18, false);
    assert!(readable(&own));
}

#[test]
fn both_syns_of_our_own_connections_wait() {
    check_own("10.1.0.1", "10.1.0.254:7000");
}

#[test]
fn both_syns_of_our_own_connections_by_ipv6_wait() {
    check_own("fd77::1", "[fd77::fe]:7000");
}

#[test]
fn a_queue_has_one_reader() {
    let Some(street) = street(0) else { return };
    street.outside().within(|| {
        let queue = Queue::open(NUMBER, LIMITS).unwrap();
        let error = Queue::open(NUMBER, LIMITS).unwrap_err();
        assert!(error.is(libc::EBUSY) || error.is(libc::EPERM), "{error}");
        drop(queue);
        Queue::open(NUMBER, LIMITS).unwrap();
    });
}

/// SYNs that nobody decides about fill a short queue; the next ones pass or are
/// dropped, as was asked.
#[test]
fn a_full_queue_opens_or_shuts() {
    for fail_open in [false, true] {
        let Some(street) = street(1) else { return };
        let (listener, _rules) = guarded(&street, "10.1.0.1:7000");
        let limits = Limits { packets: 2, fail_open, ..LIMITS };
        let mut queue = street.machine(0).within(|| Queue::open(NUMBER, limits)).unwrap();
        let connect = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None);
            let socket = socket.unwrap();
            socket.set_nonblocking(true).unwrap();
            let to: SocketAddr = "10.1.0.1:7000".parse().unwrap();
            assert!(socket.connect(&to.into()).is_err(), "it is under way");
            socket
        };
        let clients: Vec<_> = street.outside().within(|| (0..4).map(|_| connect()).collect());
        if fail_open {
            assert!(readable(&listener));
            listener.accept().unwrap();
        } else {
            let mut waiting = wait(&mut queue).len();
            while waiting < 2 {
                waiting += wait(&mut queue).len();
            }
            listener.set_nonblocking(true).unwrap();
            assert!(listener.accept().is_err());
        }
        drop(clients);
    }
}

/// Bytes that only the kernel sends are not believed more than others.
#[test]
fn whatever_comes_is_no_harm() {
    for length in 0..64_u8 {
        let body: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37)).collect();
        let message = Received { kind: kind(libc::NFQNL_MSG_PACKET), body: &body };
        let _read = read(message, body.as_ptr().addr());
    }
}

/// Clients of several addresses knock; one's SYN is read, and one's is not.
fn check_left(address: &str) {
    let Some(street) = street(1) else { return };
    let (_listener, _rules) = guarded(&street, address);
    let mut queue = street.machine(0).within(|| Queue::open(NUMBER, LIMITS)).unwrap();
    let to: SocketAddr = address.parse().unwrap();
    let knock = || {
        let knocking = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
        knocking.set_nonblocking(true).unwrap();
        assert!(knocking.connect(&to.into()).is_err(), "nobody lets it in");
        knocking
    };
    let read = street.outside().within(knock);
    assert_eq!(wait(&mut queue).len(), 1);
    let unread = street.outside().within(knock);
    assert!(readable(&queue), "nothing waits");

    let file = queue.as_fd().try_clone_to_owned().unwrap();
    drop(queue);
    let mut left = Leftover::of(NUMBER, file).unwrap();
    left.receive().unwrap();
    let ports: Vec<u16> = left
        .packets()
        .map(|packet| {
            assert_eq!(flags(packet.bytes), SYN);
            let header = if to.is_ipv4() { 20 } else { 40 };
            u16::from_be_bytes([packet.bytes[header], packet.bytes[header + 1]])
        })
        .collect();
    let port = |socket: &Socket| socket.local_addr().unwrap().as_socket().unwrap().port();
    assert_eq!(ports, [port(&read), port(&unread)]);
}

#[test]
fn what_has_no_verdict_is_there_for_who_shares_the_queue() {
    check_left("10.1.0.1:7000");
    check_left("[fd77::1]:7000");
}
