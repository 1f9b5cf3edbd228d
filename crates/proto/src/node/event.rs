//! What a node tells its driver, and what it counts. What is made of it, for
//! people or for whoever waits, it does not know.

use std::net::SocketAddr;
use std::time::Duration;

use super::Way;
use crate::claims::Answer;
use crate::cluster::placement::Trouble;
use crate::lookup::Outcome;
use crate::nak::acks::WriteId;
use crate::record::KeyHash;

/// Something that the driver should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The portion has arrived, or there is nobody to fetch it from.
    Ready,
    /// A write's acknowledgement is there.
    Acknowledged(WriteId),
    /// Too many writes wait: this one is not waited for any more, though it is on
    /// its way.
    GivenUp(WriteId),
    /// What the claim of this number came to; `None`: whoever issued the ticket
    /// is not there, or did not answer in time.
    Claimed(u64, Option<Answer>),
    /// A member confirmed a packet this long after it was sent.
    Lag(Duration),
    /// What came of looking a key up.
    LookedUp(KeyHash, Outcome),
    /// A node is heard, or heard again.
    MemberAlive(String),
    /// A node has been silent for too long.
    MemberDead(String),
    /// A node took leave.
    MemberLeft(String),
    /// A member stalled, and no longer holds the others back.
    MemberStalled(String),
    /// What is for the farm goes to a node by this way from here on.
    MemberReached(String, Way),
    /// A node's clock is too far ahead of ours.
    ClockAhead(String),
    /// Two nodes that live have one name.
    NameTwice(String, [SocketAddr; 2]),
    /// What comes from a configured peer opens with none of our keys.
    KeysDiffer(SocketAddr),
    /// A node at an address names and places records by another secret. It is
    /// taken for no member.
    PlacementDiffers(String, SocketAddr),
    /// None of so many configured peers answers. They are called on.
    NobodyAnswers(usize),
    /// Something about operations that need one answer.
    Agreement(crate::agree::Event),
    /// What the farm key of this id sealed opens no more.
    KeyRetired(u8),
    /// Something is wrong with the names that the node's portion is of.
    PortionTrouble(Trouble),
    /// A node was given another number of replicas: the higher counts.
    ReplicasDiffer(String, u8),
}

/// What the node did, counted since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets received and accepted.
    pub received: u64,
    /// Packets that do not open.
    pub forged: u64,
    /// Packets that came before, or of nodes that have not proven themselves.
    pub replayed: u64,
    /// Packets that are none, or say what makes no sense.
    pub malformed: u64,
    /// Requests for repair sent.
    pub naks_sent: u64,
    /// Requests for repair not sent, because another node had asked.
    pub naks_suppressed: u64,
    /// Packets that came after they had been asked for.
    pub repairs_received: u64,
    /// Packets that no repair could bring.
    pub unrecovered: u64,
    /// Members that stalled.
    pub stalled: u64,
    /// Ranges of keys that were fetched from nodes that differed in them.
    pub ranges_fetched: u64,
    /// Versions from too far ahead of our clock.
    pub clocks_ahead: u64,
    /// Bytes of packets in which members say who is up.
    pub gossip_bytes: u64,
    /// Messages of members that make no sense as such.
    pub gossip_refused: u64,
    /// Bytes of packets with digests of what is held, each counted once for
    /// each node that it was sent to.
    pub digest_bytes: u64,
}
