//! What packets say of records: gathered for a run of them, and taken in at
//! once.

use std::iter;

use super::{Event, News, Node, Observer};
use crate::record::{Hlc, Observed, Record, Touch, furthest_ahead};
use crate::table::{Applied, Touched};
use crate::time::Now;
use crate::wire::codec::{Malformed, Reader};
use crate::wire::frame::{Frame, Notice};
use crate::wire::header::Incarnation;

/// Records and touches that have come from one sender. As many as a datagram
/// has room for, or a run of them that the kernel hands over together: 64 KiB.
#[derive(Default)]
pub(super) struct Arrivals<'p> {
    /// Who sent them; none when there are none.
    pub(super) sender: Option<Incarnation>,
    pub(super) records: Vec<Record<'p>>,
    pub(super) touches: Vec<Touch>,
    pub(super) notices: Vec<Notice<'p>>,
}

impl Arrivals<'_> {
    /// The room that they took, for others.
    pub(super) fn into_room(mut self) -> Arrivals<'static> {
        self.records.clear();
        // Collecting what has the same layout keeps the memory.
        let records = self.records.into_iter().map(|_| unreachable!("it is empty")).collect();
        self.touches.clear();
        self.notices.clear();
        let notices = self.notices.into_iter().map(|_| unreachable!("it is empty")).collect();
        Arrivals { sender: None, records, touches: self.touches, notices }
    }
}

impl Node {
    /// Puts a packet's frames to the others that have come with it.
    pub(super) fn gather<'p>(
        &mut self,
        now: Now,
        sender: Incarnation,
        mut frames: Reader<'p>,
        arrivals: &mut Arrivals<'p>,
    ) -> Result<(), Malformed> {
        if arrivals.sender != Some(sender) {
            self.take_in(now, arrivals);
            arrivals.sender = Some(sender);
        }
        while let Some(frame) = Frame::decode(&mut frames, now.wall)? {
            match frame {
                Frame::Record(record) => arrivals.records.push(record),
                // What is touched may be among the records.
                Frame::Touch(touch) => arrivals.touches.push(touch),
                Frame::Rotate { .. } => self.apply_frame(now, sender, &frame),
                Frame::Notice(notice) => arrivals.notices.push(notice),
            }
        }
        Ok(())
    }

    /// Takes in what has been gathered.
    pub(super) fn take_in(&mut self, now: Now, arrivals: &mut Arrivals<'_>) {
        let Some(sender) = arrivals.sender.take() else { return };
        self.observe_times(now, sender, arrivals.records.iter().map(|record| record.version.time));
        self.notice(now, arrivals.records.iter());
        let observer = &mut self.observer;
        let told = |record: &Record<'_>, applied| tell(observer, record, applied);
        self.holdings.apply_all(&mut arrivals.records, now.wall, told);
        arrivals.records.clear();
        for touch in arrivals.touches.drain(..) {
            self.apply_touch(now, sender, &touch);
        }
        // Who hears of a write is to find it.
        for notice in arrivals.notices.drain(..) {
            self.tell(News::Notice(notice));
        }
    }

    pub(super) fn apply_frames(
        &mut self,
        now: Now,
        sender: Incarnation,
        mut frames: Reader<'_>,
    ) -> Result<(), Malformed> {
        while let Some(frame) = Frame::decode(&mut frames, now.wall)? {
            self.apply_frame(now, sender, &frame);
        }
        Ok(())
    }

    /// Takes in what another node says of a record.
    pub(super) fn apply_frame(&mut self, now: Now, sender: Incarnation, frame: &Frame<'_>) {
        match frame {
            Frame::Record(record) => self.apply_record(now, sender, record),
            Frame::Touch(touch) => self.apply_touch(now, sender, touch),
            Frame::Rotate { old, new } => {
                self.apply_record(now, sender, new);
                self.apply_record(now, sender, old);
            }
            Frame::Notice(notice) => self.tell(News::Notice(*notice)),
        }
    }

    fn apply_record(&mut self, now: Now, sender: Incarnation, record: &Record<'_>) {
        self.observe_times(now, sender, iter::once(record.version.time));
        self.notice(now, iter::once(record));
        if let Some(applied) = self.holdings.apply(record, now.wall) {
            tell(&mut self.observer, record, applied);
        }
    }

    /// Takes note of the times that a node's versions have.
    pub(super) fn observe_times(
        &mut self,
        now: Now,
        sender: Incarnation,
        times: impl Iterator<Item = Hlc> + Clone,
    ) {
        let Some(latest) = times.clone().max() else { return };
        if self.versions.observe(latest, now.wall) == Observed::Clamped {
            self.counters.clocks_ahead +=
                times.filter(|&time| time > furthest_ahead(now.wall)).count() as u64;
            if let Some(peer) = self.peers.get(&sender) {
                self.event(Event::ClockAhead(peer.name.clone()));
            }
        }
    }

    fn tell(&mut self, news: News<'_>) {
        if let Some(observer) = &mut self.observer {
            observer(news);
        }
    }

    fn apply_touch(&mut self, now: Now, sender: Incarnation, touch: &Touch) {
        if self.holdings.touch(touch, now.wall) == Touched::Missing
            && let Some(peer) = self.peers.get_mut(&sender)
        {
            peer.miss_touch(now.instant, touch.hash);
        }
    }
}

/// Tells of a record, if it is news.
fn tell(observer: &mut Option<Observer>, record: &Record<'_>, applied: Applied) {
    if let Some(observer) = observer
        && matches!(applied, Applied::New | Applied::Replaced)
    {
        observer(News::Record(record));
    }
}
