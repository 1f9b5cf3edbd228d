//! What time it is: for deadlines, for other nodes, and in timestamps.

use std::time::{SystemTime, UNIX_EPOCH};

use proto::time::{Instant, Now, Wall};

use super::Driver;

impl Driver {
    pub(super) fn read_clock(&self) -> Instant {
        let micros = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        Instant::from_micros(micros)
    }

    /// Both clocks.
    pub(super) fn now(&self) -> Now {
        Now { instant: self.now, wall: wall() }
    }

    /// What the farm's common clock shows, in milliseconds, as timestamps count.
    pub(super) fn clock() -> u32 {
        let millis = wall().as_millis() & u64::from(u32::MAX);
        u32::try_from(millis).expect("it is masked")
    }
}

fn wall() -> Wall {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
