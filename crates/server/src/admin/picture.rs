//! The farm as a picture: which nodes there are, what each keeps, and who keeps
//! the same. It is drawn by the page, and written as a table beside it.
//!
//! What a node keeps is told by a row of *columns*: one for each node that keeps
//! a share, which stands for what begins there. With so many replicas a node has
//! its own column and those behind it, which is how much of two shares is the
//! same, and not which: slots lie all over.

use std::collections::BTreeSet;

use serde::Serialize;

use super::status::Status;

/// Columns at the most: more could not be told apart.
const MAX_COLUMNS: usize = 24;

/// Nodes at the most: of more, nobody sees anything in a picture.
const MAX_NODES: usize = 48;

/// The nodes that this one knows, itself first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Picture {
    pub(super) columns: usize,
    /// How many there are beyond those that are shown.
    pub(super) more: usize,
    pub(super) nodes: Vec<Card>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Card {
    pub(super) name: String,
    pub(super) address: String,
    /// "alive", "joining", "leaving", "behind", "dead" or "left".
    pub(super) state: &'static str,
    /// Empty where it is of none.
    pub(super) tier: String,
    /// "all", "share", or "of" and names.
    pub(super) portion: String,
    pub(super) keeps: Vec<bool>,
    pub(super) lag_ms: Option<f64>,
    /// How many portions lie within this one, one upon the other: those of
    /// higher tiers are drawn above.
    pub(super) level: usize,
    /// What its portion is to each node's, in their order.
    pub(super) overlaps: Vec<Relation>,
}

/// What this node says of itself, and a status does not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Own {
    pub(crate) portion: String,
    pub(crate) tier: String,
    pub(crate) address: String,
    pub(crate) is_leaving: bool,
}

impl Picture {
    /// The picture of what this node knows.
    pub(super) fn new(status: &Status, own: Own) -> Self {
        let itself = Card {
            name: status.node.name.clone(),
            address: own.address,
            state: match (status.node.ready, own.is_leaving) {
                (true, _) => "alive",
                (false, true) => "leaving",
                (false, false) => "joining",
            },
            ..Card::of(&own.portion, &own.tier)
        };
        let members = status.members.iter().map(|member| Card {
            name: member.name.clone(),
            address: member.address.to_string(),
            state: match (&*member.state, member.ready, member.catching_up) {
                ("dead", ..) => "dead",
                ("left", ..) => "left",
                (_, false, _) => "joining",
                (_, true, true) => "behind",
                (_, true, false) => "alive",
            },
            lag_ms: member.lag_ms,
            ..Card::of(&member.portion, &member.tier)
        });
        let mut nodes: Vec<_> = std::iter::once(itself).chain(members).collect();
        nodes[1..]
            .sort_by(|one, other| (&one.name, &one.address).cmp(&(&other.name, &other.address)));
        let more = nodes.len().saturating_sub(MAX_NODES);
        nodes.truncate(MAX_NODES);
        let columns = draw(&mut nodes, status.portion.replicas);
        for at in 0..nodes.len() {
            nodes[at].overlaps =
                nodes.iter().map(|other| relation(&nodes[at].keeps, &other.keeps)).collect();
        }
        Self { columns, more, nodes }
    }
}

impl Card {
    fn of(portion: &str, tier: &str) -> Self {
        Self {
            name: String::new(),
            address: String::new(),
            state: "alive",
            tier: tier.to_owned(),
            portion: portion.to_owned(),
            keeps: Vec::new(),
            lag_ms: None,
            level: 0,
            overlaps: Vec::new(),
        }
    }

    fn is_there(&self) -> bool {
        !matches!(self.state, "dead" | "left")
    }

    /// The names whose records it keeps, where it is told by names.
    fn names(&self) -> Option<Vec<String>> {
        let names =
            self.portion.strip_prefix("of ").or_else(|| (self.portion == "of").then_some(""))?;
        Some(names.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }
}

/// Says of all nodes what they keep; how many columns there are.
fn draw(nodes: &mut [Card], replicas: usize) -> usize {
    let is_sharer = |card: &&mut Card| card.portion == "share" && card.is_there();
    let sharers = nodes.iter_mut().filter(is_sharer).count();
    let columns = sharers.clamp(1, MAX_COLUMNS);
    let held = replicas.clamp(1, columns);
    for (at, card) in nodes.iter_mut().filter(is_sharer).enumerate() {
        card.keeps =
            (0..columns).map(|column| (column + columns - at % columns) % columns < held).collect();
    }
    for card in nodes.iter_mut() {
        if card.portion == "all" {
            card.keeps = vec![true; columns];
        } else if card.keeps.is_empty() {
            card.keeps = vec![false; columns];
        }
    }
    // Each round reaches one superset further: a chain is no longer than all.
    let most = nodes.len().saturating_sub(1);
    for _ in 0..nodes.len() {
        for at in 0..nodes.len() {
            let Some(names) = nodes[at].names() else { continue };
            let below: BTreeSet<usize> = (0..nodes.len())
                .filter(|&other| other != at && nodes[other].is_there())
                .filter(|&other| {
                    names.contains(&nodes[other].name) || names.contains(&nodes[other].tier)
                })
                .collect();
            for other in below {
                let keeps = nodes[other].keeps.clone();
                let level = nodes[other].level + 1;
                let card = &mut nodes[at];
                card.keeps.iter_mut().zip(keeps).for_each(|(own, its)| *own |= its);
                card.level = card.level.max(level).min(most);
            }
        }
    }
    columns
}

/// What a portion is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Relation {
    Same,
    Includes,
    Within,
    Overlaps,
    Disjoint,
}

impl Relation {
    /// In words that stand between two names.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Same => "the same",
            Self::Includes => "includes it",
            Self::Within => "within it",
            Self::Overlaps => "overlaps",
            Self::Disjoint => "disjoint",
        }
    }
}

fn relation(own: &[bool], other: &[bool]) -> Relation {
    let pairs = || own.iter().zip(other);
    let both = pairs().filter(|&(own, other)| *own && *other).count();
    let alone = pairs().filter(|&(own, other)| *own && !*other).count();
    let missing = pairs().filter(|&(own, other)| !*own && *other).count();
    match (both, alone, missing) {
        (0, ..) => Relation::Disjoint,
        (_, 0, 0) => Relation::Same,
        (_, _, 0) => Relation::Includes,
        (_, 0, _) => Relation::Within,
        _ => Relation::Overlaps,
    }
}

#[cfg(test)]
mod tests;
