//! Commands brought about on one value, so that they mean at any node what
//! they would at a single server.
//!
//! What merges is written here and spread. What needs one answer is agreed on
//! by the key's voters, computed from what they hold and from what was plainly
//! written since, whichever is later ([`proto::web::Rank`]); it is answered
//! once every live holder has it. A farm of one node has nobody to agree with.
//! The argument stands in `docs/gateways.md`.

use std::borrow::Borrow;
use std::time::Duration;

use parking_lot::Mutex;
use proto::agree::operation::Held;
use proto::gateway::redis::{Fail, Need};
use proto::record::{Body, Deadlines, KeyHash, Record, Version, Writer};
use proto::time::Wall;
use proto::web::memory::lasting;
use proto::web::{Change, Draft, Plain, Stamp, State, TEXT_OVERHEAD_BYTES, plain, text_payload};
use segue::{Ack, Cache, Gathered, OneAnswerError, Pending, Placed, WriteError};
use tokio::task::JoinSet;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::claims::Fate;
use super::keys::Name;
use super::rules::{Rule, Rules};

/// How many locks keys share: enough that two connections seldom meet by
/// chance.
const STRIPES: usize = 1024;
/// How often a change is tried anew that others were quicker than: each time
/// one of them came further, and as many as there are nodes are under way.
const TRIES: usize = 256;
/// How long a key's home may take to say what is there until it is asked anew;
/// twice as long each time. A live one answers in a round trip or two, and a dead
/// one is missed after some 700 ms.
const ASKED_ANEW: Duration = Duration::from_millis(250);
/// The longest of these times: with the ones before it, about as long as the
/// request itself may take.
const LAST_ASKED_ANEW: Duration = Duration::from_secs(2);

/// How long to wait before it is asked again whether something was decided: that
/// takes its node some round trips.
const DECISION_PAUSE: Duration = Duration::from_millis(5);

/// How many values that are asked for by one request are looked for at a time.
const LOOK_UPS: usize = 64;

/// The value that a command works on, and the room for its reply.
pub(super) type Work<'w> = dyn FnMut(&mut Draft, &mut Vec<u8>) -> Result<(), Fail> + Send + 'w;

/// The farm's values.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) cache: Cache,
    /// Whether there is nobody else, and never will be.
    alone: bool,
    rules: Rules,
    /// Those who change a value at this node, one after another.
    pub(super) stripes: Box<[Mutex<()>]>,
    /// Those who have it agreed on: they would only be in each other's way.
    turns: Box<[tokio::sync::Mutex<()>]>,
}

impl Store {
    pub(crate) fn new(cache: Cache, alone: bool, ack: Ack, rules: Vec<Rule>) -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        let turns = (0..STRIPES).map(|_| tokio::sync::Mutex::default()).collect();
        let rules = Rules::new(rules, ack);
        Self { cache, alone, rules, stripes, turns }
    }

    /// Whether there is nobody else, and never will be.
    pub(super) const fn is_alone(&self) -> bool {
        self.alone
    }

    /// Has `work` done on a value. What it changed is to be confirmed: where it
    /// changed nothing, there is nothing to confirm.
    pub(super) async fn run(
        &self,
        name: &Name<'_>,
        need: Need,
        out: &mut Vec<u8>,
        work: &mut Work<'_>,
    ) -> Result<Option<Pending>, Fail> {
        let begin = out.len();
        if !self.alone && self.is_unknown(name) {
            // It comes here by being looked for.
            let found = self.cache.get(&name.key).await;
            if need == Need::Read {
                let state = found.map_or_else(State::nothing, |found| {
                    let body = Body::Value(&found.value);
                    let segue::Found { version, deadlines, .. } = found;
                    State::of(&Record { key: name.key, version, deadlines, body }).into_owned()
                });
                return self.read(name, state, out, work).await;
            }
        }
        if need == Need::Read {
            return self.read(name, self.held(name), out, work).await;
        }
        if need == Need::Write || self.alone {
            let ack = self.ack(name);
            match self.write(name, need, out, work)? {
                Written::Nothing => return Ok(None),
                Written::Touched(version, deadlines) => {
                    let idle = deadlines.idle;
                    let touch = self.cache.touch_version(&name.key, version, idle, ack);
                    return touch.await.map(Some).map_err(|error| unwritten(&error));
                }
                Written::Placed(placed) => return self.spread(placed, ack).await.map(Some),
                Written::NeedsOneAnswer => out.truncate(begin),
            }
        }
        self.agree(name, need, out, work).await
    }

    /// Has `work` done on a value that it only reads.
    async fn read(
        &self,
        name: &Name<'_>,
        state: State<'static>,
        out: &mut Vec<u8>,
        work: &mut Work<'_>,
    ) -> Result<Option<Pending>, Fail> {
        if state.claim().is_some() && !self.alone {
            return self.agree(name, Need::Read, out, work).await;
        }
        work(&mut self.draft(state, Stamp::Agreed), out).map(|()| None)
    }

    /// Has values that are not here looked for together, so that each is then
    /// at hand, or known to be nowhere.
    pub(super) async fn look_up<'n, N>(&self, names: impl Iterator<Item = N>)
    where
        N: Borrow<Name<'n>>,
    {
        let mut looking = JoinSet::new();
        for name in names.filter(|name| !self.alone && self.is_unknown(name.borrow())) {
            if looking.len() >= LOOK_UPS {
                looking.join_next().await;
            }
            let (cache, key) = (self.cache.clone(), name.borrow().key);
            looking.spawn(async move { cache.get(&key).await.map(drop) });
        }
        while looking.join_next().await.is_some() {}
    }

    /// Writes a text whatever is there, if that takes nothing but this node's
    /// table: nothing waits. Gives none, and has done nothing, where it would.
    pub(super) fn set(
        &self,
        name: &Name<'_>,
        text: &[u8],
        (end, now): (Option<Wall>, Wall),
        payload: &mut Zeroizing<Vec<u8>>,
    ) -> Option<Result<Gathered, WriteError>> {
        let ack = self.ack(name);
        if ack == Ack::Tier || self.rules.may_guard(name.place().1) {
            return None;
        }
        let hash = self.cache.hash(&name.key);
        let _guard = self.stripes[stripe_of(hash)].lock();
        // The same text again is a touch.
        let is_same = |held: &Record<'_>| match held.body {
            Body::Value(value) => plain(value) == Plain::Text(text),
            Body::Deleted => false,
        };
        match self.cache.inspect_hash(hash, is_same) {
            Some(true) => return None,
            None if !self.cache.has_all(hash) => return None,
            Some(false) | None => {}
        }
        payload.clear();
        if payload.capacity() < TEXT_OVERHEAD_BYTES + text.len() {
            // What grows by itself leaves its bytes behind.
            *payload = Zeroizing::new(Vec::with_capacity(TEXT_OVERHEAD_BYTES + text.len()));
        }
        text_payload(payload, &[], text);
        let deadlines = end.map_or(Deadlines::at(Wall::MAX), |end| lasting(end, now));
        Some(self.cache.gather((&name.key, hash), payload, deadlines, (ack, now)))
    }

    /// Has the others get a write.
    pub(super) async fn spread(&self, placed: Placed, ack: Ack) -> Result<Pending, Fail> {
        self.cache.spread(placed, ack).await.map_err(|error| unwritten(&error))
    }

    /// Changes a value by merging.
    fn write(
        &self,
        name: &Name<'_>,
        need: Need,
        out: &mut Vec<u8>,
        work: &mut Work<'_>,
    ) -> Result<Written, Fail> {
        let _guard = self.stripes[self.stripe(name)].lock();
        let state = self.held(name);
        if state.claim().is_some() && !self.alone {
            return Ok(Written::NeedsOneAnswer);
        }
        let held_version = state.version;
        let guarded =
            need == Need::Write && self.rules.guards(name.place().1, &state, self.cache.now());
        let version = self.cache.next_version();
        let mut draft = self.draft(state, Stamp::Plain(version));
        work(&mut draft, out)?;
        if guarded && draft.is_there() && !draft.needs_one_answer() {
            // It was asked for before the delete, as far as anybody can tell.
            return Ok(Written::Nothing);
        }
        if draft.needs_one_answer() && !self.alone {
            return Ok(Written::NeedsOneAnswer);
        }
        draft.set_name(name.long);
        let change = draft.change();
        let (payload, deadlines) = draft.finish();
        match change {
            Change::None => Ok(Written::Nothing),
            Change::Touched => Ok(Written::Touched(held_version, deadlines)),
            Change::Written => {
                let placed = self.cache.place(&name.key, version, payload, deadlines);
                placed.map(Written::Placed).map_err(|error| unwritten(&error))
            }
        }
    }

    /// Has the key's voters agree on a change. What needs one answer waits until it
    /// is decided whether what is there is there; to the rest it is not, until then.
    pub(super) async fn agree(
        &self,
        name: &Name<'_>,
        need: Need,
        out: &mut Vec<u8>,
        work: &mut Work<'_>,
    ) -> Result<Option<Pending>, Fail> {
        loop {
            match self.agree_in_turn(name, (need, None), out, work).await? {
                Agreed::Done(done) => return Ok(done),
                // Whoever decides may need the same turn.
                Agreed::Open => tokio::time::sleep(DECISION_PAUSE).await,
            }
        }
    }

    /// Has the key's voters agree on what was decided of a claim.
    pub(super) async fn settle(
        &self,
        name: &Name<'_>,
        claim: Version,
        holds: bool,
    ) -> Result<Option<Pending>, Fail> {
        let known = (Need::OneAnswer, Some((claim, holds)));
        let mut nothing = |_: &mut Draft, _: &mut Vec<u8>| Ok(());
        match self.agree_in_turn(name, known, &mut Vec::new(), &mut nothing).await? {
            Agreed::Done(done) => Ok(done),
            // It is another's by now.
            Agreed::Open => Ok(None),
        }
    }

    async fn agree_in_turn(
        &self,
        name: &Name<'_>,
        (need, known): (Need, Option<(Version, bool)>),
        out: &mut Vec<u8>,
        work: &mut Work<'_>,
    ) -> Result<Agreed, Fail> {
        let (begin, ack) = (out.len(), self.ack(name));
        let _turn = self.turns[self.stripe(name)].lock().await;
        for _ in 0..TRIES {
            out.truncate(begin);
            let agreed = self.agreed(name).await.map_err(undecided)?;
            let mut state = self.held(name);
            if let Some(held) = &agreed {
                let version = Version { time: held.version, writer: Writer::default() };
                let (deadlines, body) = (Deadlines::at(held.deadline), Body::Value(&held.value));
                let record = Record { key: name.key, version, deadlines, body };
                state = state.join(State::of(&record).into_owned());
            }
            let fate = match (state.claim(), known) {
                (None, _) => None,
                (Some(claim), Some((known, holds))) if claim == known => Some(Fate::Decided(holds)),
                (Some(claim), _) => Some(self.fate(claim).await.map_err(undecided)?),
            };
            let mut draft = match fate {
                Some(Fate::Open) if need == Need::OneAnswer => return Ok(Agreed::Open),
                None | Some(Fate::Open) => self.draft(state, Stamp::Agreed),
                Some(Fate::Decided(holds)) => Draft::decided(state, holds, self.cache.now()),
            };
            work(&mut draft, out)?;
            if draft.change() == Change::None {
                return Ok(Agreed::Done(None));
            }
            draft.set_name(name.long);
            let (payload, deadlines) = draft.finish();
            let payload = payload.expect("what is agreed on has a payload, also of nothing");
            let (expected, end) = (agreed.map(|held| held.version), deadlines.idle);
            let written = self.cache.agree_on(&name.key, expected, &payload, end).await;
            if let Some(version) = written.map_err(undecided)? {
                let told = self.cache.tell_agreed(&name.key, version, (&payload, end), ack).await;
                return told
                    .map(|told| Agreed::Done(Some(told)))
                    .map_err(|error| unwritten(&error));
            }
        }
        Err(undecided(OneAnswerError::Busy))
    }

    /// What the voters hold of a value. A home that does not answer is asked no
    /// more once the farm misses it, but what it was asked before waits for it.
    /// So it is asked for anew: to read twice is to read once.
    async fn agreed(&self, name: &Name<'_>) -> Result<Option<Held>, OneAnswerError> {
        let mut patience = ASKED_ANEW;
        while patience <= LAST_ASKED_ANEW {
            if let Ok(agreed) = timeout(patience, self.cache.agreed(&name.key)).await {
                return agreed;
            }
            patience *= 2;
        }
        self.cache.agreed(&name.key).await
    }

    /// What a write waits for.
    pub(super) fn ack(&self, name: &Name<'_>) -> Ack {
        // Without others there is nothing to wait for.
        if self.alone { Ack::Local } else { self.rules.ack(name.place().1) }
    }

    /// What this node holds of a value.
    pub(super) fn held(&self, name: &Name<'_>) -> State<'static> {
        let held = self.cache.inspect(&name.key, |record| State::of(record).into_owned());
        held.unwrap_or_else(State::nothing)
    }

    fn is_unknown(&self, name: &Name<'_>) -> bool {
        self.cache.inspect(&name.key, |_| ()).is_none()
    }

    pub(super) fn draft(&self, state: State<'static>, stamp: Stamp) -> Draft {
        Draft::new(state, stamp, self.cache.now())
    }

    pub(super) fn stripe(&self, name: &Name<'_>) -> usize {
        stripe_of(self.cache.hash(&name.key))
    }
}

/// The hash is keyed: nobody can aim at a stripe.
fn stripe_of(hash: KeyHash) -> usize {
    usize::try_from(hash.0 % STRIPES as u64).expect("below the count")
}

/// What became of a change that was to be agreed on.
enum Agreed {
    Done(Option<Pending>),
    /// Whether what is there is there is not decided.
    Open,
}

/// What became of a plain change.
enum Written {
    Nothing,
    Touched(Version, Deadlines),
    Placed(Placed),
    NeedsOneAnswer,
}

/// Why a write was not done, in words for a client.
pub(super) fn unwritten(error: &WriteError) -> Fail {
    Fail::Told(format!("ERR {error}"))
}

/// The same of what was to be agreed on.
pub(super) fn undecided(error: OneAnswerError) -> Fail {
    Fail::Told(format!("ERR {error}"))
}
