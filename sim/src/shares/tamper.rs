//! Breaking what nodes that share do on purpose, from outside the machines.
//!
//! A checker that never fails proves nothing. Each of these makes the nodes
//! behave as if they had a mistake, by changing what comes to them or what they
//! hold.

use std::collections::BTreeMap;

use proto::cluster::placement::{Member, Placement};
use proto::cluster::slots::SlotSet;
use proto::seal::{Opener, Sealer};
use proto::table::Cursor;
use proto::wire::control::{Item, Message, Part};
use proto::wire::header::{HEADER_BYTES, Header, PacketType};
use proto::wire::{Reader, TAG_BYTES};

use crate::farm::Farm;
use crate::keys;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tamper {
    /// Nothing.
    Nothing,
    /// A node lets go of what is no longer its own as soon as it has met whose
    /// it is to be.
    LetsGoEarly,
    /// A node takes slots for arrived of which nothing has come.
    TakesForArrived,
    /// Nobody hears that others have all that they are to keep.
    NobodyConfirms,
}

impl Tamper {
    /// What comes in place of a packet; none where it comes as it is.
    pub(crate) fn packet(self, packet: &[u8]) -> Option<Vec<u8>> {
        if !matches!(self, Self::TakesForArrived | Self::NobodyConfirms) {
            return None;
        }
        let header = Header::decode(packet).ok()?;
        if header.packet_type != PacketType::Control {
            return None;
        }
        let (keyring, mut opened) = (keys::ring(0), packet.to_vec());
        let body = Opener::new(header.incarnation).open(&keyring, &header, &mut opened).ok()?;
        let mut other = vec![0; HEADER_BYTES];
        if !self.body(body, &mut other) {
            return None;
        }
        other.resize(other.len() + TAG_BYTES, 0);
        let before = header.sequence - 1;
        Sealer::new(&keyring, header.incarnation, PacketType::Control, before).seal(0, &mut other);
        Some(other)
    }

    /// Puts what comes in place of a control packet's body behind `other`; false
    /// where it comes as it is.
    fn body(self, body: &[u8], other: &mut Vec<u8>) -> bool {
        let mut reader = Reader::new(body);
        let mut tampered = false;
        while let Ok(Some(item)) = Item::decode(&mut reader) {
            match item {
                Item::Part(part) if self == Self::TakesForArrived => {
                    // A page without positions, lacks and records, and none
                    // after it.
                    let empty = Part { next: None, index: 0, count: 1, bytes: &[0; 4], ..part };
                    empty.encode(other);
                    tampered = true;
                }
                Item::Message(Message::Kept { .. }) if self == Self::NobodyConfirms => {
                    tampered = true;
                }
                Item::Message(message) => message.encode(other),
                Item::Part(part) => part.encode(other),
                Item::Found(part) => part.encode_found(other),
                Item::Piece(piece) => piece.encode(other),
            }
        }
        tampered
    }

    /// What befalls what nodes hold, now and then.
    pub(super) fn farm(self, farm: &Farm) {
        if self == Self::LetsGoEarly {
            farm.running().into_iter().for_each(|number| let_go(farm, number));
        }
    }
}

/// Has a node that is ready keep what it is to keep when all that it has met
/// are ready, and nothing else.
fn let_go(farm: &Farm, number: usize) {
    let Some(running) = &farm.nodes[number] else { return };
    let node = &running.node;
    let joins = node.peers().values().any(|peer| peer.is_alive() && !peer.ready);
    if !node.is_ready() || !joins {
        return;
    }
    let alive = node.peers().iter().filter(|(_, peer)| peer.is_alive());
    let mut members: BTreeMap<_, _> = alive
        .map(|(&incarnation, peer)| {
            (incarnation, Member { name: peer.name.clone(), portion: peer.portion.clone() })
        })
        .collect();
    let own = Member { name: format!("node-{number}"), portion: farm.portion_of(number) };
    members.insert(running.incarnation(), own);
    let mut placement = Placement::new(&keys::ring(0).placement_secret());
    placement.update(members);
    let kept: SlotSet = placement.slots_of(running.incarnation());
    running.holdings.kept().set(&running.holdings.kept().get().common(&kept));
    let mut cursor = Some(Cursor::START);
    while let Some(from) = cursor {
        cursor = running.holdings.release(from, 1 << 20);
    }
}
