//! Moving everything elsewhere: a few connections at a time, those first that
//! are busy, so that none stands still for long.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use proto::connection::handover::Drain;
use proto::connection::stream::MAX_MOVED;
use proto::connection::{ConnectionId, End, GroupId};
use proto::wire::header::Incarnation;
use sys::repair::Stopped;

use super::Driver;
use crate::carrier::splice::Link;

/// A node that is being left.
pub(super) struct Leaving {
    to: Option<Incarnation>,
    drains: BTreeMap<GroupId, Drain>,
}

impl Leaving {
    /// Who is to have all of it; none: who follows.
    pub(super) const fn to(&self) -> Option<Incarnation> {
        self.to
    }
}

impl Driver {
    /// Begins to move all connections, to that node or to the understudy. To one
    /// that is not there nothing goes, and to no other either.
    pub(super) fn begin_leaving(&mut self, to: Option<String>) {
        let neighbours = self.parts.neighbours.list();
        let named = |name: &String| neighbours.iter().find(|it| it.name == *name && it.alive);
        let to = match to.as_ref().map(|name| (name, named(name))) {
            None => None,
            Some((_, Some(found))) => Some(found.incarnation),
            Some((name, None)) => {
                tracing::warn!(to = name, "connections are not moved: there is no such node");
                return;
            }
        };
        for owned in self.owners.values_mut() {
            let follows = owned.owner.term().and_then(|term| term.understudy);
            if to.is_some() && follows.is_some() && follows != to {
                owned.owner.leave_understudy(self.now);
            }
        }
        self.strays.give_away();
        self.leaving = Some(Leaving { to, drains: BTreeMap::new() });
    }

    /// Moves the next few.
    pub(super) fn tend_leaving(&mut self) {
        if self.leaving.is_none() {
            return;
        }
        self.take_in_loose();
        let groups: Vec<GroupId> = self.owners.keys().copied().collect();
        for group in groups {
            self.move_some(group);
        }
    }

    fn move_some(&mut self, group: GroupId) {
        let Some(leaving) = &mut self.leaving else { return };
        let Some(owned) = self.owners.get_mut(&group) else { return };
        let drain = leaving.drains.entry(group).or_default();
        if drain.is_empty() {
            let mut ids: Vec<ConnectionId> = owned.owner.connections().collect();
            let busy = |id: &ConnectionId| owned.owner.ledger(*id).map_or(0, |it| it.bytes());
            ids.sort_by_key(|id| Reverse(busy(id)));
            *drain = Drain::new(ids);
        }
        let Some(batch) = drain.next_batch(&owned.owner) else { return };
        for id in &batch {
            self.freeze(*id);
        }
        let batch_group = GroupId(Self::name());
        let Some(owned) = self.owners.get_mut(&group) else { return };
        if let Err(broken) = owned.owner.hand_over(self.now, batch_group, &batch) {
            // They are looked at again: what stands still is moved or restored.
            tracing::warn!(%broken, "connections could not be moved");
        }
    }

    /// Makes a connection stand still.
    fn freeze(&mut self, id: ConnectionId) {
        for end in End::BOTH {
            let Some(splice) = self.splices.get_mut(&id) else { return };
            let side = splice.side_mut(end);
            match std::mem::take(&mut side.link) {
                Link::Up(socket) | Link::Connecting(socket) => {
                    self.watched.remove(&socket.token());
                    let (stream, _) = socket.unwatch(self.parts.poll.registry());
                    // One that is no connection any more has nothing to say.
                    if let Ok(stopped) = Stopped::stop(stream) {
                        side.link = Link::Still(stopped);
                    }
                }
                Link::Absent | Link::Asking(_) => {}
                still @ Link::Still(_) => side.link = still,
            }
        }
    }

    /// Takes loose connections in, which stand still from then on: as many as are
    /// moved at a time. Where packets are held back nothing is loose for long.
    fn take_in_loose(&mut self) {
        if self.parts.hold.is_some() {
            return;
        }
        let still = self.splices.values().filter(|splice| splice.is_still()).count();
        let Some(group) = self.own_group() else { return };
        if self.owners.get(&group).is_none_or(|owned| owned.line.is_none()) {
            return;
        }
        let loose = self.splices.values().filter(|splice| splice.group.is_none() && splice.is_up());
        let loose: Vec<ConnectionId> =
            loose.map(|splice| splice.id).take(MAX_MOVED.saturating_sub(still)).collect();
        for id in loose {
            self.adopt_still(id, group);
        }
    }

    /// Lets everything go.
    pub(super) fn end(mut self) {
        if let Err(error) = self.parts.place.leave() {
            tracing::warn!(%error, "the virtual address could not be taken off");
        }
        *self.parts.figures.lock() = self.figures();
        let stopped = self.stopped.take();
        // Sockets are gone before anybody takes out the rule that keeps their
        // resets in.
        drop(self);
        if let Some(stopped) = stopped {
            // Who does not wait for it need not know.
            let _ = stopped.send(());
        }
    }
}
