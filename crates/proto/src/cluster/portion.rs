//! What a node says of its portion: which of the farm's records it keeps.

/// The most replicas of a record: more would be a farm in which all keep all.
pub const MAX_REPLICAS: u8 = 16;
/// The most nodes and tiers that a portion names: with the longest names, and
/// the most addresses, what a node says of itself still fits a packet. More
/// nodes are named by their tier.
pub const MAX_OF: usize = 6;

/// Which of the farm's records a node keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Keep {
    /// Every record.
    #[default]
    All,
    /// Its share: what rendezvous hashing gives it.
    Share,
    /// What the nodes keep that have these names, or are of these tiers: at
    /// most [`MAX_OF`] of them.
    Of(Vec<String>),
}

/// A node's portion, as it is configured there and told to the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// Which records it keeps.
    pub keep: Keep,
    /// How many holders each record is to have among those that keep a share:
    /// between 1 and [`MAX_REPLICAS`]. Where nodes differ the highest counts.
    pub replicas: u8,
    /// How large its share is, compared with others'; at least 1.
    pub weight: u32,
    /// The tier that it is of; empty when of none.
    pub tier: String,
}

impl Default for Portion {
    fn default() -> Self {
        Self { keep: Keep::All, replicas: 2, weight: 1, tier: String::new() }
    }
}

impl Portion {
    /// The word for it in figures.
    #[must_use]
    pub fn word(&self) -> String {
        match &self.keep {
            Keep::All => "all".to_owned(),
            Keep::Share => "share".to_owned(),
            Keep::Of(names) => format!("of {}", names.join(", ")),
        }
    }
}
