//! Which of the farm's records a node keeps, as it is configured.

use proto::cluster::portion::{self, MAX_OF, MAX_REPLICAS};
use proto::wire::control::MAX_NAME_BYTES;

use crate::error::StartError;

/// Which of the farm's records a node keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Keep {
    /// Every record.
    #[default]
    All,
    /// Its share of them: each record is at `replicas` of the nodes that keep a
    /// share, and a node's share is as large as its weight.
    Share,
    /// Every record that the nodes keep that are named so, or whose tier is: at
    /// most six names.
    Of(Vec<String>),
    /// None: it asks the others, and holds for a while what it was asked for.
    Nothing,
}

/// A node's portion of the farm's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// Which records it keeps.
    pub keep: Keep,
    /// How many of the nodes that keep a share hold each record, from 1 to 16.
    /// One number in the whole farm: where nodes differ, the highest counts.
    /// Default 2.
    pub replicas: u8,
    /// How large its share is, compared with others'. Default: the cache's
    /// memory in MiB.
    pub weight: Option<u32>,
    /// The tier that it is of. Default: none.
    pub tier: Option<String>,
}

impl Default for Portion {
    fn default() -> Self {
        Self { keep: Keep::All, replicas: 2, weight: None, tier: None }
    }
}

impl Portion {
    /// The portion as other nodes are told it, of a node with so much memory.
    pub(crate) fn told(
        &self,
        name: &str,
        memory_bytes: usize,
    ) -> Result<portion::Portion, StartError> {
        let wrong = |found: String, expected| StartError::Portion { found, expected };
        if !(1..=MAX_REPLICAS).contains(&self.replicas) {
            return Err(wrong(format!("{} replicas", self.replicas), "1 to 16"));
        }
        let named = |text: &str| {
            (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
        };
        let tier = self.tier.clone().unwrap_or_default();
        if !tier.is_empty() && !named(&tier) {
            return Err(wrong(
                format!("the tier {tier:?}"),
                "1 to 64 bytes without control characters",
            ));
        }
        let keep = match &self.keep {
            Keep::All => portion::Keep::All,
            Keep::Share => portion::Keep::Share,
            Keep::Nothing => portion::Keep::Of(Vec::new()),
            Keep::Of(names) => {
                if !(1..=MAX_OF).contains(&names.len()) {
                    return Err(wrong(
                        format!("{} names to keep the records of", names.len()),
                        "1 to 6",
                    ));
                }
                if let Some(strange) = names.iter().find(|other| !named(other)) {
                    return Err(wrong(format!("{strange:?}"), "names of nodes or of tiers"));
                }
                if names.iter().any(|other| other == name || *other == tier) {
                    return Err(wrong(
                        "the node itself".to_owned(),
                        "names of other nodes or tiers",
                    ));
                }
                portion::Keep::Of(names.clone())
            }
        };
        let mebibytes = u32::try_from(memory_bytes >> 20).unwrap_or(u32::MAX);
        let weight = self.weight.unwrap_or(mebibytes).max(1);
        Ok(portion::Portion { keep, replicas: self.replicas, weight, tier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_as_large_as_the_memory_unless_it_is_said_otherwise() {
        let portion = Portion { keep: Keep::Share, ..Portion::default() };
        let told = |portion: &Portion| portion.told("a", 64 << 20).map(|told| told.weight);
        assert_eq!(told(&portion).expect("it can be"), 64);
        assert_eq!(told(&Portion { weight: Some(7), ..portion }).expect("it can be"), 7);
    }

    #[test]
    fn what_cannot_be_is_refused_and_named() {
        let check = |portion: Portion, expected: &str| {
            let error = portion.told("a", 1 << 20).expect_err("it cannot be").to_string();
            assert!(error.contains(expected), "{error}");
        };
        let of = |names: &[&str]| Keep::Of(names.iter().map(|&name| name.to_owned()).collect());
        check(Portion { replicas: 0, ..Portion::default() }, "0 replicas");
        check(Portion { replicas: 17, ..Portion::default() }, "17 replicas");
        check(Portion { keep: of(&[]), ..Portion::default() }, "0 names");
        check(Portion { keep: of(&["b", "a"]), ..Portion::default() }, "the node itself");
        check(Portion { keep: of(&[""]), ..Portion::default() }, "\"\"");
        let tier = Some("edge".to_owned());
        check(Portion { keep: of(&["edge"]), tier, ..Portion::default() }, "the node itself");
    }
}
