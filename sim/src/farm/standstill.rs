//! Nodes that stand still: they do nothing, and what comes to them waits.

use std::collections::BTreeMap;

use super::Farm;
use super::running::address;
use crate::network::Flight;
use proto::node::Origin;

/// As many packets as a socket of 8 MiB takes of 200 bytes, with what the
/// kernel adds to each; the rest is lost.
const SOCKET_PACKETS: usize = 8_192;

/// The nodes that stand still.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    /// What has come to each of them.
    waiting: BTreeMap<usize, Vec<Flight>>,
}

impl Standstill {
    pub(super) fn is_of(&self, number: usize) -> bool {
        self.waiting.contains_key(&number)
    }

    /// Keeps what has come to them.
    pub(super) fn keep(&mut self, flights: Vec<Flight>) -> Vec<Flight> {
        if self.waiting.is_empty() {
            return flights;
        }
        let mut others = Vec::new();
        for flight in flights {
            match self.waiting.get_mut(&flight.hop.to) {
                Some(socket) if socket.len() < SOCKET_PACKETS => socket.push(flight),
                Some(_) => {}
                None => others.push(flight),
            }
        }
        others
    }
}

impl Farm {
    /// Makes a node stand still, as SIGSTOP does.
    pub fn halt(&mut self, number: usize) {
        self.standstill.waiting.entry(number).or_default();
        self.agenda.set(number, None);
    }

    /// Lets it go on, with what has come to it meanwhile.
    ///
    /// # Errors
    ///
    /// What [`Farm::run`] finds.
    pub fn go_on(&mut self, number: usize) -> Result<(), String> {
        let waiting = self.standstill.waiting.remove(&number).unwrap_or_default();
        if let Some(running) = &mut self.nodes[number] {
            for Flight { hop, bytes } in waiting {
                let origin = Origin { address: address(hop.from), way: hop.way };
                running.receive(self.now, origin, &mut bytes.to_vec());
            }
            running.act(self.now);
        }
        self.send(number)
    }
}
