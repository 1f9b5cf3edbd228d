//! The fence: who owns a group of connections, decided by compare-and-set.
//!
//! A [`Term`] stands in a register of the farm, one for each group
//! (`docs/one-answer.md`). Its epoch only grows, so no value comes back, and an
//! operation that arrives late changes nothing that was decided since. The
//! rules, which [`super::owner`] and [`super::understudy`] keep:
//!
//! - An owner acts under its term only as long as what it emits is held by the
//!   understudy which that term names.
//! - To go on without that understudy, or with another, it first has to win the
//!   next term.
//! - An understudy acknowledges nothing more before it asks for the next term.
//! - Whoever loses is fenced for good: it emits nothing, and closes silently.
//!
//! A [`Claim`] is the way to the next term. It knows nothing of how the farm
//! agrees: it gives what to ask ([`Ask`]) and is told what was answered. An
//! answer that is unknown, or does not come, decides nothing: the register is
//! read, and asked again as long as it still has what was expected. Since a
//! term names its owner's incarnation, a claim recognises its own success even
//! where the answer to it was lost.

use std::time::Duration;

use super::GroupId;
use crate::record::{Key, Kind};
use crate::time::Instant;
use crate::wire::header::Incarnation;
use crate::wire::{Malformed, Reader};

/// How long an answer is waited for before the register is asked again: longer
/// than the farm takes over an operation that it gives up.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// The pause after an answer that decided nothing: a few round trips, in which
/// a home may come back or another take its place.
const PAUSE: Duration = Duration::from_millis(10);
/// The furthest epoch that is taken from bytes: there is always a next one.
const MAX_EPOCH: u64 = 1 << 62;

/// What the keys of terms begin with.
const KEY_PREFIX: &[u8; 5] = b"term:";

/// The key of the register with a group's term: longer than any connection's.
///
/// # Panics
///
/// Never: 21 bytes are an id.
#[must_use]
pub fn term_key(group: GroupId) -> Key {
    let mut id = [0; KEY_PREFIX.len() + 16];
    let (prefix, name) = id.split_at_mut(KEY_PREFIX.len());
    prefix.copy_from_slice(KEY_PREFIX);
    name.copy_from_slice(&group.0.to_be_bytes());
    Key::new(Kind::Conn, &id).expect("21 bytes are an id")
}

/// Who acts for a group of connections, since when, and who follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The number of the term; 1 is the first.
    pub epoch: u64,
    /// Who alone may act.
    pub owner: Incarnation,
    /// Who has to hold what the owner emits, and alone may take over. None: the
    /// owner acts by itself, and what it has ends with it.
    pub understudy: Option<Incarnation>,
}

impl Term {
    /// The term after `expected`, with that owner and understudy.
    #[must_use]
    pub fn after(
        expected: Option<Self>,
        owner: Incarnation,
        understudy: Option<Incarnation>,
    ) -> Self {
        let epoch = expected.map_or(0, |term| term.epoch) + 1;
        Self { epoch, owner, understudy }
    }

    /// What stands for the term in its register.
    #[must_use]
    pub fn value(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Reads a register's value.
    ///
    /// # Errors
    ///
    /// When it is not a term and nothing else.
    pub fn from_value(value: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(value);
        let term = Self::decode(&mut reader)?;
        reader.finish("term")?;
        Ok(term)
    }

    /// Appends the term to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.extend_from_slice(&self.owner.0.to_be_bytes());
        out.push(u8::from(self.understudy.is_some()));
        if let Some(understudy) = self.understudy {
            out.extend_from_slice(&understudy.0.to_be_bytes());
        }
    }

    /// Reads a term.
    ///
    /// # Errors
    ///
    /// When the bytes end early, or a field has a value that it cannot have.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let epoch = reader.u64("epoch")?;
        if epoch == 0 || epoch > MAX_EPOCH {
            return Err(Malformed::Invalid("epoch"));
        }
        let owner = Incarnation(u128::from_be_bytes(reader.array("owner")?));
        let understudy = match reader.u8("presence")? {
            0 => None,
            1 => Some(Incarnation(u128::from_be_bytes(reader.array("understudy")?))),
            _ => return Err(Malformed::Invalid("presence")),
        };
        Ok(Self { epoch, owner, understudy })
    }
}

/// What the farm is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Whose register.
    pub group: GroupId,
    /// Which of a claim's questions it is; the answer comes with it.
    pub number: u64,
    /// What is to be done there.
    pub operation: Operation,
}

/// What is to be done at a group's register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Read it.
    Read,
    /// Write `new` if `expected` is there; none: if nothing is.
    CompareAndSet {
        /// What has to be there.
        expected: Option<Term>,
        /// What is to be there.
        new: Term,
    },
}

/// What the farm answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is written.
    Set,
    /// Something else than expected was there.
    NotSet,
    /// This was read.
    Found(Option<Term>),
    /// It may have been done, may yet be done, or was not.
    Unknown,
}

/// How a claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The claimed term is in force.
    Won(Term),
    /// Another is, or none is left.
    Lost,
}

/// The way to the next term of a group.
#[derive(Debug)]
pub struct Claim {
    group: GroupId,
    expected: Option<Term>,
    new: Term,
    /// What is asked next, and when.
    next: Operation,
    due: Instant,
    since: Instant,
    /// The number of the latest question.
    number: u64,
}

impl Claim {
    /// A claim of the term after `expected`.
    #[must_use]
    pub fn new(now: Instant, group: GroupId, expected: Option<Term>, new: Term) -> Self {
        let next = Operation::CompareAndSet { expected, new };
        Self { group, expected, new, next, due: now, since: now, number: 0 }
    }

    /// The term that is claimed.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.new
    }

    /// When something is to be asked.
    #[must_use]
    pub const fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// What is to be asked by now.
    pub fn poll_ask(&mut self, now: Instant) -> Option<Ask> {
        if now < self.due {
            return None;
        }
        self.number += 1;
        let ask = Ask { group: self.group, number: self.number, operation: self.next };
        // Whatever the operation did before its answer was lost, reading tells.
        self.next = Operation::Read;
        self.due = now + ANSWER_WITHIN;
        Some(ask)
    }

    /// When the claim began.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// What was answered until now may be so no more: it is asked again.
    pub const fn doubt(&mut self, now: Instant) {
        if self.number > 0 {
            // An answer that is still on its way has the earlier number.
            self.number += 1;
            self.next = Operation::Read;
            self.due = now;
        }
    }

    /// Takes the answer to a question; one to an earlier question says nothing
    /// that the next does not.
    pub fn handle_answer(&mut self, now: Instant, number: u64, answer: Answer) -> Option<Verdict> {
        if number != self.number {
            return None;
        }
        match answer {
            Answer::Set => return Some(Verdict::Won(self.new)),
            Answer::Found(found) if found == Some(self.new) => {
                return Some(Verdict::Won(self.new));
            }
            Answer::Found(found) if found == self.expected => {
                self.next = Operation::CompareAndSet { expected: self.expected, new: self.new };
                self.due = now + PAUSE;
            }
            Answer::Found(_) => return Some(Verdict::Lost),
            // It may be an earlier try of ours that is there.
            Answer::NotSet => {
                self.next = Operation::Read;
                self.due = now;
            }
            Answer::Unknown => {
                self.next = Operation::Read;
                self.due = now + PAUSE;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::ConnectionId;
    use crate::connection::record::Header;

    const ONE: Incarnation = Incarnation(1);
    const TWO: Incarnation = Incarnation(2);

    /// What a claim makes of answers that come one after another.
    fn check(answers: &[Answer], expected: Option<Verdict>) {
        let term = Term::after(None, ONE, Some(TWO));
        let new = Term::after(Some(term), TWO, None);
        let mut now = Instant::default();
        let mut claim = Claim::new(now, GroupId(1), Some(term), new);
        let verdict = answers.iter().fold(None, |_, &answer| {
            now = claim.poll_timeout();
            let ask = claim.poll_ask(now).expect("it is due");
            claim.handle_answer(now, ask.number, answer)
        });
        assert_eq!(verdict, expected, "{answers:?}");
    }

    #[test]
    fn a_value_is_a_term_and_nothing_else() {
        for understudy in [None, Some(TWO)] {
            let term = Term::after(None, ONE, understudy);
            let mut value = term.value();
            assert_eq!(Term::from_value(&value), Ok(term));
            value.push(0);
            assert_eq!(Term::from_value(&value), Err(Malformed::Trailing("term")));
            for len in 0..value.len() - 1 {
                assert!(Term::from_value(&value[..len]).is_err(), "{len} bytes");
            }
        }
    }

    #[test]
    fn no_term_stands_where_a_connection_does() {
        // Ids that look alike in every way that 16 bytes allow.
        let mut id = *b"term:\0\0\0\0\0\0\0\0\0\0\0";
        for byte in [0, 1, 0xff] {
            id[KEY_PREFIX.len()..].fill(byte);
            let number = u128::from_be_bytes(id);
            let connection = Header::key(ConnectionId(number));
            for group in [number, 0, u128::MAX, u128::from_be_bytes([byte; 16])] {
                let term = term_key(GroupId(group));
                assert_eq!(term.kind(), Kind::Conn);
                assert_ne!(term, connection);
                assert_ne!(term.id().len(), connection.id().len());
            }
        }
        assert_ne!(term_key(GroupId(1)), term_key(GroupId(2)));
    }

    #[test]
    fn only_what_is_certain_decides() {
        let before = Term::after(None, ONE, Some(TWO));
        let (ours, other) =
            (Term::after(Some(before), TWO, None), Term::after(Some(before), ONE, None));
        let (found, lost) = (|term| Answer::Found(Some(term)), Some(Verdict::Lost));
        let won = Some(Verdict::Won(ours));
        check(&[Answer::Set], won);
        check(&[Answer::Unknown], None);
        check(&[Answer::NotSet], None);
        check(&[Answer::NotSet, found(ours)], won);
        check(&[Answer::NotSet, found(other)], lost);
        check(&[Answer::Unknown, found(before)], None);
        check(&[Answer::Unknown, found(before), Answer::Set], won);
        check(&[Answer::Unknown, found(before), Answer::NotSet, found(ours)], won);
        check(&[Answer::Unknown, Answer::Unknown, Answer::Found(None)], lost);
    }

    #[test]
    fn an_answer_to_an_earlier_question_says_nothing() {
        let new = Term::after(None, ONE, None);
        let mut claim = Claim::new(Instant::default(), GroupId(1), None, new);
        let first = claim.poll_ask(Instant::default()).unwrap();
        let late = claim.poll_timeout();
        assert!(claim.poll_ask(Instant::default()).is_none(), "the answer is waited for");
        let second = claim.poll_ask(late).unwrap();
        assert_eq!(second.operation, Operation::Read);
        assert_eq!(claim.handle_answer(late, first.number, Answer::NotSet), None);
        let verdict = claim.handle_answer(late, second.number, Answer::Found(Some(new)));
        assert_eq!(verdict, Some(Verdict::Won(new)));
    }

    #[test]
    fn an_answer_from_before_a_doubt_says_nothing() {
        let (now, new) = (Instant::default(), Term::after(None, ONE, None));
        let mut claim = Claim::new(now, GroupId(1), None, new);
        claim.doubt(now);
        let before = claim.poll_ask(now).unwrap();
        assert_eq!(before.operation, Operation::CompareAndSet { expected: None, new });
        claim.doubt(now);
        assert_eq!(claim.handle_answer(now, before.number, Answer::Set), None);
        let after = claim.poll_ask(now).unwrap();
        assert_eq!(after.operation, Operation::Read);
        assert_eq!(claim.handle_answer(now, before.number, Answer::Set), None);
        let later = Term::after(Some(new), TWO, None);
        let verdict = claim.handle_answer(now, after.number, Answer::Found(Some(later)));
        assert_eq!(verdict, Some(Verdict::Lost));
    }
}
