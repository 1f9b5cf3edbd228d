//! What a machine is made from.

use std::time::Duration;

use crate::wire::header::Incarnation;

/// What a machine is made from.
#[derive(Debug, Clone)]
pub struct Config {
    /// This start of the node.
    pub incarnation: Incarnation,
    /// What stands for its name where keys are placed.
    pub place: u64,
    /// How many nodes the farm is configured with, this one counted: a first
    /// roster needs all of them.
    pub nodes: usize,
    /// How many vote on a key, if there are so many: odd, at most
    /// [`MAX_VOTERS_OF_KEY`](super::roster::MAX_VOTERS_OF_KEY).
    pub voters_of_key: u8,
    /// How many bytes its registers may take.
    pub capacity_bytes: usize,
    /// How long a request may take.
    pub patience: Duration,
    /// What everything that looks random comes from.
    pub seed: [u8; 32],
}

impl Config {
    /// The default of `voters_of_key`: one of them may be lost.
    pub const VOTERS_OF_KEY: u8 = 3;
    /// The default of `patience`: a roster changes in less, so that a request
    /// outlives the loss of a voter.
    pub const PATIENCE: Duration = Duration::from_secs(4);
}
