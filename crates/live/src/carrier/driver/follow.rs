//! What this node could go on with, as other nodes' understudy.

use mio::Token;
use proto::connection::understudy::{Event, Understudy};

use super::Driver;
use super::restore::Before;
use crate::carrier::splice::Ends;

/// The copies of one group.
pub(super) struct Study {
    pub(super) machine: Understudy,
    /// The stream that they come over.
    pub(super) line: Token,
    /// The last word of their owner.
    pub(super) last: Before,
}

impl Study {
    pub(super) const fn new(machine: Understudy, line: Token) -> Self {
        let last = Before { heard: proto::time::Instant::from_micros(0), ahead: 0 };
        Self { machine, line, last }
    }
}

impl Driver {
    /// Goes on with what has become this node's.
    pub(super) fn follow(&mut self) {
        let keys: Vec<_> = self.studies.keys().copied().collect();
        for key in keys {
            while let Some(study) = self.studies.get_mut(&key)
                && let Some(event) = study.machine.poll_event()
            {
                let line = self.lines.get(&study.line);
                let last = line.map_or(study.last, super::links::Line::last_word);
                match event {
                    Event::Restore { group, term, ledgers } => {
                        self.restore(group, term, ledgers, Some(last));
                    }
                    Event::Lost { connections, .. } => {
                        tracing::debug!(
                            connections = connections.len(),
                            "others have gone on with connections"
                        );
                    }
                }
            }
        }
        let Self { studies, lines, .. } = self;
        studies.retain(|_, study| !study.machine.is_over() || lines.contains_key(&study.line));
    }

    /// Whether another node has a connection of these ends, as far as this one knows.
    pub(super) fn is_followed(&self, ends: Ends) -> bool {
        self.studies.values().any(|study| study.machine.knows(ends))
    }

    /// Whether this node is about to go on with a connection of these ends: then
    /// nothing of it may reach the kernel before.
    pub(super) fn is_about_to_have(&self, ends: Ends) -> bool {
        let mut taking = self.studies.values().filter(|study| !study.machine.follows());
        taking.any(|study| study.machine.is_taking(ends))
    }
}
