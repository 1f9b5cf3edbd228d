//! Every node of a larger farm writes as fast as it can at the same time: how
//! alike they fare, and what that costs beside one that writes alone.

use super::super::report::{Better, Figure, Report, progress};
use super::ground::Ground;
use super::orders::{Order, Work};
use super::{ROUNDS, Stage, THROUGHPUT_SECONDS, look, write};

/// How many nodes there are.
const NODES: u8 = 8;

/// How long they write: many times as long as it takes until each of their
/// threads has had its turns on a machine with few processors.
const TOGETHER_SECONDS: f64 = 8.0;

impl Stage {
    pub(super) fn measure_many(&self, report: &mut Report) -> anyhow::Result<()> {
        progress("eight senders at once");
        let (ground, _) = Ground::new(NODES);
        let stage = Self { ground, receivers: NODES - 1, bytes: self.bytes };
        let (mut evenness, mut together) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let mut members = stage.farm(stage.role()?)?;
            stage.warm(&mut members)?;
            let work = Work { seconds: THROUGHPUT_SECONDS, bytes: self.bytes, rate: None };
            let (count, seconds) = write(&mut members, work)?;
            let alone = count / seconds;
            let order = Order::Write(Work { seconds: TOGETHER_SECONDS, ..work });
            members.iter_mut().try_for_each(|member| member.tell(&order))?;
            let done = members.iter_mut().map(|member| member.hear()?.done());
            let (counts, seconds): (Vec<_>, Vec<_>) =
                done.collect::<anyhow::Result<Vec<_>>>()?.into_iter().unzip();
            look(&mut members)?;
            let [least, most] = [f64::min, f64::max]
                .map(|choose| counts.iter().copied().reduce(choose).unwrap_or_default());
            evenness.push(least / most);
            let longest = seconds.into_iter().reduce(f64::max).unwrap_or_default();
            together.push(counts.iter().sum::<f64>() / longest / alone);
        }
        for (name, mut ratios) in [
            ("eight_senders_least_vs_most", evenness),
            ("eight_senders_records_vs_one_sender", together),
        ] {
            report.add(Figure::median(name, &mut ratios, "ratio", Better::Higher).with_goal(0.8));
        }
        Ok(())
    }
}
