//! What owners decide, done.

use proto::connection::owner::{Action, Written};
use proto::connection::sequence::Position;
use proto::connection::{ConnectionId, End, GroupId};
use sys::queue::Verdict;

use super::Driver;
use crate::carrier::hold::packet;
use crate::carrier::splice::{Link, Splice};

impl Driver {
    /// Does what owners have decided. Says whether anything was.
    pub(super) fn act(&mut self) -> bool {
        let mut acted = false;
        let groups: Vec<GroupId> = self.owners.keys().copied().collect();
        for group in groups {
            while let Some(action) =
                self.owners.get_mut(&group).and_then(|owned| owned.owner.poll_action())
            {
                acted = true;
                self.act_one(group, action);
            }
        }
        acted
    }

    fn act_one(&mut self, group: GroupId, action: Action) {
        match action {
            Action::Admit(token) => {
                if let Some(packet) = packet(token) {
                    self.admit(packet);
                }
            }
            Action::Refuse(token) => {
                if let Some(packet) = packet(token) {
                    self.refuse(packet);
                }
            }
            Action::Write { connection, end, position, bytes, fin } => {
                self.write((connection, end), position, bytes, fin);
            }
            Action::Close(id) => self.let_go(id),
            Action::Abandon(ids) => self.abandon(group, &ids),
            Action::Restore(returned) => {
                self.restore(returned.group, returned.term, returned.ledgers, None);
            }
        }
    }

    fn write(
        &mut self,
        (id, end): (ConnectionId, End),
        position: Position,
        Written(bytes): Written,
        fin: bool,
    ) {
        let Some(splice) = self.splices.get_mut(&id) else { return };
        let side = splice.side_mut(end);
        if let Some(socket) = side.socket() {
            debug_assert_eq!(socket.written(), position, "{id:?} {end:?}");
        }
        if side.write(bytes, fin).is_err() {
            self.break_off(id);
        } else {
            self.dirty.insert(id);
        }
    }

    /// Closes silently what another node has, unless it has come back since.
    fn abandon(&mut self, group: GroupId, ids: &[ConnectionId]) {
        let mut moved = 0;
        let mut late = Vec::new();
        for id in ids {
            let Some(splice) = self.splices.get_mut(id) else { continue };
            if splice.group == Some(group) {
                late.extend(End::BOTH.map(|end| std::mem::take(&mut splice.side_mut(end).late)));
                moved += u64::from(self.forget_silently(*id));
            }
        }
        if moved > 0 {
            self.counts.handed_over += moved;
            // The address went with the first of them.
            self.leave_address();
            for late in late {
                self.beat();
                if let Err(error) = late.pass_on(&self.parts.forge) {
                    tracing::debug!(%error, "what came meanwhile is not passed on, and is sent again");
                }
            }
        }
        if self.owners.get(&group).is_some_and(|owned| owned.owner.is_fenced()) {
            self.fenced(group);
        }
    }

    /// Closes a connection so that its peers hear nothing. Says whether it stood
    /// still.
    pub(super) fn forget_silently(&mut self, id: ConnectionId) -> bool {
        let Some(mut splice) = self.forget(id) else { return false };
        let was_still = splice.is_still();
        for end in End::BOTH {
            self.drop_silently(std::mem::take(&mut splice.side_mut(end).link));
        }
        was_still
    }

    /// What waits for an owner that is fenced is dropped, and so is the address,
    /// if it is that group's.
    fn fenced(&mut self, group: GroupId) {
        tracing::info!("another node has gone on with this one's connections");
        self.strays.give_away();
        if let Some(hold) = &mut self.parts.hold
            && let Err(error) = hold.drop_of(group)
        {
            tracing::warn!(%error, "packets that wait could not be dropped");
        }
        // Those that were over, and waited for the understudy to hear of it, are not
        // named by anybody any more.
        let rest = self.splices.values().filter(|splice| splice.group == Some(group));
        for id in rest.map(|splice| splice.id).collect::<Vec<_>>() {
            self.forget_silently(id);
        }
        let owns_none = self.owners.values().all(|owned| owned.owner.is_fenced());
        if group == self.candidate.group() || owns_none {
            self.leave_address();
        }
    }

    pub(super) fn leave_address(&mut self) {
        if (self.parts.place.is_here() || self.parts.place.is_missing())
            && let Err(error) = self.parts.place.leave()
        {
            tracing::warn!(%error, "the virtual address could not be taken off");
        }
    }

    /// Closes a socket so that its peer hears nothing: its reset stays in.
    pub(super) fn drop_silently(&mut self, link: Link) {
        match link {
            Link::Up(socket) | Link::Connecting(socket) => {
                self.watched.remove(&socket.token());
                let (stream, _) = socket.unwatch(self.parts.poll.registry());
                drop(stream);
            }
            Link::Still(stopped) => drop(stopped),
            Link::Absent | Link::Asking(_) => {}
        }
    }

    /// Takes a connection out of everything that knows it.
    pub(super) fn forget(&mut self, id: ConnectionId) -> Option<Splice> {
        let mut splice = self.splices.remove(&id)?;
        for end in End::BOTH {
            // Nobody else knows of them: the kernel would keep them without end.
            for packet in std::mem::take(&mut splice.side_mut(end).deferred) {
                self.decide(packet, Verdict::Drop);
            }
            if let Some(ends) = splice.side(end).ends
                && self.by_ends.get(&ends) == Some(&(id, end))
            {
                self.by_ends.remove(&ends);
            }
        }
        self.dirty.remove(&id);
        self.watching.remove(&id);
        Some(splice)
    }
}
