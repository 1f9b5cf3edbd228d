//! Multicast over the loopback interface.

use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};

use super::*;
use crate::batch::{ReceiveBatch, SendQueue};
use crate::testing::{read_packets, readable};

const BUFFERS: Buffers = Buffers { receive: 1 << 20, send: 1 << 20 };

/// A group on the loopback interface at a port of the kernel's choice: the
/// first socket takes one, the others are opened with it.
fn group(address: &str, sources: &[&str]) -> Group {
    Group {
        address: SocketAddr::new(address.parse().unwrap(), 0),
        interface: Interface::Name("lo".into()),
        ttl: 1,
        sources: sources.iter().map(|source| source.parse().unwrap()).collect(),
    }
}

fn listen(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), 0)
}

fn send(from: &UdpSocket, to: SocketAddr, packets: usize) {
    let mut queue = SendQueue::new(packets, 100);
    for number in 0..packets {
        queue.room().unwrap()[..8].copy_from_slice(&number.to_be_bytes());
        queue.commit(8, &[to]);
    }
    queue.flush(from).unwrap();
}

/// Two receivers hear all that a sender sends, as coming from its own address.
fn check_two_receivers(address: &str, interface: &str, sender: &str) {
    let mut group = group(address, &[]);
    group.interface = Interface::Name(interface.into());
    let first = open_group(&group, BUFFERS).unwrap().socket;
    group.address.set_port(first.local_addr().unwrap().port());
    let second = open_group(&group, BUFFERS).unwrap().socket;
    let sender = open_unicast(listen(sender), Some(&group), BUFFERS).unwrap().socket;

    send(&sender, group.address, 40);
    let from = sender.local_addr().unwrap();
    let expected: Vec<_> =
        (0..40_usize).map(|number| (from, number.to_be_bytes().to_vec())).collect();
    for socket in [&first, &second] {
        let mut batch = ReceiveBatch::new(socket, 4);
        assert_eq!(read_packets(&mut batch, socket, 40), expected);
    }
}

#[test]
fn every_receiver_on_a_machine_gets_every_packet() {
    check_two_receivers("239.255.77.250", "lo", "127.0.0.1");
}

/// The loopback interface carries no IPv6 multicast, so the test makes another
/// one, in a network of its own that ends with its thread and its sockets.
#[test]
fn a_blocked_source_is_not_heard_until_it_is_unblocked() {
    let mut group = group("239.255.77.249", &[]);
    let socket = open_group(&group, BUFFERS).unwrap().socket;
    group.address.set_port(socket.local_addr().unwrap().port());
    let blocked = open_unicast(listen("127.0.0.2"), Some(&group), BUFFERS).unwrap().socket;
    let heard = open_unicast(listen("127.0.0.3"), Some(&group), BUFFERS).unwrap().socket;
    let mut batch = ReceiveBatch::new(&socket, 4);
    let mut senders = |sent: &[&UdpSocket], count| -> Vec<IpAddr> {
        for from in sent {
            send(from, group.address, 1);
        }
        read_packets(&mut batch, &socket, count).into_iter().map(|(from, _)| from.ip()).collect()
    };

    block_source(&socket, &group, "127.0.0.2".parse().unwrap()).unwrap();
    assert_eq!(senders(&[&blocked, &heard], 1), [heard.local_addr().unwrap().ip()]);
    unblock_source(&socket, &group, "127.0.0.2".parse().unwrap()).unwrap();
    assert_eq!(senders(&[&blocked], 1), [blocked.local_addr().unwrap().ip()]);
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn ipv6_too() {
    thread::spawn(|| {
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
            eprintln!("skipped: a network namespace needs CAP_SYS_ADMIN: {errno}");
            return;
        }
        for command in [
            "link add one type veth peer name other",
            "link set one up",
            "link set other up",
            "address add fd77::1/64 dev one nodad",
        ] {
            let status = Command::new("ip").args(command.split(' ')).status().unwrap();
            assert!(status.success(), "ip {command}");
        }
        check_two_receivers("ff15::77:250", "one", "fd77::1");
    })
    .join()
    .unwrap();
}

#[test]
fn only_joined_sources_are_heard() {
    let mut group = group("232.77.77.250", &["127.0.0.1"]);
    let receiver = open_group(&group, BUFFERS).unwrap().socket;
    group.address.set_port(receiver.local_addr().unwrap().port());
    let open = |address| open_unicast(listen(address), Some(&group), BUFFERS).unwrap().socket;
    let (heard, other) = (open("127.0.0.1"), open("127.0.0.2"));
    let mut batch = ReceiveBatch::new(&receiver, 4);
    let mut next_comes_from = |socket: &UdpSocket| {
        let packets = read_packets(&mut batch, &receiver, 1);
        packets.iter().all(|(from, _)| *from == socket.local_addr().unwrap())
    };

    send(&other, group.address, 1);
    send(&heard, group.address, 1);
    assert!(next_comes_from(&heard));

    join_source(&receiver, &group, "127.0.0.2".parse().unwrap()).unwrap();
    send(&other, group.address, 1);
    assert!(next_comes_from(&other));

    leave_source(&receiver, &group, "127.0.0.2".parse().unwrap()).unwrap();
    send(&other, group.address, 1);
    send(&heard, group.address, 1);
    assert!(next_comes_from(&heard));
}

#[test]
fn a_capped_receive_buffer_is_told() {
    let granted = |receive| {
        let buffers = Buffers { receive, send: 1 << 20 };
        open_unicast(listen("127.0.0.1"), None, buffers).unwrap().receive_granted
    };
    // The kernel's own limit, which no privilege lifts, is half of 2 GiB.
    assert!(granted(2 << 30) < 2 << 30);
    assert_eq!(granted(64 << 10), 64 << 10);
}

#[test]
fn an_address_in_use_is_named() {
    let first = open_unicast(listen("127.0.0.1"), None, BUFFERS).unwrap().socket;
    let address = first.local_addr().unwrap();
    let error = open_unicast(address, None, BUFFERS).unwrap_err().to_string();
    assert!(error.starts_with(&format!("bind for {address}: ")), "{error}");
}

#[test]
fn what_is_no_group_is_refused() {
    let error = open_group(&group("127.0.0.1", &[]), BUFFERS).unwrap_err();
    assert!(matches!(error, OpenError::NotMulticast(_)), "{error}");
    let error = open_unicast(listen("::1"), Some(&group("239.255.77.250", &[])), BUFFERS);
    assert!(matches!(error, Err(OpenError::Families { .. })), "{error:?}");
}

#[test]
fn sockets_do_not_block() {
    let socket = open_unicast(listen("127.0.0.1"), None, BUFFERS).unwrap().socket;
    let error = ReceiveBatch::new(&socket, 1).receive(&socket).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    send(&socket, socket.local_addr().unwrap(), 1);
    assert!(readable(&socket));
}
