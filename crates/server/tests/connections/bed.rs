//! What the tests share: a farm that takes turns with others, and how
//! connections are judged.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use ground::farm::{BACKEND, SERVERS, Settings};
use ground::load::{Near, Outcome};
use ground::{Farm, FarmError};

use crate::patience::say;

/// Farms take turns: a machine that runs several at once tells little of each.
static TURN: Mutex<()> = Mutex::new(());

/// A farm that nobody else disturbs. A test that failed shows how its connections
/// stood.
pub(crate) struct Bed {
    pub(crate) farm: Farm,
    _turn: MutexGuard<'static, ()>,
}

impl Drop for Bed {
    fn drop(&mut self) {
        if thread::panicking() {
            // What stands still cannot be asked later.
            for machine in 0..=BACKEND {
                let sockets = || ground::command::run("ss -tni");
                let sockets = self.farm.network.on(machine, sockets);
                say(&format!("--- machine {machine} ---\n{}", sockets.unwrap_or_default()));
                if machine < SERVERS && self.farm.runs(machine) {
                    let status = self.farm.status(machine).unwrap_or_default();
                    say(&format!("{:#}", status["connections"]));
                }
            }
        }
    }
}

/// A farm whose servers all run; nothing, with a printed reason, where there can
/// be no machines.
pub(crate) fn bed(settings: Settings) -> Option<Bed> {
    let mut bed = empty(settings)?;
    bed.farm.start().expect("a farm comes together");
    Some(bed)
}

/// The same with no server started.
pub(crate) fn empty(settings: Settings) -> Option<Bed> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let farm =
        ground::or_skip(match Farm::new(PathBuf::from(env!("CARGO_BIN_EXE_segue")), settings) {
            Err(FarmError::Network(error)) => Err(error),
            other => Ok(other.expect("there are machines")),
        })?;
    Some(Bed { farm, _turn: turn })
}

/// Ends connections, each of which has to have come right.
pub(crate) fn check_right(farm: &Farm, connections: &[Near]) {
    for connection in connections {
        assert_eq!(connection.outcome(&farm.backend), Outcome::Right, "{}", connection.id());
    }
}
