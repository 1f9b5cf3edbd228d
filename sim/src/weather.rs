//! How a network treats packets: what it loses, doubles and delays.
//!
//! It knows nothing of what the packets are, nor of who is cut off.

use std::time::Duration;

use proto::rng::Rng;

/// How the network treats packets.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// How packets are lost on the way to each receiver.
    pub loss: Loss,
    /// Packets lost on their sender's own link, of 1,000: nobody gets them.
    pub shared_loss: u64,
    /// Packets that come twice, of 1,000.
    pub doubled: u64,
    /// The shortest way takes this long.
    pub delay: Duration,
    /// And some packets up to this much longer, so that they overtake.
    pub jitter: Duration,
    /// How many bytes a second a node's own link takes; the rest waits. 0 is
    /// without limit.
    pub link: u64,
    /// Each way from one node to another takes up to this much longer than
    /// the shortest, always: the way back may be another.
    pub uneven: Duration,
}

/// How packets are lost on the way to a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Each by itself, so many of 1,000.
    Independent(u64),
    /// Several in a row.
    Bursts(Bursts),
}

/// Losses as Gilbert and Elliott have them: a way is in one of two states,
/// and each packet may change it. One loses nothing, the other most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bursts {
    /// Packets lost on average, of 1,000: less than [`Bursts::LOST_WITHIN`].
    pub mean: u64,
    /// How many packets a bad time lasts on average.
    pub packets: u64,
}

impl Bursts {
    /// Packets lost in a bad time, of 1,000. Some come through, so that
    /// bursts have holes.
    pub const LOST_WITHIN: u64 = 800;

    /// Lets one packet pass over a way. Gives whether it is lost.
    fn lose(self, bad: &mut bool, rng: &mut Rng) -> bool {
        // Times are bad for `mean` of `LOST_WITHIN` packets. A bad one ends
        // with one packet of `packets`; so that the shares are right, a good
        // one ends with `mean / (LOST_WITHIN - mean)` times that chance.
        *bad = if *bad {
            !rng.chance(1, self.packets)
        } else {
            rng.chance(self.mean, (Self::LOST_WITHIN - self.mean) * self.packets)
        };
        *bad && rng.chance(Self::LOST_WITHIN, 1_000)
    }
}

impl Weather {
    /// A network that only takes its time.
    #[must_use]
    pub const fn calm(delay: Duration) -> Self {
        Self {
            loss: Loss::Independent(0),
            shared_loss: 0,
            doubled: 0,
            delay,
            jitter: Duration::ZERO,
            link: 0,
            uneven: Duration::ZERO,
        }
    }
}

/// The way from one node to another.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Path {
    /// How much longer it is than the shortest.
    longer: Duration,
    /// Whether it is in a bad time.
    bad: bool,
}

impl Path {
    /// A way as the weather has them.
    pub(crate) fn new(weather: &Weather, rng: &mut Rng) -> Self {
        Self { longer: up_to(weather.uneven, rng), bad: false }
    }

    /// Lets a packet pass. Gives how long each of its copies takes: there is
    /// none when it is lost.
    pub(crate) fn pass(
        &mut self,
        weather: &Weather,
        rng: &mut Rng,
    ) -> impl Iterator<Item = Duration> + use<> {
        let lost = match weather.loss {
            Loss::Independent(loss) => rng.chance(loss, 1_000),
            Loss::Bursts(bursts) => bursts.lose(&mut self.bad, rng),
        };
        let copies = match (lost, weather.doubled) {
            (true, _) => 0,
            (false, 0) => 1,
            (false, doubled) => 1 + usize::from(rng.chance(doubled, 1_000)),
        };
        let mut take = || {
            // Most packets keep their order; one in ten takes its time.
            let late = !weather.jitter.is_zero() && rng.chance(1, 10);
            let late = if late { up_to(weather.jitter, rng) } else { Duration::ZERO };
            weather.delay + self.longer + late
        };
        let times = [take(), if copies > 1 { take() } else { Duration::ZERO }];
        times.into_iter().take(copies)
    }
}

fn up_to(longest: Duration, rng: &mut Rng) -> Duration {
    let micros = u64::try_from(longest.as_micros()).expect("short");
    Duration::from_micros(rng.below(micros + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends many packets over one way. Gives which of them were lost.
    fn lost(loss: Loss) -> Vec<bool> {
        let weather = Weather { loss, ..Weather::calm(Duration::ZERO) };
        let (mut way, mut rng) = (Path::default(), Rng::from_u64(1));
        (0..100_000).map(|_| way.pass(&weather, &mut rng).next().is_none()).collect()
    }

    fn check(loss: Loss, [mean, in_a_row]: [std::ops::Range<usize>; 2]) {
        let lost = lost(loss);
        let count = lost.iter().filter(|&&lost| lost).count();
        let pairs = lost.windows(2).filter(|pair| pair[0] && pair[1]).count();
        assert!(mean.contains(&(count / 100)), "{count} lost with {loss:?}");
        let per_mille = pairs * 1_000 / count;
        assert!(in_a_row.contains(&per_mille), "{per_mille} of 1,000 in a row, {loss:?}");
    }

    #[test]
    fn as_many_are_lost_and_as_many_in_a_row_as_was_asked_for() {
        check(Loss::Independent(50), [48..53, 40..60]);
        check(Loss::Bursts(Bursts { mean: 50, packets: 8 }), [45..56, 650..750]);
        check(Loss::Bursts(Bursts { mean: 300, packets: 20 }), [280..320, 720..800]);
    }
}
