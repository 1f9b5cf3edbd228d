//! What is tried most: connections whose server goes away under load.

use std::time::{Duration, Instant};

use super::{BACKEND, Farm, FarmError, PATIENCE};
use crate::load::{Amount, HUNG, Near, Outcome, Plan};

/// How a server goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Its process is killed.
    Process,
    /// Its host loses the network.
    Host,
    /// It hands over, and ends (`segue drain`).
    Drained,
}

/// How much has to come after a server went away until a connection counts as
/// going on: more than the buffers on the way hold.
pub const GOING_ON_BYTES: u64 = 4 << 20;

/// The same of a connection on which requests and answers take turns: nothing else
/// of it is on the way, so it is so many turns.
const GOING_ON_TURNS: u64 = 200;

/// What came of connections whose server went away.
#[derive(Debug, Default)]
pub struct Trial {
    /// Which server went away: the one that had the virtual address then.
    pub server: u8,
    /// Of each connection.
    pub outcomes: Vec<Outcome>,
    /// The longest time without a byte at each client, from when its server was told
    /// to go away until the connection had gone on.
    pub pauses: Vec<Duration>,
}

impl Farm {
    /// Has clients connect by these plans, and waits until the backend knows
    /// all of them, and all count as protected.
    ///
    /// # Errors
    ///
    /// When one does not get there.
    pub fn begin(&self, plans: &[Plan]) -> Result<Vec<Near>, FarmError> {
        let owner = self.until_owner(|_| true)?;
        let connections = plans.iter().map(|plan| self.connect(plan));
        let connections = connections.collect::<Result<Vec<_>, _>>()?;
        for near in &connections {
            if self.backend.end(near.id(), PATIENCE).is_none() {
                let why = format!("machine {BACKEND} has not heard of it: {:?}", near.account());
                return Err(FarmError::Failed { what: "the backend".to_owned(), why });
            }
        }
        self.until_protected(owner, connections.len() as u64)?;
        Ok(connections)
    }

    /// Has a server go away.
    ///
    /// # Errors
    ///
    /// When it cannot.
    pub fn leave(&mut self, server: u8, exit: Exit) -> Result<(), FarmError> {
        match exit {
            Exit::Process => self.kill(server),
            Exit::Host => self.network.unplug(server)?,
            Exit::Drained => self.drain(server)?,
        }
        Ok(())
    }

    /// Has connections under load lose their server once each has received so
    /// many bytes, and judges them. The server stays away.
    ///
    /// # Errors
    ///
    /// When the farm, not a connection, does not do what it should.
    pub fn try_exit(
        &mut self,
        plans: &[Plan],
        exit: Exit,
        after_bytes: u64,
    ) -> Result<Trial, FarmError> {
        let connections = self.begin(plans)?;
        for near in &connections {
            near.until(HUNG, |account| account.received >= after_bytes);
        }
        // On a busy machine they may have moved, and not be followed yet: what goes away
        // then is a second loss, and no trial of one.
        let owner = self.until_owner(|_| true)?;
        self.until_protected(owner, connections.len() as u64)?;
        let at = Instant::now();
        connections.iter().for_each(|near| near.mark(at));
        let received: Vec<_> = connections.iter().map(|near| near.account().received).collect();
        self.leave(owner, exit)?;
        let mut trial = Trial { server: owner, ..Trial::default() };
        for ((near, received), plan) in connections.iter().zip(received).zip(plans) {
            let more = match plan.upload {
                Amount::Turns(bytes) => bytes * GOING_ON_TURNS,
                Amount::Bytes(_) | Amount::UntilEnd | Amount::Nothing | Amount::Echo => {
                    GOING_ON_BYTES
                }
            };
            near.until(HUNG, |account| account.received >= received + more);
            trial.pauses.extend(near.pause());
        }
        connections.iter().for_each(Near::end);
        trial.outcomes = connections.iter().map(|near| near.outcome(&self.backend)).collect();
        Ok(trial)
    }
}

impl Trial {
    /// What did not come right.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|&outcome| *outcome != Outcome::Right)
    }
}
