//! What holds for keys that begin alike: what a write of them waits for, and for
//! how long a delete of them wins.

use std::time::Duration;

use proto::time::Wall;
use proto::web::{Content, State};
use segue::Ack;

/// What holds for keys with a prefix.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) prefix: Vec<u8>,
    /// What a write waits for; none: as elsewhere.
    pub(crate) ack: Option<Ack>,
    /// For how long a delete wins over plain writes that come after it.
    pub(crate) guard: Duration,
}

/// What holds for keys.
#[derive(Debug)]
pub(super) struct Rules {
    /// The longest prefix first.
    rules: Vec<Rule>,
    ack: Ack,
}

impl Rules {
    /// Rules for prefixes, and what a write waits for elsewhere.
    pub(super) fn new(mut rules: Vec<Rule>, ack: Ack) -> Self {
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.prefix.len()));
        Self { rules, ack }
    }

    /// What a write of `key` waits for.
    pub(super) fn ack(&self, key: &[u8]) -> Ack {
        self.of(key).and_then(|rule| rule.ack).unwrap_or(self.ack)
    }

    /// Whether deletes of `key` win for some time.
    pub(super) fn may_guard(&self, key: &[u8]) -> bool {
        self.of(key).is_some_and(|rule| !rule.guard.is_zero())
    }

    /// Whether what is held of `key` was deleted so lately that a plain write
    /// does not bring it back.
    pub(super) fn guards(&self, key: &[u8], held: &State<'_>, now: Wall) -> bool {
        let Some(rule) = self.of(key).filter(|rule| !rule.guard.is_zero()) else { return false };
        let deleted = held.floor.written.time.wall();
        matches!(held.content, Content::Gone) && now < deleted + rule.guard
    }

    fn of(&self, key: &[u8]) -> Option<&Rule> {
        self.rules.iter().find(|rule| key.starts_with(&rule.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_says_what_holds() {
        let rule = |prefix: &str, ack| Rule {
            prefix: prefix.as_bytes().to_vec(),
            ack,
            guard: Duration::ZERO,
        };
        let rules =
            vec![rule("a:", Some(Ack::One)), rule("a:b:", Some(Ack::Local)), rule("c", None)];
        let rules = Rules::new(rules, Ack::All);
        for (key, expected) in
            [("a:x", Ack::One), ("a:b:x", Ack::Local), ("c:x", Ack::All), ("x", Ack::All)]
        {
            assert_eq!(rules.ack(key.as_bytes()), expected, "{key}");
        }
    }
}
