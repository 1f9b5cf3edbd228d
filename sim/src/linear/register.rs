//! What the operations on one register mean: a number, or a lock.
//!
//! Leases end by the clock of whoever decides, which may differ from the
//! history's by a bound: where that leaves it open whether a lock had ended,
//! both answers are right. Tokens have to grow, whatever happens.

use super::{Call, Model};

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Read.
    Get,
    /// Write.
    Put(i64),
    /// Write where nothing is.
    PutAbsent(i64),
    /// Write the second where the first is.
    Exchange(i64, i64),
    /// Add.
    Increment(i64),
    /// Read and delete.
    Take,
    /// Delete.
    Delete,
    /// Acquire the lock for so many milliseconds.
    Acquire(u64),
    /// Renew the lock of this token for so many milliseconds.
    Renew(u64, u64),
    /// Free the lock of this token.
    Release(u64),
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// This was there.
    Found(Option<i64>),
    /// It is done.
    Done,
    /// Something else was there.
    Unexpected,
    /// The sum.
    Number(i64),
    /// The lock is the asker's: its token, and until when.
    Locked(u64, u64),
    /// It is another's.
    Occupied,
    /// It is not held with that token.
    NotHeld,
}

/// An operation and its answer, if that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// What was asked.
    pub asked: Asked,
    /// What was answered.
    pub answer: Option<Answer>,
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// Nothing.
    Absent,
    /// A number.
    Number(i64),
    /// A lock.
    Lock {
        /// Its token; none where the answer that told it is unknown.
        token: Option<u64>,
        /// When it ends at the earliest and at the latest.
        until: (u64, u64),
    },
}

/// A register: what is there, and the last token that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    content: Content,
    token: u64,
}

/// One register. Calls are timed in microseconds, leases in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Register {
    /// How far clocks may be from the history's, in milliseconds.
    pub skew: u64,
    /// How long after its beginning an operation is decided at the latest, in
    /// milliseconds.
    pub patience: u64,
}

impl Model for Register {
    type State = State;
    type Operation = Operation;

    fn initial(&self) -> State {
        State { content: Content::Absent, token: 0 }
    }

    fn step(&self, state: &State, call: &Call<Operation>) -> Vec<State> {
        let Operation { asked, answer } = call.operation;
        match asked {
            Asked::Acquire(lease) => self.acquire(*state, call, lease),
            Asked::Renew(token, lease) => self.renew(*state, call, (token, lease)),
            Asked::Release(token) => self.release(*state, call, token),
            Asked::Get
            | Asked::Put(_)
            | Asked::PutAbsent(_)
            | Asked::Exchange(..)
            | Asked::Increment(_)
            | Asked::Take
            | Asked::Delete => {
                let (next, right) = number(asked, state.content);
                let fits = answer.is_none_or(|answer| answer == right);
                fits.then_some(State { content: next, ..*state }).into_iter().collect()
            }
        }
    }
}

/// What an operation on numbers leaves, and what it is answered.
fn number(asked: Asked, content: Content) -> (Content, Answer) {
    let held = match content {
        Content::Number(number) => Some(number),
        Content::Absent | Content::Lock { .. } => None,
    };
    match asked {
        Asked::Put(new) => (Content::Number(new), Answer::Done),
        Asked::PutAbsent(new) if held.is_none() => (Content::Number(new), Answer::Done),
        Asked::Exchange(old, new) if held == Some(old) => (Content::Number(new), Answer::Done),
        Asked::PutAbsent(_) | Asked::Exchange(..) => (content, Answer::Unexpected),
        Asked::Increment(by) => {
            let sum = held.unwrap_or(0) + by;
            (Content::Number(sum), Answer::Number(sum))
        }
        Asked::Take => (Content::Absent, Answer::Found(held)),
        Asked::Delete => (Content::Absent, Answer::Done),
        Asked::Get | Asked::Acquire(_) | Asked::Renew(..) | Asked::Release(_) => {
            (content, Answer::Found(held))
        }
    }
}

impl Register {
    /// When the clock of whoever decided may have shown what, in the time of
    /// an operation.
    fn clock(&self, call: &Call<Operation>) -> (u64, u64) {
        let began = call.began / 1_000;
        let latest = call.ended.map_or(began + self.patience, |ended| ended.div_ceil(1_000));
        (began.saturating_sub(self.skew), latest + self.skew)
    }

    /// Whether a lock may have ended, and whether it may still have been held.
    fn may_be(&self, until: (u64, u64), call: &Call<Operation>) -> (bool, bool) {
        let (earliest, latest) = self.clock(call);
        (until.0 <= latest, until.1 > earliest)
    }

    fn acquire(&self, state: State, call: &Call<Operation>, lease: u64) -> Vec<State> {
        let (free, held) = match state.content {
            Content::Absent | Content::Number(_) => (true, false),
            Content::Lock { until, .. } => self.may_be(until, call),
        };
        let lock = |token, until| Content::Lock { token, until };
        match call.operation.answer {
            Some(Answer::Locked(token, until)) if free && token > state.token => {
                vec![State { content: lock(Some(token), (until, until)), token }]
            }
            Some(Answer::Occupied) if held => vec![state],
            None if free => {
                let (earliest, latest) = self.clock(call);
                let until = (earliest + lease, latest + lease);
                vec![State { content: lock(None, until), ..state }]
            }
            _ => Vec::new(),
        }
    }

    fn renew(
        &self,
        state: State,
        call: &Call<Operation>,
        (token, lease): (u64, u64),
    ) -> Vec<State> {
        let (ended, held) = self.holds(state, call, token);
        let lock = |until| State { content: Content::Lock { token: Some(token), until }, ..state };
        match call.operation.answer {
            Some(Answer::Locked(told, until)) if held && told == token => {
                vec![lock((until, until))]
            }
            Some(Answer::NotHeld) if ended => vec![state],
            None if held => {
                let (earliest, latest) = self.clock(call);
                vec![lock((earliest + lease, latest + lease))]
            }
            _ => Vec::new(),
        }
    }

    fn release(&self, state: State, call: &Call<Operation>, token: u64) -> Vec<State> {
        let (ended, held) = self.holds(state, call, token);
        match call.operation.answer {
            Some(Answer::Done) | None if held => {
                vec![State { content: Content::Absent, ..state }]
            }
            Some(Answer::NotHeld) if ended => vec![state],
            _ => Vec::new(),
        }
    }

    /// Whether the lock of that token may not be held, and whether it may.
    fn holds(&self, state: State, call: &Call<Operation>, token: u64) -> (bool, bool) {
        match state.content {
            Content::Lock { token: Some(held), until } if held == token => self.may_be(until, call),
            Content::Absent | Content::Number(_) | Content::Lock { .. } => (true, false),
        }
    }
}

#[cfg(test)]
mod tests;
