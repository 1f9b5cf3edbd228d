//! Who else is in the farm, for those who talk to other nodes by themselves.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use proto::wire::header::Incarnation;

use crate::driver::Snapshot;
use crate::status::MemberState;

/// Another node of the farm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// Its address in the farm.
    pub address: SocketAddr,
    /// Whether it is heard.
    pub alive: bool,
    /// Whether its portion has arrived.
    pub ready: bool,
}

/// The other nodes of the farm, at most a tenth of a second old.
#[derive(Debug, Clone)]
pub struct Neighbours {
    snapshot: Arc<Mutex<Snapshot>>,
}

impl Neighbours {
    pub(crate) const fn new(snapshot: Arc<Mutex<Snapshot>>) -> Self {
        Self { snapshot }
    }

    /// All that this node knows of.
    #[must_use]
    pub fn list(&self) -> Vec<Neighbour> {
        let snapshot = self.snapshot.lock();
        let neighbour = |member: &crate::Member| {
            let incarnation = u128::from_str_radix(&member.incarnation, 16).ok()?;
            Some(Neighbour {
                name: member.name.clone(),
                incarnation: Incarnation(incarnation),
                address: member.address,
                alive: member.state == MemberState::Alive,
                ready: member.ready,
            })
        };
        snapshot.members.iter().filter_map(neighbour).collect()
    }
}
