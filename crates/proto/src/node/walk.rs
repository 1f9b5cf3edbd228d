//! A walk through a table, a step at a time, that may be due again before it
//! has ended.

use crate::table::Cursor;

/// How much of a table is walked at a time. No lock is held for longer than
/// this takes, some 2 ms.
pub(super) const STEP_BYTES: usize = 4 << 20;

/// A walk, if one is under way.
#[derive(Debug, Default)]
pub(super) struct Walk {
    at: Option<Cursor>,
    /// What is to be found may lie behind already.
    again: bool,
}

impl Walk {
    /// The whole table is to be walked from here on. A walk that is under way
    /// comes to its end first: else one that is due again and again would
    /// never come beyond the first step.
    pub(super) const fn begin(&mut self) {
        if self.at.is_none() {
            self.at = Some(Cursor::START);
        } else {
            self.again = true;
        }
    }

    /// Goes on by one `step`, if there is more to walk.
    pub(super) fn go_on(&mut self, step: impl FnOnce(Cursor) -> Option<Cursor>) {
        if let Some(cursor) = self.at.take() {
            self.at = step(cursor);
            if self.at.is_none() && std::mem::take(&mut self.again) {
                self.at = Some(Cursor::START);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_that_is_due_again_ends_first_and_then_begins_again() {
        let mut walk = Walk::default();
        let mut steps = Vec::new();
        walk.go_on(|_| unreachable!("none is under way"));
        walk.begin();
        for next in [Some(Cursor::from_u64(7)), None, None] {
            walk.go_on(|at| {
                steps.push(at);
                next
            });
            if next.is_some() {
                walk.begin();
            }
        }
        walk.go_on(|_| unreachable!("it has ended"));
        assert_eq!(steps, [Cursor::START, Cursor::from_u64(7), Cursor::START]);
    }
}
