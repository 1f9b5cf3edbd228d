//! Nobody but the owner speaks: what is done when this node cannot know whether
//! it is that still.
//!
//! A process that is stopped leaves its sockets to the kernel, which goes on
//! sending from them. So the thread tells the guardian that it runs; when it does
//! not, the address is taken off before others go on ([`SHARE`]), and with it
//! all sockets are silent. The thread sees by its own clock that it was
//! away. Then, as when the interface was cut off or the farm cannot be reached,
//! all is in doubt: no address, and nothing done, before the farm has said that
//! the terms still stand.

use std::time::Duration;

use sys::address::LinkState;

use super::Driver;

/// How often the thread says that it runs, where it is awake.
const BEAT: Duration = Duration::from_millis(10);
/// After which share of the silence after which others go on this node is in
/// doubt: the guardian is to be done before they begin.
const SHARE: (u32, u32) = (3, 4);

impl Driver {
    /// Says that this thread runs, and notices when it did not for so long that the
    /// guardian may have taken the address off. To be called in whatever takes
    /// long.
    pub(super) fn beat(&mut self) {
        let before = self.read_clock();
        if before.saturating_since(self.beaten) < BEAT {
            return;
        }
        let within = self.parts.config.silence * SHARE.0 / SHARE.1;
        self.parts.place.pulse(within);
        // From before the last pulse until after this one: the guardian cannot have
        // waited for longer.
        self.away |= self.read_clock().saturating_since(self.beaten) >= within;
        self.beaten = before;
    }

    /// Nothing is certain any more.
    pub(super) fn doubt(&mut self, why: &'static str) {
        self.away = false;
        if self.parts.place.is_here() {
            self.suspend_address();
        }
        for owned in self.owners.values_mut() {
            owned.owner.doubt(self.now);
        }
        for study in self.studies.values_mut() {
            study.machine.doubt(self.now);
        }
        self.candidate.doubt(self.now);
        if self.is_in_doubt() {
            self.counts.doubts += 1;
            tracing::warn!(why, "it is asked whether this node's connections are still its own");
        }
    }

    /// Takes the address off while anything is in doubt, and puts it on again.
    pub(super) fn tend_address(&mut self) {
        if self.is_in_doubt() && self.parts.place.is_here() {
            self.counts.doubts += 1;
            tracing::warn!("the farm does not say who owns: the virtual address is taken off");
            self.suspend_address();
        }
        if self.parts.place.is_missing() {
            self.settle_address();
        }
    }

    /// The address is to be here. False when it cannot be put on.
    pub(super) fn take_address(&mut self) -> bool {
        self.parts.place.want();
        self.settle_address()
    }

    /// Puts the address on, unless something speaks against it.
    fn settle_address(&mut self) -> bool {
        self.beat();
        let may = !self.away && !self.is_in_doubt() && self.counts.link == Some(LinkState::Up);
        if self.parts.place.is_here() || !may {
            return true;
        }
        self.strays.arrive();
        let taken = self.parts.place.take();
        let is_here = taken.inspect_err(|error| tracing::error!(%error, "the virtual address"));
        self.beat();
        if self.away {
            self.suspend_address();
        }
        self.reach_backends();
        is_here.is_ok()
    }

    fn suspend_address(&mut self) {
        if let Err(error) = self.parts.place.suspend() {
            tracing::warn!(%error, "the virtual address could not be taken off");
        }
    }

    fn is_in_doubt(&self) -> bool {
        self.owners.values().any(|owned| owned.owner.is_doubted())
    }

    /// Something about the interface has changed.
    pub(super) fn note_link(&mut self) {
        let link = match self.parts.link.changed() {
            Ok(link) => link,
            Err(error) => return tracing::warn!(%error, "the interface cannot be watched"),
        };
        if link.is_none() || link == self.counts.link {
            return;
        }
        self.counts.link = link;
        match link {
            Some(LinkState::Down) => self.doubt("the interface is down"),
            Some(LinkState::Gone) => self.doubt("the interface is gone"),
            Some(LinkState::Up) | None => self.doubt("the interface was down, and is up"),
        }
    }
}
