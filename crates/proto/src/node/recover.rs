//! What repair cannot bring: packets that are gone, records that were touched
//! but never arrived, and whole tables; and what is looked at now and then.

use super::{Event, News, Node};
use crate::cluster::portion::Keep;
use crate::cluster::slots::{SlotRun, SlotSet};
use crate::record::Hlc;
use crate::time::{Instant, Now, Wall};
use crate::transfer::page::Contents;
use crate::transfer::provider::{Request, View};
use crate::transfer::puller::{Ended, Pull, Pulled, Purpose};
use crate::wire::codec::Malformed;
use crate::wire::control::{MAX_KEYS, Part, Range, Source};
use crate::wire::header::Incarnation;

impl Node {
    /// Queues a pull. When too many wait already, what it would bring is
    /// asked for again in another way.
    pub(super) fn pull(&mut self, now: Instant, pull: Pull) {
        if !self.puller.push(pull.clone()) {
            self.pull_failed(pull, now);
        }
    }

    /// A node cannot send these packets of its stream again.
    pub(super) fn handle_gone(
        &mut self,
        now: Now,
        sender: Incarnation,
        range: Range,
        logged: bool,
    ) {
        let Some(peer) = self.peers.get_mut(&sender) else { return };
        // What the sender never said it sent cannot be gone.
        let range = Range { last: range.last.min(peer.receiver.high()), ..range };
        if range.first > range.last || !peer.receiver.suspend(range) {
            return;
        }
        self.counters.unrecovered = self.counters.unrecovered.saturating_add(range.count());
        if !logged {
            self.miss(now.instant);
        }
        let source = if logged { Source::Log(range) } else { Source::Table };
        let pull = Pull { from: sender, source, purpose: Purpose::Gone(range) };
        if !self.puller.push(pull)
            && let Some(peer) = self.peers.get_mut(&sender)
        {
            peer.receiver.resume(now.instant);
            self.look_at(sender);
        }
    }

    /// A node asks for a page of ours.
    pub(super) fn handle_pull(
        &mut self,
        sender: Incarnation,
        page: u64,
        source: &Source,
        (cursor, missing): (u64, &[Range]),
    ) {
        let Some(peer) = self.peers.get(&sender) else { return };
        let request = Request { page, source, cursor, missing };
        let spared = matches!(source, Source::Table | Source::Since(_))
            && peer.portion.keep != Keep::All
            && self.portions.sharing;
        // One that was met just now is no member yet, and has not been given
        // its slots: it is told everything, and takes what it keeps.
        let is_member = self.portions.coming.members().contains_key(&sender);
        let kept = (spared && is_member).then(|| self.portions.all_slots_of(sender));
        let has = self.has_slots();
        let view = View {
            holdings: &self.holdings,
            log: self.sender.log(),
            kept: kept.as_ref(),
            has: has.as_ref(),
        };
        let positions = || {
            // Of what one stream's sender had before it was met nothing is
            // said: it may not be here yet.
            let met = self
                .peers
                .iter()
                .filter(|(incarnation, peer)| **incarnation != sender && !peer.unmerged)
                .map(|(&incarnation, peer)| (incarnation, peer.receiver.whole_through()));
            let never_met =
                self.join.positions().filter(|(stream, _)| !self.peers.contains_key(stream));
            met.chain(never_met).collect()
        };
        for part in self.provider.handle_pull(sender, &request, view, positions) {
            self.outbox.push_part(peer.address, &part);
        }
    }

    /// A part of a page that we asked for.
    pub(super) fn handle_part(
        &mut self,
        now: Now,
        sender: Incarnation,
        part: &Part<'_>,
    ) -> Result<(), Malformed> {
        let moves = self.puller.purpose() == Some(&Purpose::Move);
        match self.puller.handle_part(now.instant, sender, part) {
            Pulled::Nothing => Ok(()),
            Pulled::Page(page) => {
                let applied = self.apply_page(now, sender, &page, moves);
                match &applied {
                    Ok(lacks) => self.puller.lacked(lacks),
                    Err(_) => {
                        let stopped = self.puller.stop();
                        stopped.into_iter().for_each(|pull| self.pull_failed(pull, now.instant));
                    }
                }
                applied.map(drop)
            }
            Pulled::Last(page, Ended { pull, mut lacks }) => {
                let applied = self.apply_page(now, sender, &page, moves);
                match &applied {
                    Ok(last) => {
                        lacks.insert_runs(last);
                        self.pull_finished(now, pull, &lacks);
                    }
                    // It has not come, whatever of it has.
                    Err(_) => self.pull_failed(pull, now.instant),
                }
                applied.map(drop)
            }
            Pulled::Failed(pull) => {
                self.pull_failed(pull, now.instant);
                Err(Malformed::Invalid("page after a page"))
            }
        }
    }

    /// Takes the records of a page in. Gives the slots that its maker lacks of
    /// what was asked for.
    fn apply_page(
        &mut self,
        now: Now,
        sender: Incarnation,
        page: &[u8],
        moves: bool,
    ) -> Result<Vec<SlotRun>, Malformed> {
        let mut records = 0;
        let mut contents = Contents::decode(page)?;
        if !contents.positions.is_empty() {
            self.offered(now.instant, sender, std::mem::take(&mut contents.positions));
        }
        while let Some(frame) = contents.next_frame(now.wall)? {
            self.apply_frame(now, sender, &frame);
            records += 1;
        }
        if moves {
            self.count_moved(records, page.len());
        }
        Ok(contents.lacks)
    }

    fn pull_finished(&mut self, now: Now, pull: Pull, lacks: &SlotSet) {
        match pull.purpose {
            Purpose::Join => self.fetched_portion(now.instant, pull.from),
            Purpose::Merge => {
                self.miss(now.instant);
                self.merged(pull.from);
            }
            Purpose::Touched | Purpose::Differs => {}
            Purpose::Move => self.moved(now.instant, &pull, lacks),
            Purpose::Gone(range) if self.fetch_hole(now.instant, (pull.from, range), lacks) => {}
            Purpose::Gone(range) => {
                if let Some(peer) = self.peers.get_mut(&pull.from) {
                    peer.receiver.fill(now.instant, range);
                }
                self.look_at(pull.from);
            }
            Purpose::Orphan(stream, pulled) => {
                self.orphan_pulled(now.instant, (pull.from, stream), pulled);
            }
        }
    }

    pub(super) fn pull_failed(&mut self, pull: Pull, now: Instant) {
        if pull.source == Source::Table {
            self.table_missed(pull.from);
        }
        match pull.purpose {
            Purpose::Join => self.fetch_again(now),
            Purpose::Gone(_) => {
                if let Some(peer) = self.peers.get_mut(&pull.from) {
                    peer.receiver.resume(now);
                }
                self.look_at(pull.from);
            }
            Purpose::Orphan(stream, _) => self.orphan_missed(stream),
            Purpose::Move => self.move_failed(pull.from, &pull.source),
            Purpose::Differs => self.differences_missed(now, pull.from),
            // Histories are asked for again with the next housekeeping, touches
            // with the next touch.
            Purpose::Merge | Purpose::Touched => {}
        }
    }

    /// A node has gone: nobody waits for it, and its survivors tell each
    /// other what they have of its stream.
    pub(super) fn lost(&mut self, now: Instant, sender: Incarnation) {
        self.sender.progress.leave(sender);
        self.settle_ways();
        // There is one receiver less: statuses are due sooner.
        self.look_at_all();
        self.provider.forget(sender);
        self.lookups.lost(now, sender);
        self.send_asks(now);
        for pull in self.puller.give_up(sender) {
            self.pull_failed(pull, now);
        }
        self.acknowledge();
        self.tell_orphans_again();
        if let Some(peer) = self.peers.get_mut(&sender) {
            peer.orphan_pulled.clear();
            if !peer.receiver.is_complete() {
                self.miss(now);
            }
        }
        self.tell_orphan(sender);
    }

    /// What is to be looked at now and then.
    pub(super) fn keep_house(&mut self, now: Now) {
        /// Ended records dropped at a time; the rest waits for the next time.
        const EXPIRED_AT_ONCE: usize = 4_096;
        let observer = &mut self.observer;
        self.holdings.expire(now.wall, EXPIRED_AT_ONCE, |record| {
            if let Some(observer) = observer {
                observer(News::Ended(record));
            }
        });
        self.begin_to_tell_orphans();
        self.look_at_members(now.instant);
        self.look_for_misfits(now.instant);
        // When nothing waits to be sent nobody is held back.
        let stalled = if self.sender.unsent() > 0 {
            self.sender.progress.drop_stalled(now.instant, self.sender.high())
        } else {
            Vec::new()
        };
        for incarnation in stalled {
            self.counters.stalled += 1;
            if let Some(peer) = self.peers.get(&incarnation) {
                self.event(Event::MemberStalled(peer.name.clone()));
            }
        }
        self.retire_keys(now.instant);
        self.merge_histories(now.instant);
        self.pull_untouched(now.instant);
        self.keep_portion(now);
        self.tell_digests(now.instant);
    }

    /// Asks the touchers for what they touched and is not here.
    fn pull_untouched(&mut self, now: Instant) {
        let mut pulls = Vec::new();
        for (&from, peer) in &mut self.peers {
            if peer.is_alive() && !peer.untouched.is_empty() && peer.untouched_due <= now {
                let count = peer.untouched.len().min(MAX_KEYS);
                let keys = peer.untouched.drain(..count).collect();
                pulls.push(Pull { from, source: Source::Keys(keys), purpose: Purpose::Touched });
            }
        }
        for pull in pulls {
            self.pull(now, pull);
        }
    }

    /// A time that every version which is not published yet is later than:
    /// writes wait far less than this for the driver. The version clock does
    /// not go back behind it, even if the wall clock does.
    pub(super) fn settled(&self, now: Now) -> Hlc {
        /// How long a write may wait between its version and its packet.
        const UNSETTLED_MILLIS: u64 = 5_000;
        let millis = now.wall.as_millis().saturating_sub(UNSETTLED_MILLIS);
        let settled = Hlc::at(Wall::from_millis(millis));
        self.versions.observe(settled, now.wall);
        settled
    }
}
