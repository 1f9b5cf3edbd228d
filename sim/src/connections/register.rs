//! Where terms stand: a linearizable register for each group, which answers
//! late, not at all, or that it does not know.

use std::collections::BTreeMap;

use proto::connection::GroupId;
use proto::connection::epoch::{Answer, Ask, Operation, Term};

/// All registers, and every term that ever stood in one.
#[derive(Debug, Default)]
pub struct Register {
    current: BTreeMap<GroupId, Term>,
    history: BTreeMap<(GroupId, u64), Term>,
}

impl Register {
    /// Does what is asked.
    pub fn apply(&mut self, ask: &Ask) -> Answer {
        let found = self.current.get(&ask.group).copied();
        match ask.operation {
            Operation::Read => Answer::Found(found),
            Operation::CompareAndSet { expected, new } if expected == found => {
                self.current.insert(ask.group, new);
                self.history.insert((ask.group, new.epoch), new);
                Answer::Set
            }
            Operation::CompareAndSet { .. } => Answer::NotSet,
        }
    }

    /// What stands there.
    pub fn current(&self, group: GroupId) -> Option<Term> {
        self.current.get(&group).copied()
    }

    /// What stood there in that epoch.
    pub fn of_epoch(&self, group: GroupId, epoch: u64) -> Option<Term> {
        self.history.get(&(group, epoch)).copied()
    }
}
