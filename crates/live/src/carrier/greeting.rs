//! What two ends agree on when a connection begins: read from its SYN and
//! SYN-ACK as they pass.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use proto::connection::record::EndHeader;
use proto::connection::segment::Segment;
use proto::connection::sequence::Initial;
use proto::time::Instant;

/// The most SYNs that are remembered: those of a second at a few thousand
/// connections a second. Past it connections begin plain, and are served.
const MOST: usize = 4_096;
/// How long a SYN is remembered: until its repetition at the latest, which
/// comes after a second (RFC 6298, section 2).
const REMEMBERED: Duration = Duration::from_secs(1);
/// What is taken where a SYN says nothing (RFC 9293, section 3.7.1; IPv6 allows
/// more, which is not assumed).
const USUAL_SEGMENT: u16 = 536;

/// What a SYN or SYN-ACK says of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Syn {
    sequence: u32,
    segment: Option<u16>,
    scale: Option<u8>,
    sack: bool,
    clock: Option<u32>,
}

impl Syn {
    /// What that segment says.
    pub(super) fn of(segment: &Segment<'_>) -> Self {
        let options = segment.options;
        Self {
            sequence: segment.sequence,
            segment: options.segment,
            scale: options.scale,
            sack: options.sack,
            clock: options.timestamps.map(|stamps| stamps.value),
        }
    }
}

/// What our end is, by both ends' first words. `clock` is what the farm's common
/// clock shows, in milliseconds, at the time of ours.
pub(super) fn end_header(
    (local, peer): (SocketAddr, SocketAddr),
    (ours, theirs): (Syn, Syn),
    clock: u32,
) -> EndHeader {
    // What the answer leaves out is not used (RFC 7323, 1.3; RFC 2018, 2).
    let scales = ours.scale.zip(theirs.scale);
    let timestamps = match (ours.clock, theirs.clock) {
        (Some(ours), Some(_)) => Some(ours.wrapping_sub(clock)),
        (Some(_) | None, _) => None,
    };
    EndHeader {
        local,
        peer,
        sent: Initial(ours.sequence),
        received: Initial(theirs.sequence),
        mss: theirs.segment.unwrap_or(USUAL_SEGMENT),
        scales,
        sack: ours.sack && theirs.sack,
        timestamps,
    }
}

/// The SYNs of clients whose SYN-ACK has not passed yet.
#[derive(Debug, Default)]
pub(super) struct Greetings {
    syns: BTreeMap<(SocketAddr, SocketAddr), (Instant, Syn)>,
    order: VecDeque<(Instant, (SocketAddr, SocketAddr))>,
}

impl Greetings {
    /// Remembers a client's SYN; false when there are too many.
    pub(super) fn remember(
        &mut self,
        now: Instant,
        ends: (SocketAddr, SocketAddr),
        syn: Syn,
    ) -> bool {
        while let Some(&(since, oldest)) = self.order.front()
            && since + REMEMBERED <= now
        {
            self.order.pop_front();
            if self.syns.get(&oldest).is_some_and(|(at, _)| *at == since) {
                self.syns.remove(&oldest);
            }
        }
        let has_room = self.order.len() < MOST;
        if has_room {
            self.syns.insert(ends, (now, syn));
            self.order.push_back((now, ends));
        }
        has_room
    }

    /// The SYN of a connection whose SYN-ACK passes.
    pub(super) fn take(&mut self, ends: (SocketAddr, SocketAddr)) -> Option<Syn> {
        self.syns.remove(&ends).map(|(_, syn)| syn)
    }
}

#[cfg(test)]
mod tests;
