use std::net::SocketAddr;

use super::*;
use crate::connection::epoch::{Answer, Ask, Operation};
use crate::connection::record::EndHeader;
use crate::connection::sequence::Initial;
use crate::connection::stream::Reply;

/// Longer than anything is waited for.
const LONG: Duration = Duration::from_secs(10);
const ME: Incarnation = Incarnation(1);
const UNDERSTUDY: Incarnation = Incarnation(2);
const GROUP: GroupId = GroupId(1);
const BATCH: GroupId = GroupId(2);
const CONNECTION: ConnectionId = ConnectionId(7);

fn header() -> Header {
    let address = SocketAddr::from(([10, 0, 0, 1], 443));
    let (sent, received) = (Initial(1), Initial(2));
    let client = EndHeader {
        local: address,
        peer: address,
        sent,
        received,
        mss: 1_460,
        scales: None,
        sack: true,
        timestamps: None,
    };
    let (id, group) = (CONNECTION, GROUP);
    Header { id, group, term: None, client, backend: None, relayed: true, tls: None }
}

/// Has the owner ask for its group's next term, and answers.
fn answer(owner: &mut Owner, now: Instant, answer: Answer) {
    let ask = owner.poll_ask(now).expect("a term is claimed");
    assert_eq!(ask.group, GROUP);
    owner.handle_answer(now, &ask, answer);
}

/// An owner in its first term, followed, with a connection that has begun.
fn begun() -> (Owner, Instant) {
    let now = Instant::from_micros(1_000_000);
    let mut owner = Owner::new(Config::new(ME, GROUP));
    owner.choose_understudy(UNDERSTUDY);
    owner.handle_timeout(now);
    answer(&mut owner, now, Answer::Set);
    owner.handle_stream_up(now);
    owner.open(now, header(), Token(1));
    (owner, now)
}

/// The same, whose beginning the understudy holds, and which waits for nothing but
/// to be asked for.
fn followed() -> (Owner, Instant) {
    let (mut owner, now) = begun();
    owner.handle_reply(now, Reply::Held { epoch: 1, count: 1 });
    (owner, now)
}

/// An owner in its first term, followed, that has just moved its only connection.
fn moving() -> (Owner, Instant) {
    let (mut owner, now) = followed();
    assert_eq!(owner.poll_action(), Some(Action::Admit(Token(1))));
    owner.hand_over(now, BATCH, &[CONNECTION]).expect("it is protected");
    (owner, now)
}

/// The question by which the owner would have the batch back.
fn asks_for_batch(owner: &mut Owner, now: Instant) -> Option<Ask> {
    owner.handle_timeout(now);
    let asks = std::iter::from_fn(|| owner.poll_ask(now));
    asks.take(10).find(|ask| ask.group == BATCH)
}

#[test]
fn a_batch_is_not_taken_back_while_the_understudy_may_not_know_of_it() {
    let (mut owner, now) = moving();
    let late = now + LONG;
    assert_eq!(asks_for_batch(&mut owner, late), None);
    owner.handle_reply(late, Reply::Held { epoch: 1, count: 2 });
    let ask = asks_for_batch(&mut owner, late).expect("it is apart");
    let new = Term::after(None, ME, None);
    assert_eq!(ask.operation, Operation::CompareAndSet { expected: None, new });
    owner.handle_answer(late, &ask, Answer::Set);
    let action = owner.poll_action();
    assert!(
        matches!(&action, Some(Action::Restore(returned)) if returned.group == BATCH),
        "{action:?}"
    );
}

#[test]
fn a_batch_is_taken_back_once_nobody_can_take_over_what_it_was_part_of() {
    let (mut owner, now) = moving();
    let late = now + LONG;
    owner.handle_timeout(late);
    assert_eq!(owner.poll_timeout(), Some(late), "only the group's own term is claimed");
    answer(&mut owner, late, Answer::Set);
    assert!(asks_for_batch(&mut owner, late).is_some());
}

#[test]
fn a_batch_that_was_not_apart_goes_with_its_group() {
    let (mut owner, now) = moving();
    owner.leave_understudy(now);
    answer(&mut owner, now, Answer::Found(None));
    assert_eq!(owner.poll_action(), Some(Action::Abandon(vec![CONNECTION])));
    assert_eq!((owner.is_fenced(), owner.moving()), (true, 0));
    assert_eq!(asks_for_batch(&mut owner, now + LONG), None);
}

#[test]
fn a_batch_that_was_apart_is_decided_by_itself() {
    let (mut owner, now) = moving();
    owner.handle_reply(now, Reply::Held { epoch: 1, count: 2 });
    owner.leave_understudy(now);
    answer(&mut owner, now, Answer::Found(None));
    assert_eq!(owner.poll_action(), Some(Action::Abandon(Vec::new())));
    let ask = asks_for_batch(&mut owner, now + LONG).expect("it is apart");
    owner.handle_answer(now, &ask, Answer::Found(Some(Term::after(None, UNDERSTUDY, None))));
    assert_eq!(owner.poll_action(), Some(Action::Abandon(vec![CONNECTION])));
}

#[test]
fn who_stood_still_does_nothing_before_the_term_is_known_to_stand() {
    let (mut owner, now) = followed();
    let late = now + LONG;
    owner.doubt(late);
    assert!(owner.is_doubted());
    assert_eq!(owner.poll_action(), None, "it was decided before");
    let ask = owner.poll_ask(late).expect("the next term is claimed");
    owner.handle_answer(late, &ask, Answer::Set);
    assert!(!owner.is_doubted());
    assert_eq!(owner.term().map(|term| (term.epoch, term.understudy)), Some((2, None)));
    assert_eq!(owner.poll_action(), Some(Action::Admit(Token(1))));
}

#[test]
fn who_stood_still_and_has_a_successor_never_speaks_again() {
    let (mut owner, now) = followed();
    owner.doubt(now + LONG);
    answer(&mut owner, now + LONG, Answer::NotSet);
    let found = Term { epoch: 2, owner: UNDERSTUDY, understudy: None };
    answer(&mut owner, now + LONG, Answer::Found(Some(found)));
    assert!(owner.is_fenced() && !owner.is_doubted());
    assert_eq!(owner.poll_action(), Some(Action::Abandon(vec![CONNECTION])));
    assert_eq!(owner.poll_action(), None);
}

#[test]
fn a_term_that_was_won_before_a_doubt_is_asked_for_again() {
    let (mut owner, now) = followed();
    owner.leave_understudy(now);
    let before = owner.poll_ask(now).expect("the next term is claimed");
    owner.doubt(now + LONG);
    owner.handle_answer(now + LONG, &before, Answer::Set);
    assert!(owner.is_doubted(), "that was before");
    let alone = Term { epoch: 2, owner: ME, understudy: None };
    answer(&mut owner, now + LONG, Answer::Found(Some(alone)));
    assert_eq!(owner.term(), Some(alone));
    assert_eq!(owner.poll_action(), Some(Action::Admit(Token(1))));
}

#[test]
fn who_cannot_leave_its_understudy_in_time_is_silent() {
    let (mut owner, now) = followed();
    owner.leave_understudy(now);
    let ask = owner.poll_ask(now).expect("the next term is claimed");
    owner.handle_answer(now, &ask, Answer::Unknown);
    owner.handle_timeout(now);
    assert!(!owner.is_doubted());
    assert_eq!(owner.poll_action(), Some(Action::Admit(Token(1))));
    let late = now + owner.config.wait;
    owner.handle_timeout(late);
    assert!(owner.is_doubted());
    answer(&mut owner, late, Answer::Found(Some(Term { epoch: 2, owner: ME, understudy: None })));
    assert!(!owner.is_doubted());
}

#[test]
fn there_is_nothing_to_doubt_in_what_nobody_else_knows() {
    let now = Instant::from_micros(1_000_000);
    let mut owner = Owner::new(Config::new(ME, GROUP));
    owner.open(now, header(), Token(1));
    owner.doubt(now);
    assert_eq!((owner.is_doubted(), owner.poll_ask(now)), (false, None));
    assert_eq!(owner.poll_action(), Some(Action::Admit(Token(1))));
}

/// The same, with a connection to a backend.
fn attached() -> (Owner, Instant) {
    let (mut owner, now) = begun();
    owner.attach(now, CONNECTION, header().client, Token(2));
    owner.handle_reply(now, Reply::Held { epoch: 1, count: 2 });
    assert_eq!(owner.poll_action(), Some(Action::Admit(Token(1))));
    assert_eq!(owner.poll_action(), Some(Action::Admit(Token(2))));
    (owner, now)
}

/// Has a client's first bytes told, and answered before they are read.
fn answered_ahead(payload: &[u8]) -> (Owner, Instant) {
    let (mut owner, now) = attached();
    // One past the SYN's.
    let segment = Segment { sequence: 3, payload, fin: false };
    owner.handle_segment(now, (CONNECTION, End::Client), segment, Token(3));
    let consumed = Position(payload.len() as u64);
    let output = Output { bytes: None, consumed, fin: false, tls: None };
    owner.handle_output(now, (CONNECTION, End::Backend), output).expect("it follows");
    (owner, now)
}

#[test]
fn what_is_answered_before_it_is_read_goes_with_its_packet() {
    let (mut owner, now) = answered_ahead(b"hello");
    assert_eq!(owner.poll_action(), None, "the understudy has neither");
    owner.handle_reply(now, Reply::Held { epoch: 1, count: 4 });
    assert_eq!(owner.poll_action(), Some(Action::Admit(Token(3))));
    let written = owner.poll_action();
    assert!(
        matches!(&written, Some(Action::Write { end: End::Backend, bytes, .. })
            if bytes.0.concat() == b"hello"),
        "{written:?}"
    );
    for part in [&b"he"[..], b"llo"] {
        assert_eq!(owner.handle_read(now, (CONNECTION, End::Client), part), Ok(()));
    }
    assert!(owner.is_protected(CONNECTION));
    assert_eq!(owner.counters().corrected, 0);
}

#[test]
fn what_follows_an_early_answer_is_put_right_as_ever() {
    let (mut owner, now) = answered_ahead(b"hello");
    let segment = Segment { sequence: 8, payload: b" you", fin: false };
    owner.handle_segment(now, (CONNECTION, End::Client), segment, Token(4));
    owner.handle_reply(now, Reply::Held { epoch: 1, count: 5 });
    assert_eq!(owner.handle_read(now, (CONNECTION, End::Client), b"hello two"), Ok(()));
    assert_eq!(owner.counters().corrected, 1);
}

#[test]
fn what_was_answered_cannot_be_put_right() {
    let (mut owner, now) = answered_ahead(b"hello");
    owner.handle_reply(now, Reply::Held { epoch: 1, count: 4 });
    let read = owner.handle_read(now, (CONNECTION, End::Client), b"help!");
    assert_eq!(read, Err(Differs));
}
