//! How fast the node's own stream goes.
//!
//! The window lets the receivers set the pace; what lies between them and the
//! sender has no such say, and drops what it has no room for. So the sender
//! counts, epoch by epoch, what was asked for again. Loss above what is usual
//! lowers the pace until there is none, and then the pace rises slowly. Loss
//! that stays the same however slow the stream is not the stream's doing: it
//! counts as usual from then on, and the pace is what it was.
//!
//! Two token buckets carry that out: one for new data, which limits nothing
//! until loss has been noticed, and one for repairs.

use std::time::Duration;

use crate::nak::sender::RUN_PACKETS;
use crate::time::Instant;

/// An epoch has at least so many packets: with 5 % of random loss the count of
/// what is lost then varies by half a percent (one deviation), a quarter of
/// what it takes to be noticed.
const EPOCH_PACKETS: u64 = 2_048;
/// An epoch is at least so long: requests for repair come within that.
const EPOCH: Duration = Duration::from_millis(10);
/// Loss above the usual that lowers the pace, in thousandths.
const NOTICED_LOSS: u64 = 20;
/// The most that counts as usual, in thousandths.
const MOST_USUAL_LOSS: u64 = 300;
/// The pace is lowered for so many epochs, to less than half, before it is
/// judged whether that helped.
const TRIED_EPOCHS: u32 = 5;
/// It did not if less than this comes through of what did before, in percent: a
/// network that is too slow would carry as much as ever.
const NO_HELP: u64 = 75;
/// The pace does not fall below this, in packets a second: what Ethernet of
/// 100 Mbit/s carries of full ones. A stream that is slower is never held back,
/// so that loss costs it nothing but the repairs.
const SLOWEST: u64 = 8_000;
/// How much may go at once after a pause, in packets: four runs.
const DATA_DEPTH: u64 = 4 * RUN_PACKETS;
/// The same for repairs: a quarter of the window.
const REPAIR_DEPTH: u64 = 256;
/// The part of the pace that repairs may take, in percent.
const REPAIR_PERCENT: u64 = 30;
/// What is reckoned with while little is sent, in packets a second: so that
/// the lost tail of a burst is repaired within milliseconds.
const REPAIR_FLOOR: u64 = 100_000;

/// Packets that may be sent, counted in millionths.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    millionths: u64,
    depth: u64,
    filled: Instant,
    /// Whether something was not given for want of packets.
    holds: bool,
}

/// An attempt to lose less by sending less.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    epochs: u32,
    /// What came through when it began, in packets a second, and the pace.
    carried: u64,
    pace: Option<u64>,
}

/// The pace of a stream.
#[derive(Debug)]
pub struct Pace {
    /// Packets a second; none: as fast as they come.
    limit: Option<u64>,
    data: Bucket,
    repairs: Bucket,
    /// The fastest that was sent lately, in packets a second.
    peak: u64,
    epoch_began: Instant,
    /// Packets of new data in this epoch.
    sent: u64,
    /// When the last of them went, and how long this epoch was, pauses left
    /// out.
    sent_at: Instant,
    busy: Duration,
    /// Thousandths that are lost whatever the pace is.
    usual_loss: u64,
    attempt: Option<Attempt>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            limit: None,
            data: Bucket::new(DATA_DEPTH),
            repairs: Bucket::new(REPAIR_DEPTH),
            peak: 0,
            epoch_began: Instant::default(),
            sent: 0,
            sent_at: Instant::default(),
            busy: Duration::ZERO,
            usual_loss: 0,
            attempt: None,
        }
    }
}

impl Pace {
    /// How many packets of new data may be sent.
    pub fn data(&mut self, now: Instant) -> u64 {
        match self.limit {
            Some(rate) => self.data.fill(now, rate),
            None => u64::MAX,
        }
    }

    /// How many repairs may be sent.
    pub fn repairs(&mut self, now: Instant) -> u64 {
        self.repairs.fill(now, self.repair_rate())
    }

    /// So much new data was sent.
    pub fn sent(&mut self, now: Instant, packets: u64) {
        if self.sent == 0 {
            self.epoch_began = now;
            self.busy = Duration::ZERO;
        } else {
            let gap = now - self.sent_at;
            self.busy += if gap < EPOCH { gap } else { Duration::ZERO };
        }
        self.sent_at = now;
        self.sent += packets;
        if self.limit.is_some() {
            self.data.take(packets);
        }
    }

    /// A repair was sent.
    pub fn repaired(&mut self) {
        self.repairs.take(1);
    }

    /// When something that was asked for and held back may be sent.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        let data = self.limit.and_then(|rate| self.data.due(rate));
        data.into_iter().chain(self.repairs.due(self.repair_rate())).min()
    }

    /// Whether an epoch is over. If so, [`Pace::learn`] is to be told what was
    /// lost in it.
    #[must_use]
    pub fn ended(&self, now: Instant) -> bool {
        self.sent >= EPOCH_PACKETS && now >= self.epoch_began + EPOCH
    }

    /// An epoch has ended in which a receiver lost so many packets, not
    /// counting what its own socket had no room for.
    pub fn learn(&mut self, now: Instant, lost: u64) {
        let micros = u64::try_from(self.busy.as_micros()).unwrap_or(u64::MAX);
        let rate = self.sent * 1_000_000 / micros.max(1);
        let loss = lost * 1_000 / self.sent.max(1);
        // A tenth less an epoch: what was sent lately, not ever.
        self.peak = rate.max(self.peak - self.peak / 10);
        self.sent = 0;
        if loss > self.usual_loss + NOTICED_LOSS {
            self.lower(now, rate, loss);
        } else {
            self.attempt = None;
            self.usual_loss = self.usual_loss.min(loss.max(self.usual_loss.saturating_sub(1)));
            self.raise();
        }
    }

    fn repair_rate(&self) -> u64 {
        self.limit.unwrap_or_else(|| self.peak.max(REPAIR_FLOOR)) * REPAIR_PERCENT / 100
    }

    /// Nothing is held back until it is asked for again.
    pub fn release(&mut self) {
        self.data.holds = false;
        self.repairs.holds = false;
    }

    fn lower(&mut self, now: Instant, rate: u64, loss: u64) {
        let (pace, carried) = (self.limit, rate - rate * loss.min(1_000) / 1_000);
        let attempt = self.attempt.get_or_insert(Attempt { epochs: 0, carried, pace });
        attempt.epochs += 1;
        let slowest = pace == Some(SLOWEST);
        if attempt.epochs > TRIED_EPOCHS || slowest {
            // At the slowest pace nothing could show any more.
            let in_vain = if slowest {
                loss <= MOST_USUAL_LOSS
            } else {
                carried * 100 < attempt.carried * NO_HELP
            };
            if in_vain {
                self.usual_loss = loss.min(MOST_USUAL_LOSS);
                self.limit = attempt.pace.filter(|_| !slowest);
            }
            self.attempt = None;
            return;
        }
        if self.limit.is_none() {
            self.data.filled = now;
        }
        let pace = self.limit.map_or(rate, |limit| limit.min(rate));
        self.limit = Some((pace - pace * 15 / 100).max(SLOWEST));
    }

    fn raise(&mut self) {
        // Twice what is sent at the most limits nothing any more.
        self.limit = self
            .limit
            .map(|limit| limit + limit.div_ceil(100))
            .filter(|&limit| limit <= self.peak.saturating_mul(2).max(SLOWEST));
    }
}

impl Bucket {
    fn new(depth: u64) -> Self {
        Self { millionths: depth * 1_000_000, depth, filled: Instant::default(), holds: false }
    }

    /// Fills it for the time that has passed. Gives how many whole packets are
    /// in it.
    fn fill(&mut self, now: Instant, rate: u64) -> u64 {
        let micros = u64::try_from((now - self.filled).as_micros()).unwrap_or(u64::MAX);
        self.filled = now;
        let more = micros.saturating_mul(rate);
        self.millionths = self.millionths.saturating_add(more).min(self.depth * 1_000_000);
        self.holds = self.millionths < 1_000_000;
        self.millionths / 1_000_000
    }

    /// Takes packets out. A run that goes out as a whole may take more than is
    /// there; the next one then comes later.
    fn take(&mut self, packets: u64) {
        self.millionths = self.millionths.saturating_sub(packets * 1_000_000);
    }

    /// When a quarter of it is there, if it held something back: what is sent
    /// goes in runs.
    fn due(&self, rate: u64) -> Option<Instant> {
        let missing = (self.depth / 4 * 1_000_000).saturating_sub(self.millionths);
        self.holds.then(|| self.filled + Duration::from_micros(missing.div_ceil(rate.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_micros(1_000_000);

    /// A sender on a network that carries so many packets a second and loses
    /// that share of the rest, in thousandths, whatever the pace.
    struct Path {
        pace: Pace,
        now: Instant,
        /// What the sender could send in a second.
        wanted: u64,
        carries: u64,
        loses: u64,
    }

    impl Path {
        fn new(carries: u64, loses: u64) -> Self {
            Self { pace: Pace::default(), now: START, wanted: 300_000, carries, loses }
        }

        /// Lets a second pass in which so many packets come at once every so
        /// many milliseconds. Gives how many wait at its end.
        fn bursts(&mut self, packets: u64, every_millis: u64, mut waiting: u64) -> u64 {
            for millis in 0..1_000 {
                self.now += Duration::from_millis(1);
                waiting += if millis % every_millis == 0 { packets } else { 0 };
                let sent = self.pace.data(self.now).min(waiting);
                if sent > 0 {
                    self.pace.sent(self.now, sent);
                    waiting -= sent;
                }
                if self.pace.ended(self.now) {
                    self.pace.learn(self.now, self.pace.sent * self.loses / 1_000);
                }
            }
            waiting
        }

        /// Lets an epoch pass. Gives how fast it went, in packets a second.
        fn epoch(&mut self) -> u64 {
            let (began, mut sent) = (self.now, 0);
            while !self.pace.ended(self.now) {
                self.now += Duration::from_micros(100);
                let packets = self.pace.data(self.now).min(self.wanted / 10_000);
                self.pace.sent(self.now, packets);
                sent += packets;
            }
            let micros = u64::try_from((self.now - began).as_micros()).unwrap();
            let carried = (self.carries * micros / 1_000_000).min(sent);
            self.pace.learn(self.now, sent - carried + carried * self.loses / 1_000);
            sent * 1_000_000 / micros
        }

        /// The mean pace of many epochs, after it has settled.
        fn settles_at(&mut self) -> u64 {
            for _ in 0..200 {
                self.epoch();
            }
            (0..100).map(|_| self.epoch()).sum::<u64>() / 100
        }
    }

    fn check(carries: u64, loses: u64, [least, most]: [u64; 2]) {
        let pace = Path::new(carries, loses).settles_at();
        assert!((least..=most).contains(&pace), "{pace} with {carries} carried, {loses} lost");
    }

    #[test]
    fn nothing_is_held_back_while_nothing_is_lost() {
        check(u64::MAX / 1_000_000_000, 0, [295_000, 301_000]);
        check(u64::MAX / 1_000_000_000, 15, [295_000, 301_000]);
    }

    #[test]
    fn a_network_that_is_too_slow_sets_the_pace() {
        check(100_000, 0, [80_000, 105_000]);
        check(20_000, 0, [16_000, 21_000]);
    }

    #[test]
    fn loss_that_no_pace_avoids_is_lived_with() {
        check(u64::MAX / 1_000_000_000, 50, [295_000, 301_000]);
        check(u64::MAX / 1_000_000_000, 150, [295_000, 301_000]);
    }

    #[test]
    fn slow_streams_and_bursts_are_not_slowed_for_ever() {
        for (packets, every_millis) in [(2, 2), (6, 5), (12, 10), (1_000, 500), (800, 900)] {
            let mut path = Path::new(0, 50);
            let waiting = (0..120).fold(0, |left, _| path.bursts(packets, every_millis, left));
            assert_eq!(waiting, 0, "{packets} every {every_millis} ms");
        }
    }

    #[test]
    fn usual_loss_does_not_hide_a_network_that_is_too_slow() {
        check(100_000, 50, [75_000, 110_000]);
    }

    #[test]
    fn repairs_have_a_budget_of_their_own() {
        let mut pace = Pace::default();
        assert_eq!(pace.repairs(START), REPAIR_DEPTH);
        (0..REPAIR_DEPTH).for_each(|_| pace.repaired());
        assert_eq!(pace.repairs(START), 0);
        let next = pace.timeout().expect("something was held back");
        assert!(next > START && pace.repairs(next) >= REPAIR_DEPTH / 4);
        assert_eq!(pace.timeout(), None, "and is not any more");
    }
}
