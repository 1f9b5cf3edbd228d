//! A node by itself, that is given whatever a test or a fuzzer likes, and one
//! member of its farm that says it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::cluster::portion::Portion;
use proto::holdings::Holdings;
use proto::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};
use proto::nak::acks::{Ack, WriteId};
use proto::nak::sender::Destination;
use proto::node::{Config, Event, Node, Origin, Way};
use proto::record::{Body, Deadlines, HybridClock, Key, Kind, Record, Version};
use proto::seal::{Opener, Sealer};
use proto::table::{self, Table};
use proto::time::{Instant, Now, Wall};
use proto::wire::control::{Hello, Item, Message};
use proto::wire::frame::Frame;
use proto::wire::header::{HEADER_BYTES, Header, Incarnation, PacketType};
use proto::wire::{MAX_PACKET_BYTES, Reader, TAG_BYTES};

use crate::farm::running::publish;

/// The node.
pub const NODE: Incarnation = Incarnation(1);
/// The member.
pub const MEMBER: Incarnation = Incarnation(2);
/// A time of day: 2026-01-01.
const EPOCH: Wall = Wall::from_millis(1_767_225_600_000);
/// More than any one packet makes a node send.
const MAX_SENT: usize = 10_000;
/// What is due makes other things due, such as what was recovered in vain to
/// be asked for again; but not those in turn.
const TURNS: usize = 4;

/// A node that is given everything, and one member of its farm.
#[derive(Debug)]
pub struct Target {
    /// The node.
    pub node: Node,
    /// Its cache memory.
    pub holdings: Arc<Holdings>,
    /// What it has said so far.
    pub events: Vec<Event>,
    versions: Arc<HybridClock>,
    now: Now,
    control: Sealer,
    data: Sealer,
    keyring: Keyring,
    opener: Opener,
    /// What the node asked to be sent back, to prove that a node lives.
    nonce: Option<u64>,
}

impl Target {
    /// A node that has just started, and keeps so many bytes of packets for
    /// repair.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn new(ring_bytes: usize) -> Self {
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
            ring_bytes,
            credit: 100,
            portion: Portion::default(),
            compare_every: Config::COMPARE_EVERY,
            lookup_timeout: Config::LOOKUP_TIMEOUT,
            seed: [4; 32],
        };
        let now = Now { instant: Instant::from_micros(1), wall: EPOCH };
        let holdings = Arc::new(Holdings::new(Table::new(config)));
        let versions = Arc::new(HybridClock::default());
        let node = Node::new(config_of_node, Arc::clone(&holdings), Arc::clone(&versions), now);
        let events = Vec::new();
        Self { node, holdings, events, versions, now, control, data, keyring, opener, nonce: None }
    }

    /// What time it is for the node.
    #[must_use]
    pub const fn now(&self) -> Now {
        self.now
    }

    /// Answers the node's call as a member would.
    ///
    /// # Panics
    ///
    /// When the node does not take it for a member.
    pub fn let_member_in(&mut self) {
        self.pass(Duration::ZERO);
        let nonce = self.nonce.expect("a node calls when it starts");
        let (address, portion) = (address(2), Portion::default());
        let placement = self.keyring.placement_check();
        let hello = Hello { name: "member".into(), address, ready: true, placement, portion };
        self.tell(&Message::Answer { nonce, hello, high: 0, holds: true, members: Vec::new() });
        assert_eq!(self.node.peers().len(), 1, "the member is in");
    }

    /// Has the node write so many records, in a packet each.
    ///
    /// # Panics
    ///
    /// When it has no room for them.
    pub fn publish(&mut self, packets: u64) {
        for number in 0..packets {
            if !self.node.has_room() {
                self.pass(Duration::from_micros(1));
            }
            assert!(self.node.has_room(), "nobody holds the stream back");
            let time = self.versions.tick(self.now.wall);
            let record = Record {
                key: Key::new(Kind::Web, &number.to_be_bytes()).expect("eight bytes"),
                version: Version { time, writer: NODE.writer() },
                deadlines: Deadlines::at(self.now.wall + Duration::from_secs(3_600)),
                body: Body::Value(&[7; 100]),
            };
            self.holdings.admit(&record, self.now.wall);
            let keys = [self.holdings.hash(&record.key)];
            let frame = Frame::Record(record);
            publish(&mut self.node, &frame, &keys, (Ack::All, WriteId(number)));
        }
        self.pass(Duration::from_micros(1));
    }

    /// Has the member say something. Gives how many packets that makes the
    /// node send.
    pub fn tell(&mut self, message: &Message) -> usize {
        let mut body = Vec::new();
        message.encode(&mut body);
        self.receive_sealed(PacketType::Control, 0, &body)
    }

    /// Gives the node a packet of that body, sealed by the member. Gives how
    /// many packets that makes it send.
    pub fn receive_sealed(&mut self, packet_type: PacketType, flags: u8, body: &[u8]) -> usize {
        let mut packet = vec![0; HEADER_BYTES];
        packet.extend_from_slice(body);
        packet.resize(packet.len() + TAG_BYTES, 0);
        match packet_type {
            PacketType::Control => self.control.seal(flags, &mut packet),
            PacketType::Data => self.data.seal(flags, &mut packet),
        };
        self.receive(&mut packet)
    }

    /// Gives the node a packet. Gives how many packets that makes it send.
    pub fn receive(&mut self, packet: &mut [u8]) -> usize {
        let origin = Origin { address: address(2), way: Way::Unicast };
        self.node.handle_datagram(self.now, origin, packet);
        self.pass(Duration::from_millis(3))
    }

    /// Lets time pass at once, as for a process that is stopped meanwhile, and
    /// the node do what it will. Gives how many packets it sends.
    ///
    /// # Panics
    ///
    /// When it turns in a circle.
    pub fn pass(&mut self, time: Duration) -> usize {
        self.now.instant += time;
        let mut sent = 0;
        for _ in 0..TURNS {
            sent += self.turn();
            assert!(sent < MAX_SENT, "what one packet makes a node send is bounded");
            let due = self.node.poll_timeout().map(|(due, _)| due);
            if due.is_none_or(|due| due > self.now.instant) {
                return sent;
            }
        }
        panic!("the node turns in a circle: {:?}", self.node.poll_timeout());
    }

    /// Does what is due. Gives how many packets the node sends.
    fn turn(&mut self) -> usize {
        self.node.handle_timeout(self.now);
        let mut sent = 0;
        while let Some(transmit) = self.node.poll_transmit(self.now) {
            sent += transmit.bytes.len().div_ceil(MAX_PACKET_BYTES);
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
        self.events.extend(std::iter::from_fn(|| self.node.poll_event()));
        sent
    }
}

/// Where the node, or the member, takes its packets.
pub(crate) fn address(number: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7_700 + number))
}
