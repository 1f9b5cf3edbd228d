//! That nothing deleted revives.
//!
//! It remembers which tombstones each node held, and knows nothing of who wrote
//! what.

use std::collections::BTreeMap;

use proto::record::Key;

use crate::farm::Farm;
use crate::model::Holding;

/// Tombstones that nodes held, by node and key.
#[derive(Debug, Default)]
pub struct Tombstones(BTreeMap<(usize, Key), Holding>);

impl Tombstones {
    /// A node has lost its memory.
    pub fn forget(&mut self, number: usize) {
        self.0.retain(|(node, _), _| *node != number);
    }

    /// Nothing deleted revives: where a node holds a tombstone, it never again
    /// holds a value that the tombstone is above of, though both may have gone
    /// and come in between. For a kind whose delete is final that is any value.
    ///
    /// # Errors
    ///
    /// What has revived, and where.
    pub fn check(&mut self, farm: &Farm) -> Result<(), String> {
        for number in farm.running() {
            for holding in farm.held(number) {
                let place = (number, holding.key);
                if let Some(tombstone) = self.0.get(&place)
                    && !tombstone.is_superseded_by(&holding)
                {
                    return Err(format!("{tombstone:?} at node {number} revived: {holding:?}"));
                }
                if holding.value.is_none() {
                    self.0.insert(place, holding);
                }
            }
        }
        Ok(())
    }
}
