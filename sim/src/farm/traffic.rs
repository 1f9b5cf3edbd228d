//! What was sent, counted.

use std::collections::BTreeSet;

use proto::nak::sender::Destination;
use proto::wire::header::{Header, Incarnation, PacketType};

use super::running::address;

/// Packets and bytes of one sort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes, headers of ours included, those below not.
    pub bytes: u64,
}

impl Count {
    const fn add(&mut self, packet: &[u8]) {
        self.packets += 1;
        self.bytes += packet.len() as u64;
    }
}

/// What was sent since it has been counted.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// Control packets to all nodes: heartbeats, and requests among many.
    pub control_to_farm: Count,
    /// Control packets to one: statuses, and whatever is rare.
    pub control_to_node: Count,
    /// Those of them that go to node 0.
    pub control_to_first: Count,
    /// Data packets, repairs too.
    pub data: Count,
    /// Data packets that some node lost.
    lost: BTreeSet<(Incarnation, u64)>,
}

impl Traffic {
    /// How many data packets were lost by a node or more, each counted once.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.len() as u64
    }

    /// A packet was sent, and so many nodes do not get it.
    pub(super) fn count(
        &mut self,
        packet: &[u8],
        to: Destination,
        lost: usize,
    ) -> Result<(), String> {
        let header = Header::decode(packet).map_err(|error| error.to_string())?;
        let count = match (header.packet_type, to) {
            (PacketType::Data, _) => &mut self.data,
            (PacketType::Control, Destination::Farm | Destination::Group) => {
                &mut self.control_to_farm
            }
            (PacketType::Control, Destination::Node(_)) => &mut self.control_to_node,
        };
        count.add(packet);
        if header.packet_type == PacketType::Control && to == Destination::Node(address(0)) {
            self.control_to_first.add(packet);
        }
        if header.packet_type == PacketType::Data && lost > 0 {
            self.lost.insert((header.incarnation, header.sequence));
        }
        Ok(())
    }
}
