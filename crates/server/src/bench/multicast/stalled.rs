//! What a receiver that stands still costs the others, and how soon it has
//! caught up.
//!
//! The last member's process is stopped while the first one writes. On a
//! machine with few processors that leaves more of them to the others, so
//! what they do is compared with what they do without it, too.

use std::time::Instant;

use anyhow::Context as _;

use super::super::report::{Better, Figure, Report, progress};
use super::orders::{Order, Work};
use super::process::Process;
use super::{Stage, meet, write};

/// How long the receiver stands still.
const HALTED_SECONDS: f64 = 10.0;

/// How long the others' throughput is measured beside.
const BESIDE_SECONDS: f64 = 5.0;

/// After a process has ended it takes the others a second to find out.
const FORGETTING_SECONDS: f64 = 2.0;

/// How often it is stopped, in turns with what that is compared with.
const TURNS: usize = 2;

impl Stage {
    pub(super) fn measure_stalled(&self, report: &mut Report) -> anyhow::Result<()> {
        progress("one receiver stands still");
        let (mut with, mut without) = (Vec::new(), Vec::new());
        let (mut whole, mut catching_up) = (Vec::new(), Vec::new());
        let (mut stalled, mut unrecovered) = (0, 0);
        for _ in 0..TURNS {
            let mut members = self.farm(self.role()?)?;
            self.warm(&mut members)?;
            whole.push(self.rate(&mut members, BESIDE_SECONDS)?);
            let halted = members.len() - 1;
            members[halted].halt()?;
            with.push(self.rate(&mut members, HALTED_SECONDS)?);
            members[halted].go_on()?;
            catching_up.push(self.catch_up(&mut members)?);
            unrecovered += members[halted].ask(&Order::Look)?.figures()?.unrecovered;
            stalled += members[0].ask(&Order::Look)?.figures()?.stalled;
            drop(members.pop());
            self.rate(&mut members, FORGETTING_SECONDS)?;
            without.push(self.rate(&mut members, BESIDE_SECONDS)?);
        }
        progress(&format!("it stalled {stalled} times, for {unrecovered} packets past repair"));
        let ratio = |beside: &[f64]| -> Vec<f64> {
            with.iter().zip(beside).map(|(with, beside)| with / beside).collect()
        };
        for (name, mut ratios) in [
            ("records_one_halted_vs_none", ratio(&whole)),
            ("records_one_halted_vs_without_it", ratio(&without)),
        ] {
            report.add(Figure::median(name, &mut ratios, "ratio", Better::Higher).with_goal(0.95));
        }
        report.add(Figure::median("halted_caught_up", &mut catching_up, "s", Better::Lower));
        Ok(())
    }

    /// Records a second that the first member writes; all the others that it
    /// takes for alive hold them at the end.
    fn rate(&self, members: &mut [Process], seconds: f64) -> anyhow::Result<f64> {
        let (count, seconds) = write(members, Work { seconds, bytes: self.bytes, rate: None })?;
        Ok(count / seconds)
    }

    /// The seconds until every member knows every other one, and all confirm
    /// the end of the first one's stream, which they do above no hole.
    fn catch_up(&self, members: &mut [Process]) -> anyhow::Result<f64> {
        let began = Instant::now();
        meet(members)?;
        self.rate(members, 0.0).context("the member that stood still")?;
        Ok(began.elapsed().as_secs_f64())
    }
}
