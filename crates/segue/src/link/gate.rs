//! So many a second and no more.

use proto::time::Instant;

/// Lets a number pass in each second, all at once if they come so.
#[derive(Debug)]
pub(super) struct Gate {
    a_second: u32,
    /// What may pass before time does, in millionths of one.
    room: u64,
    since: Instant,
}

/// What one that passes takes of the room.
const ONE: u64 = 1_000_000;

impl Gate {
    pub(super) const fn new(a_second: u32) -> Self {
        Self { a_second, room: a_second as u64 * ONE, since: Instant::from_micros(0) }
    }

    /// Whether one more may pass now.
    pub(super) fn passes(&mut self, now: Instant) -> bool {
        let most = u64::from(self.a_second) * ONE;
        let micros = u64::try_from((now - self.since).as_micros()).unwrap_or(u64::MAX);
        self.since = now;
        self.room = micros.saturating_mul(self.a_second.into()).saturating_add(self.room).min(most);
        let passes = self.room >= ONE;
        if passes {
            self.room -= ONE;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_pass_in_a_second() {
        let mut gate = Gate::new(10);
        let mut passed = |micros: u64| {
            let now = Instant::from_micros(micros);
            (0..100).filter(|_| gate.passes(now)).count()
        };
        assert_eq!(passed(0), 10);
        assert_eq!(passed(99_999), 0);
        assert_eq!(passed(100_000), 1);
        assert_eq!(passed(600_000), 5);
        assert_eq!(passed(60_000_000), 10, "no more are saved up");
    }
}
