//! What must hold whenever a node says something.
//!
//! Judged from outside: by what the other node would go on from, whose term
//! stands in the register, and what was said before.

use std::collections::BTreeMap;

use proto::connection::epoch::Term;
use proto::connection::ledger::Ledger;
use proto::connection::{ConnectionId, End, GroupId};
use proto::wire::header::Incarnation;

use super::node::{Node, Says};
use super::register::Register;

/// What was said so far.
#[derive(Debug, Default)]
pub struct Said {
    /// Each byte that was sent to a peer.
    bytes: BTreeMap<(ConnectionId, End), Vec<Option<u8>>>,
    /// Who acted in which epoch.
    actors: BTreeMap<(GroupId, u64), Incarnation>,
}

impl Said {
    /// A node's kernel sends a peer something, while the other node lives.
    ///
    /// # Errors
    ///
    /// When the other one could not say it again, or something else was said.
    pub fn emits(
        &mut self,
        (id, end): (ConnectionId, End),
        says: &Says,
        (node, other): (&Node, Option<&Node>),
        register: &Register,
    ) -> Result<(), String> {
        if let Says::Data { position, bytes, .. } = says {
            self.remember(id, end, *position, bytes)?;
        }
        let Some(other) = other else { return Ok(()) };
        let Some(ledger) = other.copy_of(id, register) else {
            return understudy_lacks(id, node, other, register);
        };
        let side = ledger.side(end);
        match says {
            Says::Ack(position) if *position > side.input.acknowledgeable().0 => Err(format!(
                "{id:?} {end:?}: {position} acknowledged, and only {} known elsewhere",
                side.input.acknowledgeable().0
            )),
            Says::Data { position, bytes, fin } => resendable(ledger, end, *position, bytes, *fin)
                .map_err(|what| {
                    format!("{id:?} {end:?}: bytes from {position} were sent, and {what}")
                }),
            Says::Ack(_) | Says::Syn | Says::SynAck => Ok(()),
        }
    }

    /// A node acts under a term.
    ///
    /// # Errors
    ///
    /// When the term was never in force, or another node acted in its epoch.
    pub fn acts(
        &mut self,
        group: GroupId,
        term: Term,
        node: Incarnation,
        register: &Register,
    ) -> Result<(), String> {
        let actor = *self.actors.entry((group, term.epoch)).or_insert(node);
        if actor != node {
            return Err(format!("two owners act in epoch {}", term.epoch));
        }
        if term.owner != node || register.of_epoch(group, term.epoch) != Some(term) {
            return Err(format!("a node acts in epoch {}, which it has not won", term.epoch));
        }
        Ok(())
    }

    fn remember(
        &mut self,
        id: ConnectionId,
        end: End,
        position: u64,
        bytes: &[u8],
    ) -> Result<(), String> {
        let said = self.bytes.entry((id, end)).or_default();
        let start = usize::try_from(position).expect("a short stream");
        if said.len() < start + bytes.len() {
            said.resize(start + bytes.len(), None);
        }
        for (at, byte) in (start..).zip(bytes) {
            if *said[at].get_or_insert(*byte) != *byte {
                return Err(format!("{id:?} {end:?}: two outputs for position {at}"));
            }
        }
        Ok(())
    }
}

/// That no connection counts as protected which its understudy lacks.
fn understudy_lacks(
    id: ConnectionId,
    node: &Node,
    other: &Node,
    register: &Register,
) -> Result<(), String> {
    let Some(owner) = node.owner_of(id) else { return Ok(()) };
    let in_force = owner.term().is_some() && register.current(owner.group()) == owner.term();
    let names_other = owner.term().and_then(|term| term.understudy) == Some(other.incarnation);
    if in_force && names_other && owner.is_protected(id) {
        return Err(format!("{id:?} counts as protected, and its understudy lacks it"));
    }
    Ok(())
}

/// Whether who has that ledger could send the same, or need not.
fn resendable(
    ledger: &Ledger,
    end: End,
    position: u64,
    bytes: &[u8],
    fin: bool,
) -> Result<(), String> {
    let output = &ledger.side(end).output;
    let until = position + bytes.len() as u64;
    if until > output.end().0 || (fin && !output.fin()) {
        return Err(format!("only {} are known elsewhere", output.end().0));
    }
    let known: Vec<u8> = output.chunks().flatten().copied().collect();
    let first = output.unacknowledged().0;
    let from = position.max(first);
    if from >= until {
        return Ok(());
    }
    let at = |position: u64, start: u64| usize::try_from(position - start).expect("in memory");
    if known[at(from, first)..at(until, first)] == bytes[at(from, position)..] {
        Ok(())
    } else {
        Err("others are known elsewhere".into())
    }
}
