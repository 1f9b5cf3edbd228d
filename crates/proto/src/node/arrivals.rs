//! What a run of packets says of records, until all of it is taken in at once.

use crate::record::{Record, Touch};
use crate::wire::header::Incarnation;

/// Records and touches that have come from one sender. As many as a datagram
/// has room for, or a run of them that the kernel hands over together: 64 KiB.
#[derive(Default)]
pub(super) struct Arrivals<'p> {
    /// Who sent them; none when there are none.
    pub(super) sender: Option<Incarnation>,
    pub(super) records: Vec<Record<'p>>,
    pub(super) touches: Vec<Touch>,
}

impl Arrivals<'_> {
    /// The room that they took, for others.
    pub(super) fn into_room(mut self) -> Arrivals<'static> {
        self.records.clear();
        // Collecting what has the same layout keeps the memory.
        let records = self.records.into_iter().map(|_| unreachable!("it is empty")).collect();
        self.touches.clear();
        Arrivals { sender: None, records, touches: self.touches }
    }
}
