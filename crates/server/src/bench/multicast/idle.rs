//! What nodes tell each other of what they hold, while nothing is written.

use std::thread;

use anyhow::Context as _;

use super::super::report::{Better, Figure, Report, progress};
use super::orders::{NodeRole, Order, Role};
use super::process::Process;
use super::{Stage, meet};

/// How many nodes the farm has.
const NODES: u8 = 3;

/// How many records each of them holds, and how long each is.
const RECORDS: u64 = 1_000_000;
const RECORD_BYTES: usize = 64;

/// Memory of a node's cache: half of it stays empty, so that none of the
/// records is dropped and nodes do compare.
const MEMORY_BYTES: usize = 320 << 20;

/// From how many tellings to the next the bytes are counted.
const TELLINGS: u32 = 3;

impl Stage {
    pub(super) fn measure_idle(&self, report: &mut Report) -> anyhow::Result<()> {
        if self.receivers + 1 < NODES {
            progress("an idle farm is not measured: it has three nodes");
            return Ok(());
        }
        let role = NodeRole { memory_bytes: MEMORY_BYTES, ..self.role()? };
        let mut members = self.some_members(NODES, |_| Role::Node(role.clone()))?;
        meet(&mut members)?;
        progress(&format!("{NODES} idle nodes with {RECORDS} records each"));
        members[0].ask(&Order::Fill { records: RECORDS, bytes: RECORD_BYTES })?.done()?;
        let bytes = watch(&mut members)?;
        let fetched = members.iter_mut().map(|member| {
            let figures = member.ask(&Order::Look)?.figures()?;
            Ok(figures.ranges_fetched)
        });
        let fetched: u64 = fetched.sum::<anyhow::Result<u64>>()?;
        progress(&format!("{fetched} ranges were fetched"));
        let sum = &mut [bytes.iter().sum::<f64>()];
        let name = "idle_digests_1m_records";
        report.add(Figure::median(name, sum, "bytes/s", Better::Lower).with_goal(1_000.0));
        Ok(())
    }
}

/// Bytes of digests a second that each member sends.
fn watch(members: &mut [Process]) -> anyhow::Result<Vec<f64>> {
    let order = Order::WatchDigests { tellings: TELLINGS };
    thread::scope(|scope| {
        let watching: Vec<_> = members
            .iter_mut()
            .map(|member| scope.spawn(|| member.ask(&order)?.digest_bytes()))
            .collect();
        watching
            .into_iter()
            .map(|watch| watch.join().ok().context("a thread that watches panicked")?)
            .collect()
    })
}
