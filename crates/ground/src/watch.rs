//! Waiting for what nobody tells: the state of a machine, a process or a farm is
//! looked at until it is as wanted. What is looked at is its callers' business.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take to come about: far longer than it does on a busy
/// machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked at. Processes and links do not say when they are so far,
/// short of a socket to each.
const GLANCE: Duration = Duration::from_millis(5);

/// Looks until something is seen, and gives it; none, if that takes longer than
/// `patience`.
pub(crate) fn until<T, E>(
    patience: Duration,
    mut look: impl FnMut() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let limit = Instant::now() + patience;
    loop {
        let seen = look()?;
        if seen.is_some() || Instant::now() > limit {
            return Ok(seen);
        }
        thread::sleep(GLANCE);
    }
}
