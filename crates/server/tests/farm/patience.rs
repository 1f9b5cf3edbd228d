//! Waiting for what must come, and telling what was seen.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits: far longer than anything takes on a busy machine,
/// as only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// Looks until there is a value, and gives it.
///
/// # Panics
///
/// When there is none in time: with `describe`'s account of what there was.
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>, describe: impl Fn() -> String) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {}", describe());
        thread::sleep(GLANCE);
    }
}

/// Tells whoever runs the tests (with `--nocapture`) a figure, or why a test is
/// skipped.
#[expect(clippy::print_stderr, reason = "what is told is meant for the terminal")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
