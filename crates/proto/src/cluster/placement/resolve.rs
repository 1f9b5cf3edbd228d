//! What those keep that keep what others keep.

use std::collections::BTreeSet;

use super::{Keep, Placement};
use crate::cluster::slots::SlotSet;
use crate::wire::header::Incarnation;

/// What is wrong with the names that a portion is of. The node goes on with
/// the others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// No member has this name, and no tier.
    Nobody(String),
    /// What this name stands for keeps what the node itself keeps.
    Circle(String),
}

impl Placement {
    /// Computes anew what each member keeps that keeps what others keep.
    pub(super) fn resolve(&mut self) {
        let of: Vec<Incarnation> = self
            .members
            .iter()
            .filter(|(_, member)| matches!(member.portion.keep, Keep::Of(_)))
            .map(|(&incarnation, _)| incarnation)
            .collect();
        self.of = of.into_iter().map(|member| (member, self.union_of(member))).collect();
    }

    /// What is wrong with the names that a member's portion is of.
    #[must_use]
    pub fn troubles(&self, member: Incarnation) -> BTreeSet<Trouble> {
        let mut troubles = BTreeSet::new();
        for name in self.names_of(member) {
            let mut named = self.named(name).peekable();
            if named.peek().is_none() {
                troubles.insert(Trouble::Nobody(name.clone()));
            }
            if named.any(|named| named == member || self.behind(named).contains(&member)) {
                troubles.insert(Trouble::Circle(name.clone()));
            }
        }
        troubles
    }

    fn union_of(&self, member: Incarnation) -> SlotSet {
        let behind = self.behind(member);
        let mut union = SlotSet::none();
        for other in behind {
            match self.members.get(&other).map(|member| &member.portion.keep) {
                Some(Keep::All) => return SlotSet::all(),
                Some(Keep::Share) => {
                    if let Some(sharer) = self.sharer(other) {
                        union.insert_all(&sharer.slots);
                    }
                }
                Some(Keep::Of(_)) | None => {}
            }
        }
        union
    }

    /// Everybody whose portion goes into a member's, in one step or several.
    /// Each is looked at once, so that a circle ends.
    #[must_use]
    pub fn behind(&self, member: Incarnation) -> BTreeSet<Incarnation> {
        let mut behind = BTreeSet::new();
        let mut next = vec![member];
        while let Some(member) = next.pop() {
            for name in self.names_of(member) {
                next.extend(self.named(name).filter(|&named| behind.insert(named)));
            }
        }
        behind
    }

    fn names_of(&self, member: Incarnation) -> &[String] {
        match self.members.get(&member).map(|member| &member.portion.keep) {
            Some(Keep::Of(names)) => names,
            Some(Keep::All | Keep::Share) | None => &[],
        }
    }

    /// The members of a name, or of a tier of that name.
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Incarnation> + 'a {
        self.members
            .iter()
            .filter(move |(_, member)| member.name == name || member.portion.tier == name)
            .map(|(&incarnation, _)| incarnation)
    }
}
