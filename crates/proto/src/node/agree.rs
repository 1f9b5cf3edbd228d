//! The node's part in operations that need one answer.
//!
//! The machine of [`crate::agree`] knows incarnations and messages of any
//! length; this gives it the members, and its messages to packets. A message
//! that takes several packets is named by what it says, so that the pieces of
//! one that is sent again fill the gaps of the first.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::peer::{Peer, State};
use super::{Event, Node};
use crate::agree::members::{Member, Standing};
use crate::agree::message::Failure;
use crate::agree::roster::place_of;
use crate::agree::{Agree, Config, Request};
use crate::load::Load;
use crate::time::{Instant, Now};
use crate::wire::control::{PIECE_OVERHEAD_BYTES, Piece};
use crate::wire::header::Incarnation;
use crate::wire::{MAX_BODY_BYTES, Malformed};

/// What of a message fits a packet.
const PIECE_BYTES: usize = MAX_BODY_BYTES - PIECE_OVERHEAD_BYTES;
/// The most pieces of a message: a submitted compare-and-set carries two
/// values of 1 MiB, a state one more in what was last answered.
const MAX_PIECES: u16 = 2_048;
/// The most bytes of messages of one node that lack pieces: two of the largest.
const MAX_UNFINISHED_BYTES: usize = 2 * MAX_PIECES as usize * PIECE_BYTES;
/// The most such messages of one node: what a busy one sends within the time
/// that it takes to send again what is missing.
const MAX_UNFINISHED: usize = 256;
/// What is answered where the node takes no part.
const NO_PART: Failure = Failure::NoRoster { here: 0, needed: 1 };
/// How often the machine is told who the members are: a tenth of the time
/// that it takes to call one dead.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// The machine, and what of its messages is not whole yet.
#[derive(Debug)]
pub(super) struct Agreeing {
    machine: Agree,
    unfinished: BTreeMap<Incarnation, Unfinished>,
    members_due: Instant,
}

/// One node's messages that lack pieces, by their names.
#[derive(Debug, Default)]
struct Unfinished {
    messages: BTreeMap<u128, Assembly>,
    bytes: usize,
    arrived: u64,
}

#[derive(Debug)]
struct Assembly {
    pieces: Vec<Option<Zeroizing<Box<[u8]>>>>,
    missing: u16,
    bytes: usize,
    /// Which of the node's it was to begin, counted.
    began: u64,
}

impl Assembly {
    fn into_whole(self) -> Zeroizing<Vec<u8>> {
        let mut whole = Zeroizing::new(Vec::with_capacity(self.bytes));
        self.pieces.iter().flatten().for_each(|piece| whole.extend_from_slice(piece));
        whole
    }
}

impl Unfinished {
    /// Takes a piece; gives the message, if that makes it whole.
    fn take(&mut self, piece: &Piece<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, Malformed> {
        let Piece { name, index, count, bytes } = *piece;
        if count > MAX_PIECES || bytes.len() > PIECE_BYTES {
            return Err(Malformed::Invalid("pieces"));
        }
        if count == 1 {
            return Ok(Some(Zeroizing::new(bytes.to_vec())));
        }
        self.arrived += 1;
        let began = self.arrived;
        let assembly = self.messages.entry(name).or_insert_with(|| Assembly {
            pieces: (0..count).map(|_| None).collect(),
            missing: count,
            bytes: 0,
            began,
        });
        if assembly.pieces.len() != usize::from(count) {
            return Err(Malformed::Invalid("pieces"));
        }
        let slot = &mut assembly.pieces[usize::from(index)];
        if slot.is_none() {
            *slot = Some(Zeroizing::new(bytes.into()));
            assembly.missing -= 1;
            assembly.bytes += bytes.len();
            self.bytes += bytes.len();
        }
        if assembly.missing == 0 {
            return Ok(self.remove(name).map(Assembly::into_whole));
        }
        while self.messages.len() > MAX_UNFINISHED || self.bytes > MAX_UNFINISHED_BYTES {
            let oldest = self.messages.iter().min_by_key(|(_, it)| it.began).map(|(name, _)| *name);
            let Some(oldest) = oldest else { break };
            self.remove(oldest);
        }
        Ok(None)
    }

    fn remove(&mut self, name: u128) -> Option<Assembly> {
        let assembly = self.messages.remove(&name)?;
        self.bytes -= assembly.bytes;
        Some(assembly)
    }
}

impl Node {
    /// Takes part in operations that need one answer, from here on. Of `config`
    /// the node itself knows who it is and how large the farm is meant to be.
    pub fn agree(&mut self, now: Now, config: Config) {
        let config = Config {
            incarnation: self.config.incarnation,
            place: place_of(&self.config.name),
            nodes: self.config.peers.len() + 1,
            ..config
        };
        let machine = Agree::new(config, now);
        let unfinished = BTreeMap::new();
        self.agreeing = Some(Agreeing { machine, unfinished, members_due: now.instant });
    }

    /// Asks for an operation that needs one answer.
    ///
    /// # Errors
    ///
    /// [`Failure::Busy`] when too many wait; [`Failure::NoRoster`] when the node
    /// takes no part in these.
    pub fn submit(&mut self, now: Now, request: Request) -> Result<(), Failure> {
        let agreeing = self.agreeing.as_mut().ok_or(NO_PART)?;
        agreeing.machine.submit(now, request)?;
        self.pass_on_agreement();
        Ok(())
    }

    /// The machine, where the node takes part.
    #[must_use]
    pub fn agreement(&self) -> Option<&Agree> {
        self.agreeing.as_ref().map(|agreeing| &agreeing.machine)
    }

    pub(super) fn agree_timeout(&self) -> Option<Instant> {
        let agreeing = self.agreeing.as_ref()?;
        Some(agreeing.members_due.min(agreeing.machine.poll_timeout()))
    }

    pub(super) fn handle_agree_timeout(&mut self, now: Now) {
        let Some(agreeing) = &mut self.agreeing else { return };
        if agreeing.members_due <= now.instant {
            agreeing.members_due = now.instant + TOLD_EVERY;
            let members = members(&self.peers);
            agreeing.machine.handle_members(now, &members);
            agreeing.unfinished.retain(|sender, _| self.peers.contains_key(sender));
        }
        agreeing.machine.handle_timeout(now);
        self.pass_on_agreement();
    }

    /// A piece of a message of those who agree.
    pub(super) fn handle_piece(
        &mut self,
        now: Now,
        sender: Incarnation,
        piece: &Piece<'_>,
    ) -> Result<(), Malformed> {
        let Some(agreeing) = &mut self.agreeing else { return Ok(()) };
        let unfinished = agreeing.unfinished.entry(sender).or_default();
        if let Some(message) = unfinished.take(piece)? {
            agreeing.machine.handle_message(now, sender, &message);
            self.pass_on_agreement();
        }
        Ok(())
    }

    /// Sends what the machine has to say, and tells the driver what it should
    /// know.
    fn pass_on_agreement(&mut self) {
        let Some(agreeing) = &mut self.agreeing else { return };
        while let Some((to, bytes)) = agreeing.machine.poll_transmit() {
            let Some(peer) = self.peers.get(&to) else { continue };
            let pieces = bytes.chunks(PIECE_BYTES);
            let count = u16::try_from(pieces.len()).ok().filter(|&count| count <= MAX_PIECES);
            // What is larger nobody could take.
            let Some(count) = count else { continue };
            let name = if count == 1 { 0 } else { name_of(&bytes) };
            for (index, bytes) in (0..count).zip(pieces) {
                self.outbox.push_piece(peer.address, &Piece { name, index, count, bytes });
            }
        }
        let mut events = Vec::new();
        while let Some(event) = agreeing.machine.poll_event() {
            events.push(event);
        }
        events.into_iter().for_each(|event| self.event(Event::Agreement(event)));
    }

    pub(super) fn agree_loads(&self) -> Vec<Load> {
        let Some(agreeing) = &self.agreeing else { return Vec::new() };
        let unfinished = agreeing.unfinished.values();
        let unfinished = unfinished.flat_map(|it| {
            [
                Load::new("unfinished messages", it.messages.len(), MAX_UNFINISHED),
                Load::new("bytes of unfinished messages", it.bytes, MAX_UNFINISHED_BYTES),
            ]
        });
        agreeing.machine.loads().into_iter().chain(unfinished).collect()
    }
}

/// The same bytes have the same name, and no others: it need not be secret,
/// but nobody who chooses a value must be able to have it mixed with another.
fn name_of(bytes: &[u8]) -> u128 {
    let digest = digest(&SHA256, bytes);
    u128::from_be_bytes(digest.as_ref()[..16].try_into().expect("SHA-256 has 32 bytes"))
}

/// The members as the node has them. One that is silent is certainly gone once
/// another start of it is heard, under its name and at its address.
fn members(peers: &BTreeMap<Incarnation, Peer>) -> Vec<Member> {
    let alive: BTreeMap<(&str, std::net::SocketAddr), Incarnation> = peers
        .iter()
        .filter(|(_, peer)| peer.is_alive())
        .map(|(&incarnation, peer)| ((peer.name.as_str(), peer.address), incarnation))
        .collect();
    let standing = |incarnation: Incarnation, peer: &Peer| {
        let other = alive.get(&(peer.name.as_str(), peer.address));
        match peer.state {
            State::Alive => Standing::Alive,
            State::Left => Standing::Gone,
            State::Dead if other.is_some_and(|&other| other != incarnation) => Standing::Gone,
            State::Dead => Standing::Silent,
        }
    };
    let member = |(&incarnation, peer): (&Incarnation, &Peer)| Member {
        incarnation,
        place: place_of(&peer.name),
        ready: peer.ready,
        standing: standing(incarnation, peer),
    };
    peers.iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message in pieces of one byte each.
    fn pieces(bytes: &[u8]) -> Vec<Piece<'_>> {
        let count = u16::try_from(bytes.len()).expect("short");
        let name = name_of(bytes);
        let piece = |(index, bytes)| Piece { name, index, count, bytes };
        (0..count).zip(bytes.chunks(1)).map(piece).collect()
    }

    #[test]
    fn pieces_of_what_is_sent_again_fill_the_gaps() {
        let mut unfinished = Unfinished::default();
        let (first, other) = (pieces(b"abc"), pieces(b"xyz"));
        for piece in [&first[0], &other[1], &first[0], &first[2], &other[0]] {
            assert_eq!(unfinished.take(piece), Ok(None));
        }
        assert_eq!(unfinished.take(&first[1]), Ok(Some(b"abc".to_vec().into())));
        assert_eq!(unfinished.take(&other[2]), Ok(Some(b"xyz".to_vec().into())));
        assert_eq!((unfinished.messages.len(), unfinished.bytes), (0, 0));
    }

    #[test]
    fn a_node_that_finishes_nothing_takes_no_more_than_its_share() {
        let mut unfinished = Unfinished::default();
        let bytes = [7; PIECE_BYTES];
        for name in 0..10_000 {
            for index in [0, MAX_PIECES - 1] {
                let piece = Piece { name, index, count: MAX_PIECES, bytes: &bytes };
                assert_eq!(unfinished.take(&piece), Ok(None));
            }
            assert!(unfinished.messages.len() <= MAX_UNFINISHED);
            assert!(unfinished.bytes <= MAX_UNFINISHED_BYTES);
        }
        let other = Piece { name: 9_999, index: 0, count: 2, bytes: &bytes };
        assert_eq!(unfinished.take(&other), Err(Malformed::Invalid("pieces")));
    }
}
