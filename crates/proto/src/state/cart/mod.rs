//! A cart, which two servers may edit at once: both edits stay.
//!
//! The quantity of an item is counted in *lanes*, one for each start of a node
//! that has put some in or taken some out. Each lane has two sums that only
//! grow, and beside them what of these sums somebody has removed with the item.
//! So carts join by the larger of each number; what was removed stays removed,
//! and what another server has added without the remover's knowing stays added
//! (observed-remove). An item's attributes are each the latest that was written,
//! by the hybrid clock; those from before the item was removed are gone.
//!
//! What is left of an item that was removed, some thirty bytes, goes with the
//! cart, at its absolute deadline.
//!
//! Whoever edits needs the cart as his lane has left it: an edit that starts
//! from less counts the same numbers again, and one of the two is lost. So a
//! node edits what it holds, one edit after another, and an edit is done when
//! the other holders have it.

mod codec;
mod item;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::error::StateError;
use super::{MAX_STATE_BYTES, Text};
use crate::record::Version;
use item::Item;

/// The longest name of an item: GTINs have 14 digits, shops' own are longer.
pub const MAX_SKU_BYTES: usize = 64;
/// The longest name of an attribute: colour, size, engraving.
pub const MAX_ATTRIBUTE_BYTES: usize = 64;
/// The longest value of an attribute: a sentence on a gift card.
pub const MAX_VALUE_BYTES: usize = 512;
/// The most items of a cart, those that were removed too.
pub const MAX_ITEMS: usize = 1_000;
/// The most attributes of an item.
pub const MAX_ATTRIBUTES: usize = 16;
/// The most pieces of an item.
pub const MAX_QUANTITY: u64 = 100_000;

/// Whose counts those of an edit are: the start of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u32);

/// A cart. `Debug` does not show what is in it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Cart {
    items: BTreeMap<Text, Item>,
}

/// An item of a cart.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// What it is.
    pub sku: &'a str,
    /// How many.
    pub quantity: u64,
    item: &'a Item,
}

impl<'a> Line<'a> {
    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        self.item.attributes.get(name)?.value.as_ref().map(Text::as_str)
    }

    /// All attributes, by name.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let value = |attribute: &'a item::Attribute| attribute.value.as_ref();
        let all = self.item.attributes.iter();
        all.filter_map(move |(name, attribute)| Some((name.as_str(), value(attribute)?.as_str())))
    }
}

impl Cart {
    /// Puts pieces of an item in.
    ///
    /// # Errors
    ///
    /// [`StateError`]; nothing is changed.
    pub fn add(&mut self, sku: &str, pieces: u64, lane: Lane) -> Result<(), StateError> {
        quantity(pieces)?;
        let held = self.quantity(sku);
        quantity(held.saturating_add(pieces))?;
        self.edit(sku, |item| {
            if held == 0 {
                // Two servers may both have taken the same pieces out.
                item.forget_counts();
            }
            item.lane(lane).added += pieces;
            Ok(())
        })
    }

    /// Takes pieces of an item out.
    ///
    /// # Errors
    ///
    /// [`StateError`]; nothing is changed.
    pub fn take(&mut self, sku: &str, pieces: u64, lane: Lane) -> Result<(), StateError> {
        quantity(pieces)?;
        let found = self.quantity(sku);
        if found < pieces {
            return Err(StateError::TooFew { found, wanted: pieces });
        }
        self.edit(sku, |item| {
            item.lane(lane).taken += pieces;
            Ok(())
        })
    }

    /// Removes an item with all its pieces. Gives whether it was there.
    ///
    /// # Errors
    ///
    /// [`StateError`]; nothing is changed.
    pub fn remove(&mut self, sku: &str, version: Version) -> Result<bool, StateError> {
        if !self.items.contains_key(sku) {
            return Ok(false);
        }
        let was_there = self.quantity(sku) > 0;
        self.edit(sku, |item| {
            item.remove(version);
            Ok(())
        })?;
        Ok(was_there)
    }

    /// Removes all items that are there.
    ///
    /// # Errors
    ///
    /// [`StateError`]; nothing is changed.
    pub fn clear(&mut self, version: Version) -> Result<(), StateError> {
        let mut cleared = self.clone();
        cleared.items.values_mut().for_each(|item| item.remove(version));
        self.replace(cleared)
    }

    /// Sets or, with none, removes an attribute of an item that is there.
    ///
    /// # Errors
    ///
    /// [`StateError`]; nothing is changed.
    pub fn set_attribute(
        &mut self,
        sku: &str,
        (name, value): (&str, Option<&str>),
        version: Version,
    ) -> Result<(), StateError> {
        if self.quantity(sku) == 0 {
            return Err(StateError::TooFew { found: 0, wanted: 1 });
        }
        let name = Text::new("an attribute's name", name, MAX_ATTRIBUTE_BYTES)?;
        let value = value.map(|value| Text::new("an attribute", value, MAX_VALUE_BYTES));
        let value = value.transpose()?;
        self.edit(sku, |item| {
            item.set(name, item::Attribute { version, value });
            let found = item.attributes.len();
            if found > MAX_ATTRIBUTES {
                let field = "attributes of an item";
                return Err(StateError::TooMany { field, found, limit: MAX_ATTRIBUTES });
            }
            Ok(())
        })
    }

    /// How many pieces of an item there are.
    #[must_use]
    pub fn quantity(&self, sku: &str) -> u64 {
        self.items.get(sku).map_or(0, Item::quantity)
    }

    /// The items that are there, by name.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let lines = self.items.iter();
        let lines =
            lines.map(|(sku, item)| Line { sku: sku.as_str(), quantity: item.quantity(), item });
        lines.filter(|line| line.quantity > 0)
    }

    /// Takes in what another copy of the cart has.
    pub fn join(&mut self, other: &Self) {
        for (sku, item) in &other.items {
            match self.items.get_mut(sku.as_str()) {
                Some(held) => held.join(item),
                None => drop(self.items.insert(sku.clone(), item.clone())),
            }
        }
    }

    /// Changes one item, wholly or not at all.
    fn edit(
        &mut self,
        sku: &str,
        change: impl FnOnce(&mut Item) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let sku = Text::article(sku)?;
        let mut edited = self.clone();
        change(edited.items.entry(sku).or_default())?;
        self.replace(edited)
    }

    /// Goes on with an edited cart, if that is none too large.
    fn replace(&mut self, edited: Self) -> Result<(), StateError> {
        let found = edited.items.len();
        // Whatever joining has made of a cart, it can be emptied.
        if found > MAX_ITEMS && found > self.items.len() {
            return Err(StateError::TooMany { field: "items", found, limit: MAX_ITEMS });
        }
        let found = edited.encode().len();
        if found > MAX_STATE_BYTES && found > self.encode().len() {
            return Err(StateError::TooLarge { found, limit: MAX_STATE_BYTES });
        }
        *self = edited;
        Ok(())
    }
}

/// Whether somebody may order so many.
const fn quantity(pieces: u64) -> Result<(), StateError> {
    if pieces == 0 || pieces > MAX_QUANTITY {
        return Err(StateError::Quantity { found: pieces, limit: MAX_QUANTITY });
    }
    Ok(())
}

impl std::fmt::Debug for Cart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cart({} items)", self.lines().count())
    }
}

impl std::fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Line({} pieces)", self.quantity)
    }
}
