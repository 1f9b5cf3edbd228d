//! One node: its machines, its sockets, and what waits for them.

use std::collections::{BTreeMap, VecDeque};

use proto::connection::epoch::{Answer, Ask};
use proto::connection::handover::Drain;
use proto::connection::ledger::Ledger;
use proto::connection::owner::Owner;
use proto::connection::stream::{Message, Reply};
use proto::connection::understudy::Understudy;
use proto::connection::{ConnectionId, End, GroupId, Token};
use proto::wire::header::Incarnation;

use super::register::Register;
use super::socket::Socket;

/// What a node's process is given, in the order in which it came.
#[derive(Debug, Clone)]
pub enum Inlet {
    /// A packet that its kernel holds back.
    Packet(Packet),
    /// A message of a stream: of which group and epoch, and from whom.
    Message((GroupId, u64), Incarnation, Message),
    /// What an understudy replies to the owner of a group.
    Reply(GroupId, Reply),
    /// The farm has answered one of the machines.
    Answer(Asker, Ask, Answer),
    /// The other node has ended or refused the stream of a group in an epoch.
    Ended(GroupId, u64),
    /// That start of the other node is gone, as it seems.
    Gone(Incarnation),
    /// It is time to look around.
    Tick,
}

/// Which machine has asked the farm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// The owner of a group.
    Owner(GroupId),
    /// The understudy of a group in an epoch.
    Study(GroupId, u64),
}

/// A packet of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Which client's, or whose backend's.
    pub client: usize,
    /// At which end.
    pub end: End,
    /// Which attempt to reach a backend it belongs to.
    pub attempt: u32,
    /// What it says.
    pub says: Says,
}

/// What a packet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// A connection is asked for.
    Syn,
    /// It is granted.
    SynAck,
    /// This comes next.
    Data {
        /// Where the first byte belongs.
        position: u64,
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether nothing comes after them.
        fin: bool,
    },
    /// So much has come.
    Ack(u64),
}

/// A connection at a node.
#[derive(Debug, Default)]
pub struct Carried {
    /// Its client's number.
    pub client: usize,
    /// Its group.
    pub group: Option<GroupId>,
    /// How many frames were made of it.
    pub frames: u32,
    /// Which attempt to reach its backend is the present one.
    pub attempt: u32,
    /// Whether its SYN-ACK may leave.
    pub open: bool,
    /// As what group it is on its way to the other node: its kernel stands still.
    pub frozen: Option<GroupId>,
    /// Its sockets.
    pub sockets: BTreeMap<End, Socket>,
}

/// A node at one of its starts.
#[derive(Debug)]
pub struct Node {
    /// Which start.
    pub incarnation: Incarnation,
    /// Until when it stands still.
    pub paused_until: Option<u64>,
    /// What it owns, by group.
    pub owners: BTreeMap<GroupId, Owner>,
    /// What it could take over, by group and epoch.
    pub studies: BTreeMap<(GroupId, u64), Understudy>,
    /// Its connections.
    pub carried: BTreeMap<ConnectionId, Carried>,
    /// What its process is given next.
    pub inbox: VecDeque<Inlet>,
    /// What its kernel holds back.
    pub held: BTreeMap<Token, (ConnectionId, Packet)>,
    /// Which stream of each group is up: its epoch, and the link's number.
    pub streams: BTreeMap<GroupId, (u64, u64)>,
    /// How many messages came over each stream, for who would lie about it.
    pub heard: BTreeMap<(GroupId, u64), u64>,
    /// What it is to move.
    pub drains: BTreeMap<GroupId, Drain>,
}

impl Node {
    /// A node that has just started.
    pub const fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            paused_until: None,
            owners: BTreeMap::new(),
            studies: BTreeMap::new(),
            carried: BTreeMap::new(),
            inbox: VecDeque::new(),
            held: BTreeMap::new(),
            streams: BTreeMap::new(),
            heard: BTreeMap::new(),
            drains: BTreeMap::new(),
        }
    }

    /// The connection of a client, the latest if there were several.
    pub fn connection_of(&self, client: usize) -> Option<ConnectionId> {
        self.carried.iter().rev().find(|(_, carried)| carried.client == client).map(|(id, _)| *id)
    }

    /// Who has a connection.
    pub fn owner_of(&self, id: ConnectionId) -> Option<&Owner> {
        self.owners.values().find(|owner| owner.ledger(id).is_some())
    }

    /// Whether it is about to go on with a connection of that client.
    pub fn is_taking(&self, client: usize, clients: &BTreeMap<ConnectionId, usize>) -> bool {
        let mut ids = clients.iter().filter(|(_, of)| **of == client).map(|(id, _)| *id);
        let taking = || self.studies.values().filter(|study| !study.follows());
        ids.any(|id| taking().any(|study| study.ledger(id).is_some()))
    }

    /// From what the node would go on with a connection, or does, if it may by
    /// what stands in the register.
    pub fn copy_of(&self, id: ConnectionId, register: &Register) -> Option<&Ledger> {
        let in_force = |owner: &&Owner| {
            let current = register.current(owner.group()).map(|term| term.owner);
            current.is_none_or(|owner| owner == self.incarnation)
        };
        let own = self.owner_of(id).filter(in_force).and_then(|owner| owner.ledger(id));
        own.or_else(|| self.studies.values().find_map(|study| self.kept(study, id, register)))
    }

    /// Whether the node goes on with a connection, or could come to.
    pub fn may_go_on(&self, id: ConnectionId, register: &Register) -> bool {
        let moving = self.carried.get(&id).and_then(|carried| carried.frozen);
        let may_come_back = moving.is_some_and(|group| {
            register.current(group).is_none_or(|term| term.owner == self.incarnation)
        });
        may_come_back || self.copy_of(id, register).is_some()
    }

    fn kept<'a>(
        &self,
        study: &'a Understudy,
        id: ConnectionId,
        register: &Register,
    ) -> Option<&'a Ledger> {
        let ledger = study.ledger(id)?;
        let group = ledger.header().group;
        let current = register.current(group);
        let ours = current.is_some_and(|term| term.owner == self.incarnation);
        let before = if group == study.group() { Some(study.term()) } else { None };
        (ours || current == before).then_some(ledger)
    }
}
