//! What a node's process relays from one end of a connection to the other.

use proto::connection::owner::{Output, Refused};
use proto::connection::sequence::Position;
use proto::connection::{ConnectionId, End};
use proto::secret::secret;

use super::fault::Tamper;
use super::peer::frame;
use super::socket::Socket;
use super::world::World;

/// How much a relay reads at once.
const READ: usize = 200;

impl World {
    /// Moves some bytes from one end of a connection to the other.
    pub(super) fn relay(&mut self, slot: usize) -> bool {
        let Some(node) = &self.nodes[slot] else { return false };
        let ids: Vec<ConnectionId> = node.carried.keys().copied().collect();
        ids.into_iter().any(|id| {
            End::BOTH.into_iter().any(|end| self.relay_one(slot, id, end)) || self.finish(slot, id)
        })
    }

    /// Answers at an end what came in at the other.
    fn relay_one(&mut self, slot: usize, id: ConnectionId, end: End) -> bool {
        let (now, tamper) = (self.instant(), self.setup.tamper);
        let salt = u8::try_from(self.rng.below(256)).expect("below 256");
        let Some(node) = &mut self.nodes[slot] else { return false };
        let Some(carried) = node.carried.get_mut(&id) else { return false };
        let Some(owner) = carried.group.and_then(|group| node.owners.get_mut(&group)) else {
            return false;
        };
        let ready = owner.has_room((id, end), READ + super::peer::FRAME_HEAD);
        let ended = owner.ledger(id).is_none_or(|ledger| ledger.side(end).output.fin());
        if !ready || ended || carried.sockets.len() < 2 {
            return false;
        }
        let Some(source) = carried.sockets.get_mut(&end.other()) else { return false };
        let bytes = source.read(READ);
        let fin = source.is_ended();
        if bytes.is_empty() && !fin {
            return false;
        }
        let consumed = Position(source.position());
        let made = frame(carried.frames, salt, &bytes);
        let framed = end == End::Client && !bytes.is_empty();
        carried.frames += u32::from(framed);
        let numbers = carried.frames.to_be_bytes();
        let told = framed && tamper != Tamper::ForgetsNumbers;
        let read = owner.handle_read(now, (id, end.other()), &bytes);
        let answered = owner.ledger(id).map(|it| it.side(end.other()).input.consumed());
        if let Err(what) = read {
            self.hold(Err(format!("{id:?} {end:?}: {what}")));
            return true;
        }
        if !fin && answered >= Some(consumed) {
            return true;
        }
        let output = Output {
            bytes: framed.then(|| secret(&made)),
            consumed,
            fin,
            tls: told.then(|| secret(&numbers)),
        };
        let position = owner.ledger(id).map_or(Position(0), |it| it.side(end).output.end());
        match owner.handle_output(now, (id, end), output) {
            Ok(()) => {}
            Err(what @ (Refused::Full | Refused::Gone | Refused::Broken(_))) => {
                self.hold(Err(format!("{id:?} {end:?}: an output is refused: {what}")));
            }
        }
        if tamper == Tamper::WritesBeforeHeld {
            let bytes = if framed { &made } else { &bytes };
            self.write(slot, (id, end), position, bytes, fin);
        }
        true
    }

    /// Answers what a client has sent in order before the kernel gives it, every
    /// other time.
    pub(super) fn answer_ahead(&mut self, slot: usize, id: ConnectionId) {
        let now = self.instant();
        if self.rng.below(2) == 0 {
            return;
        }
        let Some(node) = &mut self.nodes[slot] else { return };
        let Some(carried) = node.carried.get(&id) else { return };
        let Some(owner) = carried.group.and_then(|group| node.owners.get_mut(&group)) else {
            return;
        };
        let Some(ledger) = owner.ledger(id) else { return };
        let input = &ledger.side(End::Client).input;
        let (answered, consumed) = (input.consumed(), input.end());
        let bytes = usize::try_from(consumed - answered).expect("within a window");
        let may_say = carried.sockets.len() == 2
            && !ledger.side(End::Backend).output.fin()
            && owner.is_protected(id)
            && owner.has_room((id, End::Backend), bytes);
        if bytes == 0 || !may_say {
            return;
        }
        let output = Output { bytes: None, consumed, fin: false, tls: None };
        let said = owner.handle_output(now, (id, End::Backend), output);
        self.hold(said.map_err(|what| format!("{id:?}: an early answer is refused: {what}")));
    }

    /// Closes a connection of which both directions have ended.
    fn finish(&mut self, slot: usize, id: ConnectionId) -> bool {
        let now = self.instant();
        let Some(node) = &mut self.nodes[slot] else { return false };
        let Some(carried) = node.carried.get(&id) else { return false };
        let Some(owner) = carried.group.and_then(|group| node.owners.get_mut(&group)) else {
            return false;
        };
        let Some(ledger) = owner.ledger(id) else { return false };
        let over = End::BOTH.into_iter().all(|end| {
            let output = &ledger.side(end).output;
            let acknowledged = carried.sockets.get(&end).map(Socket::acknowledged);
            output.fin() && acknowledged > Some(output.end().0)
        });
        if over {
            owner.close(now, id);
        }
        over
    }
}
