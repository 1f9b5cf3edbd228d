//! Keeping a flood of events from becoming a flood of log lines.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How many lines of one sort are logged in a [`WINDOW`].
const LINES: u32 = 5;
const WINDOW: Duration = Duration::from_secs(1);

/// Lets a few lines a second through, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl Throttle {
    /// Whether a line may be logged at `now`: if so, how many of its sort
    /// were not since the last one that was.
    pub(super) fn pass(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock();
        let is_over = window.began.is_none_or(|began| now.duration_since(began) >= WINDOW);
        if is_over {
            window.began = Some(now);
            window.lines = 0;
        }
        if window.lines == LINES {
            window.suppressed += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_a_second_and_a_count_of_the_rest() {
        let throttle = Throttle::default();
        let start = Instant::now();
        let passed = (0..100).filter(|_| throttle.pass(start).is_some()).count();
        assert_eq!(passed, LINES as usize);
        assert_eq!(throttle.pass(start + WINDOW), Some(95));
        assert_eq!(throttle.pass(start + WINDOW), Some(0));
    }
}
