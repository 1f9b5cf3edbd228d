//! Who asks the tier above for what: those who miss one key share one question,
//! and what was not there is not asked for again at once. What is asked, and of
//! whom, is not known here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use proto::record::Key;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cache::MOST_TIERS;

/// How long it is believed that something is not there: as long as what the
/// farm itself does not have.
const BELIEVED: Duration = Duration::from_millis(100);
/// The most that is known not to be there: 40,000 look-ups a second are spared
/// what they had asked before. Each takes some 200 bytes.
const MAX_ABSENT: usize = 4_096;
/// The most questions that others may join. Who asks beyond asks by himself.
const MAX_UNDER_WAY: usize = 4_096;

/// What is asked for, and how many tiers further: an answer of fewer tiers is
/// none for more.
type Question = (Key, u8);
/// What came of it; none while nothing has.
type Answer<T> = Option<Option<T>>;

/// What is being asked for, and what was not there.
pub(crate) struct Asked<T> {
    state: Mutex<State<T>>,
    /// How much there is of both. Writers look at it without the lock.
    count: AtomicUsize,
}

struct State<T> {
    under_way: BTreeMap<Question, watch::Receiver<Answer<T>>>,
    absent: BTreeMap<Question, Instant>,
    /// The same in the order of time; some may be forgotten already.
    oldest: VecDeque<(Instant, Question)>,
}

impl<T> Default for Asked<T> {
    fn default() -> Self {
        let state =
            State { under_way: BTreeMap::new(), absent: BTreeMap::new(), oldest: VecDeque::new() };
        Self { state: Mutex::new(state), count: AtomicUsize::new(0) }
    }
}

/// What somebody who misses something is to do.
pub(crate) enum Turn<'a, T> {
    /// Ask, and tell the others.
    Ask(Asking<'a, T>),
    /// Ask, by himself.
    AskAlone,
    /// Wait for the answer of somebody who asks already.
    Wait(watch::Receiver<Answer<T>>),
    /// Nothing: it was not there a moment ago.
    Absent,
}

/// Somebody asks. If he stops, whoever waits asks in his place.
pub(crate) struct Asking<'a, T> {
    asked: &'a Asked<T>,
    question: Question,
    answer: watch::Sender<Answer<T>>,
}

impl<T: Clone> Asked<T> {
    /// Somebody misses something.
    pub(crate) fn turn(&self, question: Question) -> Turn<'_, T> {
        let mut state = self.state.lock();
        state.forget_until(Instant::now());
        if state.absent.contains_key(&question) {
            return Turn::Absent;
        }
        if let Some(answer) = state.under_way.get(&question) {
            return Turn::Wait(answer.clone());
        }
        if state.under_way.len() >= MAX_UNDER_WAY {
            return Turn::AskAlone;
        }
        let (answer, others) = watch::channel(None);
        state.under_way.insert(question, others);
        self.count.store(state.count(), Ordering::Relaxed);
        Turn::Ask(Asking { asked: self, question, answer })
    }
}

impl<T> Asked<T> {
    /// A record is written: that it was not there is not true any more, nor is
    /// an answer that is on its way.
    pub(crate) fn forget(&self, key: &Key) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut state = self.state.lock();
        for tiers in 0..=MOST_TIERS {
            state.absent.remove(&(*key, tiers));
            state.under_way.remove(&(*key, tiers));
        }
        self.count.store(state.count(), Ordering::Relaxed);
    }
}

impl<T> State<T> {
    fn count(&self) -> usize {
        self.under_way.len() + self.absent.len()
    }

    /// Forgets what is old.
    fn forget_until(&mut self, now: Instant) {
        while let Some(&(since, question)) = self.oldest.front()
            && (since + BELIEVED <= now || self.oldest.len() > MAX_ABSENT)
        {
            self.oldest.pop_front();
            if self.absent.get(&question) == Some(&since) {
                self.absent.remove(&question);
            }
        }
    }
}

impl<T> Asking<'_, T> {
    /// Tells those who wait what there is: something, or nothing.
    pub(crate) fn tell(self, found: Option<T>) {
        let is_absent = found.is_none();
        self.answer.send_replace(Some(found));
        if is_absent {
            let mut state = self.asked.state.lock();
            if self.is_current(&state) {
                let now = Instant::now();
                state.absent.insert(self.question, now);
                state.oldest.push_back((now, self.question));
                state.forget_until(now);
            }
        }
    }

    /// Whether nothing was written since it was asked.
    fn is_current(&self, state: &State<T>) -> bool {
        let asked = state.under_way.get(&self.question);
        asked.is_some_and(|others| others.same_channel(&self.answer.subscribe()))
    }
}

impl<T> Drop for Asking<'_, T> {
    fn drop(&mut self) {
        let mut state = self.asked.state.lock();
        if self.is_current(&state) {
            state.under_way.remove(&self.question);
        }
        self.asked.count.store(state.count(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proto::record::Kind;

    use super::*;

    fn question(id: u32) -> Question {
        (Key::new(Kind::Web, &id.to_be_bytes()).expect("a short id"), 3)
    }

    fn first(asked: &Asked<u8>, id: u32) -> Asking<'_, u8> {
        let Turn::Ask(asking) = asked.turn(question(id)) else { panic!("nobody asks for it") };
        asking
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_miss_one_key_share_one_answer() {
        let asked = Asked::default();
        let asking = first(&asked, 1);
        let Turn::Wait(mut other) = asked.turn(question(1)) else { panic!("it is asked for") };
        drop(first(&asked, 2));
        asking.tell(Some(7));
        assert_eq!(*other.wait_for(Option::is_some).await.unwrap(), Some(Some(7)));
        let asking = first(&asked, 1);
        let Turn::Wait(mut other) = asked.turn(question(1)) else { panic!("it is asked for") };
        drop(asking);
        assert!(other.wait_for(Option::is_some).await.is_err(), "who waits asks himself");
        drop(first(&asked, 1));
        assert_eq!(asked.count.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_not_asked_for_again_at_once() {
        let asked = Asked::default();
        first(&asked, 1).tell(None);
        assert!(matches!(asked.turn(question(1)), Turn::Absent));
        let (key, tiers) = question(1);
        assert!(matches!(asked.turn((key, tiers + 1)), Turn::Ask(_)), "a tier more is asked");
        tokio::time::advance(BELIEVED).await;
        first(&asked, 1).tell(None);
        asked.forget(&key);
        let asking = first(&asked, 1);
        asked.forget(&key);
        asking.tell(None);
        drop(first(&asked, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let asked = Asked::default();
        for id in 0..2 * u32::try_from(MAX_ABSENT).unwrap() {
            first(&asked, id).tell(None);
        }
        assert_eq!(asked.state.lock().absent.len(), MAX_ABSENT);
        assert_eq!(asked.state.lock().oldest.len(), MAX_ABSENT);
        let others = 0..u32::try_from(MAX_UNDER_WAY).unwrap();
        let asking: Vec<_> = others.map(|id| first(&asked, u32::MAX - id)).collect();
        assert!(matches!(asked.turn(question(0)), Turn::AskAlone));
        drop(asking);
        assert!(matches!(asked.turn(question(0)), Turn::Ask(_)));
    }
}
