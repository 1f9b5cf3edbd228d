//! Bytes from those who mean no good, given to what reads them.
//!
//! Nothing here checks more than that the machine survives: no panic, and
//! every call ends. The fuzzers and the tests call the same functions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};
use proto::nak::reassembly::Fragment;
use proto::nak::sender::Destination;
use proto::node::{Config, Counters, Node, Origin, Way};
use proto::record::HybridClock;
use proto::seal::{Opener, Sealer};
use proto::table::{self, Table};
use proto::time::{Instant, Now, Wall};
use proto::transfer::page::Contents;
use proto::wire::control::{Hello, Item, Message};
use proto::wire::frame::Frame;
use proto::wire::header::{FLAG_FRAGMENT, HEADER_BYTES, Header, Incarnation, PacketType};
use proto::wire::{MAX_BODY_BYTES, Reader, TAG_BYTES};

const NODE: Incarnation = Incarnation(1);
const MEMBER: Incarnation = Incarnation(2);
/// A time of day: 2026-01-01.
const EPOCH: Wall = Wall::from_millis(1_767_225_600_000);

/// Reads bytes as everything that a peer's bytes are read as.
pub fn decode(bytes: &[u8]) {
    let _ = Header::decode(bytes);
    let mut reader = Reader::new(bytes);
    while let Ok(Some(_)) = Item::decode(&mut reader) {}
    let mut reader = Reader::new(bytes);
    while let Ok(Some(_)) = Frame::decode(&mut reader, EPOCH) {}
    let _ = Fragment::decode(bytes);
    if let Ok(mut contents) = Contents::decode(bytes) {
        while let Ok(Some(_)) = contents.next_frame(EPOCH) {}
    }
}

/// Gives a node a datagram of somebody without the farm's key. Gives what the
/// node counted.
pub fn stranger(bytes: &[u8]) -> Counters {
    let mut target = Target::new();
    target.receive(&mut bytes.to_vec());
    *target.node.counters()
}

/// Gives a node packets of a member that says whatever it likes: each is a
/// byte that tells its type and flags, two that tell its length, and so many
/// of the body.
pub fn member(mut bytes: &[u8]) -> Counters {
    let mut target = Target::new();
    target.let_member_in();
    while let Some((&[how, high, low], rest)) = bytes.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([high, low])) % (MAX_BODY_BYTES + 1);
        let (body, rest) = rest.split_at(len.min(rest.len()));
        bytes = rest;
        let flags = if how & 2 == 0 { 0 } else { FLAG_FRAGMENT };
        if how & 1 == 0 {
            target.receive_sealed(PacketType::Control, 0, body);
        } else {
            target.receive_sealed(PacketType::Data, flags, body);
        }
    }
    *target.node.counters()
}

/// A node that is given everything, and one member of its farm.
struct Target {
    node: Node,
    now: Now,
    control: Sealer,
    data: Sealer,
    keyring: Keyring,
    opener: Opener,
    /// What the node asked to be sent back, to prove that a node lives.
    nonce: Option<u64>,
}

impl Target {
    fn new() -> Self {
        let keyring = Keyring::new(vec![FarmKey::new([7; FARM_KEY_BYTES])]).expect("one key");
        let placement_secret = keyring.placement_secret();
        let config =
            table::Config { capacity_bytes: 1 << 20, placement_secret, own_secret: [3; 32] };
        let control = Sealer::new(&keyring, MEMBER, PacketType::Control, 0);
        let data = Sealer::new(&keyring, MEMBER, PacketType::Data, 0);
        let opener = Opener::new(NODE);
        let config_of_node = Config {
            name: "target".into(),
            incarnation: NODE,
            keyring: keyring.clone(),
            begins_after: 0,
            address: address(1),
            multicast: true,
            peers: vec![address(2)],
            ring_bytes: 64 << 10,
            credit: 100,
            compare_every: Config::COMPARE_EVERY,
            seed: [4; 32],
        };
        let now = Now { instant: Instant::from_micros(1), wall: EPOCH };
        let (table, versions) = (Arc::new(Table::new(config)), Arc::new(HybridClock::default()));
        let node = Node::new(config_of_node, table, versions, now);
        Self { node, now, control, data, keyring, opener, nonce: None }
    }

    /// Answers the node's call as a member would.
    fn let_member_in(&mut self) {
        self.act();
        let nonce = self.nonce.expect("a node calls when it starts");
        let hello = Hello { name: "member".into(), address: address(2), ready: true };
        let answer = Message::Answer { nonce, hello, high: 0, holds: true, members: Vec::new() };
        let mut body = Vec::new();
        answer.encode(&mut body);
        self.receive_sealed(PacketType::Control, 0, &body);
        assert_eq!(self.node.peers().len(), 1, "the member is in");
    }

    fn receive_sealed(&mut self, packet_type: PacketType, flags: u8, body: &[u8]) {
        let mut packet = vec![0; HEADER_BYTES];
        packet.extend_from_slice(body);
        packet.resize(packet.len() + TAG_BYTES, 0);
        match packet_type {
            PacketType::Control => self.control.seal(flags, &mut packet),
            PacketType::Data => self.data.seal(flags, &mut packet),
        };
        self.receive(&mut packet);
    }

    fn receive(&mut self, packet: &mut [u8]) {
        let origin = Origin { address: address(2), way: Way::Unicast };
        self.node.handle_datagram(self.now, origin, packet);
        self.act();
    }

    /// Lets a moment pass and the node do what it will.
    fn act(&mut self) {
        self.now.instant += Duration::from_millis(3);
        self.node.handle_timeout(self.now);
        let mut sent = 0;
        while let Some(transmit) = self.node.poll_transmit(self.now) {
            sent += 1;
            assert!(sent < 10_000, "what one packet makes a node send is bounded");
            if transmit.to == Destination::Farm
                && let Ok(header) = Header::decode(transmit.bytes)
                && header.packet_type == PacketType::Control
                && let mut packet = transmit.bytes.to_vec()
                && let Ok(body) = self.opener.open(&self.keyring, &header, &mut packet)
                && let Ok(Some(Item::Message(Message::Challenge { nonce, .. }))) =
                    Item::decode(&mut Reader::new(body))
            {
                self.nonce = Some(nonce);
            }
        }
        while self.node.poll_event().is_some() {}
        let due = self.node.poll_timeout().map(|(due, _)| due);
        assert!(due.is_none_or(|due| due > self.now.instant), "the node does not turn in a circle");
    }
}

fn address(number: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7_700 + number))
}
