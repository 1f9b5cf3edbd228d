//! The thread that works the driver.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use parking_lot::Mutex;
use sys::wait::{Ready, Sleeper};

use super::{Driver, Next};

/// Starts the thread. It ends once the cache is closed, and the driver with
/// it, which nobody else keeps.
pub(crate) fn spawn(driver: Arc<Mutex<Driver>>, sleeper: Sleeper) -> io::Result<JoinHandle<()>> {
    Builder::new().name("segue-node".into()).spawn(move || {
        if let Err(error) = work(&driver, &sleeper) {
            tracing::error!(%error, "the node's driver ended");
        }
    })
}

fn work(driver: &Mutex<Driver>, sleeper: &Sleeper) -> io::Result<()> {
    let mut ready = Ready::ALL;
    loop {
        let next = driver.lock().turn(ready, sleeper)?;
        ready = match next {
            Next::Turn => {
                sleeper.stay_awake();
                Ready::ALL
            }
            Next::Sleep { writable } => sleeper.sleep(writable)?,
            Next::End => return driver.lock().leave(),
        };
    }
}
