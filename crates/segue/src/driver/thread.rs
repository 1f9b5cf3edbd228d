//! The thread that works the driver.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use sys::wait::{Readable, Sleeper};

use super::{Driver, Next};

/// Starts the thread. It ends once the cache is closed, and the driver with
/// it, which others have only for as long as a write takes.
pub(crate) fn spawn(driver: Arc<Mutex<Driver>>, sleeper: Sleeper) -> io::Result<JoinHandle<()>> {
    Builder::new().name("segue-node".into()).spawn(move || {
        if let Err(error) = work(&driver, &sleeper) {
            tracing::error!(%error, "the node's driver ended");
        }
    })
}

fn work(driver: &Mutex<Driver>, sleeper: &Sleeper) -> io::Result<()> {
    let mut readable = Readable::ALL;
    loop {
        // After a panic nobody knows what the machine would send.
        let poisoned = |_| io::Error::other("a writer panicked while it had the driver");
        let next = driver.lock().map_err(poisoned)?.turn(readable, sleeper)?;
        readable = match next {
            Next::Turn => {
                sleeper.stay_awake();
                Readable::ALL
            }
            Next::Sleep { writable } => sleeper.sleep(writable)?,
            Next::End => return Ok(()),
        };
    }
}
