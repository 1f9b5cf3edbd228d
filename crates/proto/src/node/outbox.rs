//! Control packets on their way out.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::keyring::FarmKey;
use crate::load::Load;
use crate::nak::sender::{Destination, Transmit};
use crate::seal::Sealer;
use crate::wire::control::{Message, Part, Piece};
use crate::wire::header::HEADER_BYTES;
use crate::wire::{MAX_PACKET_BYTES, TAG_BYTES};

/// The most control packets that wait to be sent. Every one of them is sent
/// again in some form when its effect does not come.
const MAX_PACKETS: usize = 4_096;

/// Control packets that wait to be sent.
#[derive(Debug)]
pub(super) struct Outbox {
    sealer: Sealer,
    packets: VecDeque<(Destination, Vec<u8>)>,
    /// The packet that was given out last.
    sending: Vec<u8>,
}

impl Outbox {
    pub(super) const fn new(sealer: Sealer) -> Self {
        Self { sealer, packets: VecDeque::new(), sending: Vec::new() }
    }

    /// Seals with another farm key from the next packet on.
    pub(super) fn rekey(&mut self, farm: &FarmKey) {
        self.sealer.rekey(farm);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// A message to every other node. Gives how long its packet is, in bytes.
    pub(super) fn push_to_farm(&mut self, message: &Message) -> usize {
        self.push(Destination::Farm, |body| message.encode(body))
    }

    /// Messages that fit one packet.
    pub(super) fn push_all<'m>(
        &mut self,
        to: Destination,
        messages: impl Iterator<Item = &'m Message>,
    ) {
        self.push(to, |body| messages.for_each(|message| message.encode(body)));
    }

    /// A message to one. Gives how long its packet is, in bytes.
    pub(super) fn push_to_node(&mut self, address: SocketAddr, message: &Message) -> usize {
        self.push(Destination::Node(address), |body| message.encode(body))
    }

    /// A part of a page to one.
    pub(super) fn push_part(&mut self, address: SocketAddr, part: &Part<'_>) {
        self.push(Destination::Node(address), |body| part.encode(body));
    }

    /// A part of a record that was asked for to one.
    pub(super) fn push_found(&mut self, address: SocketAddr, part: &Part<'_>) {
        self.push(Destination::Node(address), |body| part.encode_found(body));
    }

    /// A piece of a message of those who agree, to one.
    pub(super) fn push_piece(&mut self, address: SocketAddr, piece: &Piece<'_>) {
        self.push(Destination::Node(address), |body| piece.encode(body));
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        let (to, packet) = self.packets.pop_front()?;
        self.sending = packet;
        Some(Transmit { to, bytes: &self.sending })
    }

    pub(super) fn load(&self) -> Load {
        Load::new("control packets", self.packets.len(), MAX_PACKETS)
    }

    fn push(&mut self, to: Destination, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
        if self.packets.len() >= MAX_PACKETS {
            return 0;
        }
        // What it outgrows would leave a copy of what it says behind.
        let mut packet = Vec::with_capacity(MAX_PACKET_BYTES);
        packet.resize(HEADER_BYTES, 0);
        encode(&mut packet);
        packet.resize(packet.len() + TAG_BYTES, 0);
        self.sealer.seal(0, &mut packet);
        let bytes = packet.len();
        self.packets.push_back((to, packet));
        bytes
    }
}
