//! How a node is named among the members.

use std::net::SocketAddr;

use crate::wire::header::Incarnation;

/// A node as the members know it.
///
/// Two of these are the same if they are of the same start of a node in the
/// same generation, wherever it is said to be: a node that listens at all its
/// addresses is at another one for each of the others.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// This start of the node.
    pub incarnation: Incarnation,
    /// How often it was taken for down while it was not. Who is down stays so;
    /// a node that finds that it was called down comes back with the next one.
    pub generation: u32,
    /// Where it takes unicast packets.
    pub address: SocketAddr,
}

impl Identity {
    /// A node that nobody has ever taken for down.
    #[must_use]
    pub const fn new(incarnation: Incarnation, address: SocketAddr) -> Self {
        Self { incarnation, generation: 0, address }
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.incarnation == other.incarnation && self.generation == other.generation
    }
}

impl Eq for Identity {}

impl foca::Identity for Identity {
    type Addr = Incarnation;

    fn renew(&self) -> Option<Self> {
        let generation = self.generation.checked_add(1)?;
        Some(Self { generation, ..*self })
    }

    fn addr(&self) -> Incarnation {
        self.incarnation
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.generation > adversary.generation
    }
}
