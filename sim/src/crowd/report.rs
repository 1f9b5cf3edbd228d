//! What was measured, as text that two runs can be compared by.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::farm::traffic::Count;

/// What a farm measured.
#[derive(Debug)]
pub struct Report {
    /// How many nodes it has.
    pub nodes: usize,
    /// How long all but the first took to join, all at once.
    pub joined: Duration,
    /// What each node sends when nobody writes.
    pub idle: Idle,
    /// What it measured with each sort of loss.
    pub rows: Vec<Row>,
    /// How often a node was taken for dead by another while all lived.
    pub mistaken: usize,
    /// How long it took some node to find that one had died, while packets
    /// were lost as in the last row.
    pub first_knew: Duration,
    /// And all of them.
    pub all_knew: Duration,
}

/// What one node sends in a second of an idle farm.
#[derive(Debug)]
pub struct Idle {
    /// To all: heartbeats.
    pub to_farm: Count,
    /// To one: statuses.
    pub to_node: Count,
    /// Of that, what members say of each other, in bytes.
    pub gossip: u64,
}

/// What was measured with one sort of loss.
#[derive(Debug)]
pub struct Row {
    /// Packets lost at each receiver, of 1,000.
    pub independent: u64,
    /// Packets lost at everybody, of 1,000.
    pub shared: u64,
    /// Bytes of values a second that come to everybody.
    pub goodput: u64,
    /// Data packets that were lost by some node.
    pub lost: u64,
    /// Requests, all nodes together, for 100 of these.
    pub naks: Option<u64>,
    /// Data packets beside those that were sent first, for 100 of these.
    pub repairs: Option<u64>,
    /// Statuses a second that the writer got.
    pub statuses: u64,
    /// How long a record took to a node, in microseconds: the median, the
    /// hundredth part that took longest, and the longest of all.
    pub lag: [u64; 3],
    /// Packets that no repair could bring.
    pub unrecovered: u64,
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { nodes, joined, idle, rows, mistaken, first_knew, all_knew } = self;
        writeln!(f, "{nodes} nodes, which joined in {} ms", joined.as_millis())?;
        let Count { packets, bytes } = idle.to_farm;
        writeln!(f, "idle, each to all: {packets} packets/s, {bytes} bytes/s")?;
        let Count { packets, bytes } = idle.to_node;
        writeln!(f, "idle, each to single nodes: {packets} packets/s, {bytes} bytes/s")?;
        writeln!(f, "of these gossip: {} bytes/s", idle.gossip)?;
        writeln!(f)?;
        writeln!(
            f,
            "loss %             goodput  packets  NAKs per  repairs   statuses  \
             lag ms                 unrecovered\n\
             own link  shared   MB/s     lost     lost      per lost  /s        \
             p50     p99     longest"
        )?;
        rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        writeln!(f, "\ntaken for dead by mistake: {mistaken}")?;
        let [first, all] = [first_knew, all_knew].map(|knew| knew.as_millis());
        writeln!(f, "one died: the first knew after {first} ms, all after {all} ms")
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let per_lost =
            |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| decimal(count, 100));
        let [p50, p99, longest] = self.lag.map(|micros| decimal(micros / 10, 100));
        write!(
            f,
            "{:<9} {:<8} {:<8} {:<8} {:<9} {:<9} {:<9} {p50:<7} {p99:<7} {longest:<7} {}",
            decimal(self.independent, 10),
            decimal(self.shared, 10),
            decimal(self.goodput / 100_000, 10),
            self.lost,
            per_lost(self.naks),
            per_lost(self.repairs),
            self.statuses,
            self.unrecovered,
        )
    }
}

/// A number of tenths or hundredths as a decimal.
fn decimal(number: u64, parts: u64) -> String {
    let digits = if parts == 10 { 1 } else { 2 };
    format!("{}.{:0digits$}", number / parts, number % parts)
}
