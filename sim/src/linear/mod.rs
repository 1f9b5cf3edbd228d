//! Whether a history is linearizable: the algorithm of Wing and Gong ("Testing
//! and Verifying Concurrent Objects", 1993) with Lowe's memory of what was
//! tried ("Testing for linearizability", 2017), as Porcupine has it.
//!
//! It looks for an order in which the operations, one after another, would
//! have been answered as they were, and in which none comes before one that
//! had ended before it began. An operation whose outcome is unknown may come
//! anywhere after its beginning, or nowhere. What the operations mean comes
//! from a [`Model`].

pub mod register;

use std::collections::HashSet;
use std::hash::Hash;

/// The most operations of one history: they are the bits of a number.
pub const MAX_CALLS: usize = 128;
/// The most pairs of order and state that are tried. A history of ours needs
/// some hundreds; one that needs so many is not judged.
const MAX_TRIED: usize = 2_000_000;

/// What operations mean.
pub trait Model {
    /// A state of the object.
    type State: Clone + Eq + Hash;
    /// An operation and what it was answered, if that is known.
    type Operation;

    /// The state at the beginning.
    fn initial(&self) -> Self::State;

    /// The states that `operation` may lead to from `state`, answered as it
    /// was, had it taken effect between its beginning and its end; none, if
    /// it cannot have been.
    fn step(&self, state: &Self::State, operation: &Call<Self::Operation>) -> Vec<Self::State>;
}

/// An operation in its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<O> {
    /// When it began.
    pub began: u64,
    /// When it ended; none when its outcome is unknown.
    pub ended: Option<u64>,
    /// What it was.
    pub operation: O,
}

/// What a check has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none.
    Violated,
    /// There are too many to try.
    Unjudged,
}

/// Judges the history of one object.
///
/// # Panics
///
/// When there are more than [`MAX_CALLS`] operations.
pub fn check<M: Model>(model: &M, calls: &[Call<M::Operation>]) -> Verdict {
    assert!(calls.len() <= MAX_CALLS, "{} operations", calls.len());
    let ended: u128 = mask(calls, |call| call.ended.is_some());
    let mut tried = HashSet::new();
    let mut open = vec![(0_u128, model.initial())];
    while let Some((done, state)) = open.pop() {
        if done & ended == ended {
            return Verdict::Linearizable;
        }
        // Whatever began after another had ended comes after it.
        let missing = (0..calls.len()).filter(|at| done & (1 << at) == 0);
        let first_end = missing.clone().filter_map(|at| calls[at].ended).min().unwrap_or(u64::MAX);
        for at in missing.filter(|&at| calls[at].began <= first_end) {
            for next in model.step(&state, &calls[at]) {
                let order = (done | (1 << at), next);
                if !tried.contains(&order) {
                    tried.insert(order.clone());
                    open.push(order);
                }
            }
        }
        if tried.len() > MAX_TRIED {
            return Verdict::Unjudged;
        }
    }
    Verdict::Violated
}

fn mask<O>(calls: &[Call<O>], is: impl Fn(&Call<O>) -> bool) -> u128 {
    calls.iter().enumerate().filter(|(_, call)| is(call)).map(|(at, _)| 1 << at).sum()
}
