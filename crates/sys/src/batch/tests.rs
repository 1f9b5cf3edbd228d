//! Batches over the loopback interface.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::*;
use crate::multicast::{Buffers, open_unicast};
use crate::testing::{read_packets, readable};

fn socket(address: &str, receive: usize) -> UdpSocket {
    let listen = SocketAddr::new(address.parse().unwrap(), 0);
    open_unicast(listen, None, Buffers { receive, send: 1 << 20 }).unwrap().socket
}

fn pair() -> (UdpSocket, UdpSocket, SocketAddr) {
    let (from, to) = (socket("127.0.0.1", 1 << 20), socket("127.0.0.1", 4 << 20));
    let address = to.local_addr().unwrap();
    (from, to, address)
}

/// A packet of that length whose content tells its number.
fn packet(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (number * 31 + at).to_le_bytes()[0]).collect()
}

fn queue_packets(queue: &mut SendQueue, lengths: &[usize], to: &[SocketAddr]) -> Vec<Vec<u8>> {
    let packets = lengths.iter().enumerate().map(|(number, length)| packet(number, *length));
    packets
        .inspect(|packet| {
            queue.room().expect("room")[..packet.len()].copy_from_slice(packet);
            queue.commit(packet.len(), to);
        })
        .collect()
}

/// Packets of these lengths arrive as they were sent; gives what it took.
fn check(lengths: &[usize], segmentation: bool) -> Sent {
    let (from, to, address) = pair();
    let mut queue = SendQueue::new(lengths.len(), 1_400);
    if !segmentation {
        queue.disable_segmentation();
    }
    let sent = queue_packets(&mut queue, lengths, &[address]);
    assert_eq!(queue.packets(), lengths.len());
    queue.flush(&from).unwrap();

    let mut batch = ReceiveBatch::new(&to, 8);
    let arrived = read_packets(&mut batch, &to, lengths.len());
    assert!(arrived.iter().all(|(sender, _)| *sender == from.local_addr().unwrap()));
    assert!(arrived.into_iter().map(|(_, bytes)| bytes).eq(sent));
    assert!(queue.is_empty());
    queue.sent()
}

#[test]
fn packets_arrive_as_they_were_sent() {
    for segmentation in [true, false] {
        let sent = check(&[1_000; 40], segmentation);
        assert_eq!((sent.packets, sent.bytes), (40, 40_000));
        check(&[1_400; 70], segmentation);
        check(&[1], segmentation);
        check(&[10, 20, 20, 5, 20, 1_400, 1_399, 1_400, 1_400], segmentation);
    }
}

#[test]
fn a_plain_socket_gets_a_run_cut_up() {
    let (from, to, address) = pair();
    let mut queue = SendQueue::new(17, 1_400);
    let mut lengths = [1_200; 17];
    lengths[15] = 300;
    let sent = queue_packets(&mut queue, &lengths, &[address]);
    queue.flush(&from).unwrap();
    assert_eq!(queue.sent().calls, 1);
    let mut room = [0; 2_000];
    for packet in sent {
        assert!(readable(&to));
        let (length, _) = to.recv_from(&mut room).unwrap();
        assert_eq!(room[..length], packet);
    }
}

#[test]
fn a_run_goes_from_where_it_lies_and_after_what_is_queued() {
    for segmentation in [true, false] {
        let (from, to, address) = pair();
        let mut queue = SendQueue::new(64, 1_000);
        if !segmentation {
            queue.disable_segmentation();
        }
        let mut sent = queue_packets(&mut queue, &[10, 20], &[address]);
        let run: Vec<u8> = [1_000; 15].iter().chain(&[7]).flat_map(|&len| packet(3, len)).collect();
        queue.send(&from, &run, &[address]).unwrap();
        sent.extend(run.chunks(1_000).map(<[u8]>::to_vec));
        let arrived = read_packets(&mut ReceiveBatch::new(&to, 8), &to, sent.len());
        assert!(arrived.into_iter().map(|(_, bytes)| bytes).eq(sent));
        assert_eq!((queue.sent().packets, queue.sent().bytes), (18, 15_037));
        assert!(queue.is_empty());
    }
}

#[test]
fn each_destination_gets_each_packet_in_order() {
    let from = socket("127.0.0.1", 1 << 20);
    let receivers = [(); 3].map(|()| socket("127.0.0.1", 1 << 20));
    let addresses: Vec<_> = receivers.iter().map(|to| to.local_addr().unwrap()).collect();
    let mut queue = SendQueue::new(20, 1_400);
    let sent = queue_packets(&mut queue, &[700; 20], &addresses);
    assert_eq!(queue.packets(), 60);
    queue.flush(&from).unwrap();
    assert_eq!(queue.sent().packets, 60);
    for to in &receivers {
        let arrived = read_packets(&mut ReceiveBatch::new(to, 2), to, 20);
        assert!(arrived.iter().map(|(_, bytes)| bytes).eq(&sent));
    }
}

#[test]
fn a_full_queue_has_no_room_until_it_was_flushed() {
    let (from, _to, address) = pair();
    let mut queue = SendQueue::new(3, 100);
    queue_packets(&mut queue, &[100, 100], &[address]);
    assert_eq!(queue.free(), 1);
    queue_packets(&mut queue, &[100], &[address]);
    assert!(queue.room().is_none() && queue.free() == 0);
    queue.flush(&from).unwrap();
    assert!(queue.room().is_some() && queue.free() == 3);
}

#[test]
fn a_packet_that_no_interface_carries_is_dropped_and_the_next_goes_out() {
    // With IPv6's headers this is 19 bytes more than the loopback's 65,536.
    let (from, to) = (socket("::1", 1 << 20), socket("::1", 1 << 20));
    let address = to.local_addr().unwrap();
    let mut queue = SendQueue::new(2, MESSAGE_BYTES);
    queue_packets(&mut queue, &[MESSAGE_BYTES, 10], &[address]);
    let error = queue.flush(&from).unwrap_err();
    assert!(matches!(error, SendError::TooLarge { bytes: MESSAGE_BYTES, .. }), "{error}");
    queue.flush(&from).unwrap();
    assert_eq!(read_packets(&mut ReceiveBatch::new(&to, 1), &to, 1)[0].1, packet(1, 10));
}

#[test]
fn a_refusal_names_the_destination() {
    let (from, to, address) = pair();
    drop(to);
    // Only a connected socket is told that nobody listens.
    from.connect(address).unwrap();
    let mut queue = SendQueue::new(4, 100);
    queue_packets(&mut queue, &[100], &[address]);
    queue.flush(&from).unwrap();
    queue_packets(&mut queue, &[100, 100], &[address]);
    let Err(SendError::Refused { to, packets, source }) = queue.flush(&from) else {
        panic!("nobody listens")
    };
    assert_eq!((to, packets, source.kind()), (address, 2, io::ErrorKind::ConnectionRefused));
    assert!(queue.is_empty());
}

#[test]
fn what_is_refused_keeps_nothing_else_back() {
    let (from, to, address) = pair();
    // Only a socket that asked for it may broadcast.
    let refused: SocketAddr = "255.255.255.255:9".parse().unwrap();
    let mut queue = SendQueue::new(2 * RUN_PACKETS, 100);
    let run = vec![7; 100 * RUN_PACKETS];
    for _ in 0..8 {
        queue_packets(&mut queue, &[100; 8], &[refused]);
        let result = queue.send(&from, &run, &[refused, address]);
        assert!(matches!(result, Err(SendError::Refused { .. })), "{result:?}");
        assert!(queue.is_empty());
        assert_eq!(
            read_packets(&mut ReceiveBatch::new(&to, 8), &to, RUN_PACKETS).len(),
            RUN_PACKETS
        );
    }
}

#[test]
fn what_the_kernel_drops_is_counted() {
    const PACKETS: usize = 640;
    let (from, to) = (socket("127.0.0.1", 1 << 20), socket("127.0.0.1", 32 << 10));
    let address = to.local_addr().unwrap();
    let mut batch = ReceiveBatch::new(&to, 4);
    let mut queue = SendQueue::new(PACKETS, 1_000);
    queue_packets(&mut queue, &[1_000; PACKETS], &[address]);
    queue.flush(&from).unwrap();

    let mut arrived = 0;
    while batch.receive(&to).is_ok() {
        arrived += batch.packets().count();
    }
    // The count travels with a packet that finds room again.
    queue_packets(&mut queue, &[1], &[address]);
    queue.flush(&from).unwrap();
    arrived += read_packets(&mut batch, &to, 1).len();
    assert!(batch.overflows() > 0);
    assert!(batch.packets().all(|packet| packet.overflows == batch.overflows()));
    // A run that does not fit is one drop to the kernel if it was not cut up.
    let dropped = PACKETS + 1 - arrived;
    let counted = usize::try_from(batch.overflows()).unwrap();
    assert!((dropped.div_ceil(RUN_PACKETS)..=dropped).contains(&counted), "{counted} of {dropped}");
}

#[test]
fn packets_of_several_senders_keep_their_senders() {
    let to = socket("127.0.0.1", 1 << 20);
    let address = to.local_addr().unwrap();
    let senders = [(); 3].map(|()| socket("127.0.0.1", 1 << 20));
    for (index, from) in senders.iter().enumerate() {
        let mut queue = SendQueue::new(8, 100);
        queue_packets(&mut queue, &[10 + index; 8], &[address]);
        queue.flush(from).unwrap();
    }
    let mut lengths = BTreeMap::<_, Vec<_>>::new();
    for (from, bytes) in read_packets(&mut ReceiveBatch::new(&to, 32), &to, 24) {
        lengths.entry(from).or_default().push(bytes.len());
    }
    for (index, from) in senders.iter().enumerate() {
        assert_eq!(lengths[&from.local_addr().unwrap()], [10 + index; 8]);
    }
}
