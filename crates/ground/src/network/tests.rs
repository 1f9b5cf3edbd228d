use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use sys::batch::{ReceiveBatch, SendQueue};
use sys::interface::Interface;
use sys::multicast::{Buffers, Group, open_group, open_unicast};

use super::*;

const WAIT: Duration = Duration::from_millis(200);

/// Whether a packet from one machine arrives at another, within its wait if
/// not.
fn arrives(network: &Network, from: u8, to: u8) -> bool {
    let receiver = network.on(to, || UdpSocket::bind((Network::address(to), 0))).unwrap();
    receiver.set_read_timeout(Some(WAIT)).unwrap();
    let sender = network.on(from, || UdpSocket::bind((Network::address(from), 0))).unwrap();
    sender.send_to(b"there", receiver.local_addr().unwrap()).unwrap();
    receiver.recv(&mut [0; 8]).is_ok()
}

#[test]
fn a_pair_is_cut_and_nobody_else() {
    let Some(network) = or_skip(Network::new(3)) else { return };
    network.cut([0, 1]).unwrap();
    assert!(!arrives(&network, 0, 1) && !arrives(&network, 1, 0));
    assert!(arrives(&network, 0, 2) && arrives(&network, 2, 1));
    for machine in [0, 1] {
        assert!(network.lost(machine).unwrap() > 0);
        network.lose_nothing(machine).unwrap();
    }
    assert!(arrives(&network, 0, 1) && arrives(&network, 1, 0));
}

#[test]
fn an_unplugged_machine_hears_nothing_until_it_is_plugged_in() {
    let Some(network) = or_skip(Network::new(2)) else { return };
    assert!(arrives(&network, 0, 1));
    network.unplug(1).unwrap();
    assert!(network.is_unplugged(1).unwrap() && !network.is_unplugged(0).unwrap());
    assert!(!arrives(&network, 0, 1));
    network.plug(1).unwrap();
    assert!(arrives(&network, 0, 1));
}

#[test]
fn what_the_wire_loses_is_single_packets() {
    /// Of some 700 packets 35, with a deviation of 6. Losing whole runs of 45
    /// would be as likely to lose none.
    const SHARE: f64 = 0.05;
    let Some(network) = or_skip(Network::new(2)) else { return };
    network.lose_everywhere(SHARE).unwrap();
    let listener = network.on(1, || TcpListener::bind((Network::address(1), 0))).unwrap();
    let to: SocketAddr = listener.local_addr().unwrap();
    let sender =
        network.on(0, || thread::spawn(move || TcpStream::connect(to)?.write_all(&[7; 1 << 20])));
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut listener.accept().unwrap().0, &mut bytes).unwrap();
    sender.join().unwrap().unwrap();
    assert_eq!(bytes.len(), 1 << 20);
    let rules = network.on(1, || run("iptables -t raw -nvxL PREROUTING")).unwrap();
    let rule = rules.lines().find(|rule| rule.contains("DROP")).unwrap();
    let counts: Vec<u64> =
        rule.split_whitespace().take(2).map(|count| count.parse().unwrap()).collect();
    assert!(counts[0] > 5, "{rule}");
    // Full Ethernet frames at most.
    assert!(counts[1] <= counts[0] * 1_500, "{rule}");
}

#[test]
fn a_machine_loses_its_share_packet_by_packet() {
    const PACKETS: usize = 2_000;
    /// Far below what the kernel's backlog of a device holds, which drops
    /// without telling the firewall.
    const AT_ONCE: usize = 50;
    let address = SocketAddr::from(([239, 255, 0, 1], 7799));
    let group =
        Group { address, interface: Interface::Name("eth0".into()), ttl: 1, sources: vec![] };
    let buffers = Buffers { receive: 4 << 20, send: 1 << 20 };
    let Some(network) = or_skip(Network::new(2)) else { return };
    network.lose(1, address.ip(), 0.05).unwrap();
    let receiver = network.on(1, || open_group(&group, buffers)).unwrap().socket;
    let from = (Network::address(0), 0).into();
    let sender = network.on(0, || open_unicast(from, Some(&group), buffers)).unwrap().socket;

    let mut queue = SendQueue::new(AT_ONCE, 1_000);
    let mut batch = ReceiveBatch::new(&receiver, 32);
    let (mut arrived, mut lost) = (0, 0);
    for sent in (AT_ONCE..=PACKETS).step_by(AT_ONCE) {
        while queue.room().is_some() {
            queue.commit(1_000, &[address]);
        }
        queue.flush(&sender).unwrap();
        let limit = Instant::now() + PATIENCE;
        while arrived + lost < sent {
            assert!(Instant::now() < limit, "{arrived} arrived and {lost} were lost of {sent}");
            while batch.receive(&receiver).is_ok() {
                arrived += batch.packets().count();
            }
            lost = usize::try_from(network.lost(1).unwrap()).unwrap();
        }
    }
    // 100 of them on average, with a deviation of 10.
    assert!((20..300).contains(&lost), "{lost} of {PACKETS} packets were lost");
}
