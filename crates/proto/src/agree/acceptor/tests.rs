use bytes::Bytes;

use super::*;
use crate::agree::state::Content;
use crate::record::Kind;
use crate::time::Wall;
use crate::wire::header::Incarnation;

const NOW: Instant = Instant::from_micros(1);

fn key(number: u8) -> Key {
    Key::new(Kind::Web, &[number]).expect("short")
}

fn ballot(epoch: u64, round: u64) -> Ballot {
    Ballot { term: Term { generation: 1, epoch }, round, proposer: Incarnation(7) }
}

fn proposal(ballot: Ballot, bytes: usize) -> Proposal {
    let bytes = Bytes::from(vec![0; bytes]);
    let content = Content::Value { bytes, deadline: Wall::MAX };
    Proposal { ballot, hash: KeyHash(1), state: State { content, ..State::default() } }
}

fn acceptor() -> Acceptor {
    Acceptor::new(1 << 20)
}

fn accepted(about: &About) -> bool {
    matches!(about, About::Accepted { .. })
}

/// What a promise tells.
fn told(about: About) -> Option<Ballot> {
    let About::Promise { accepted, .. } = about else { panic!("{about:?}") };
    accepted.map(|(ballot, _)| ballot)
}

#[test]
fn a_promise_keeps_lower_ballots_out_in_both_rounds() {
    let mut acceptor = acceptor();
    assert_eq!(told(acceptor.prepare(NOW, key(1), ballot(1, 5))), None);
    let refused = About::Reject { ballot: ballot(1, 4), promised: ballot(1, 5) };
    assert_eq!(acceptor.prepare(NOW, key(1), ballot(1, 4)), refused);
    assert_eq!(acceptor.accept(NOW, key(1), proposal(ballot(1, 4), 1)), refused);
    assert!(accepted(&acceptor.accept(NOW, key(1), proposal(ballot(1, 5), 1))));
    assert_eq!(told(acceptor.prepare(NOW, key(1), ballot(1, 6))), Some(ballot(1, 5)));
}

#[test]
fn a_later_roster_is_above_every_round_of_an_earlier_one() {
    let mut acceptor = acceptor();
    assert!(accepted(&acceptor.accept(NOW, key(1), proposal(ballot(2, 1), 1))));
    let late = acceptor.accept(NOW, key(1), proposal(ballot(1, 1_000), 1));
    assert!(matches!(late, About::Reject { .. }), "{late:?}");
}

#[test]
fn accepting_promises_the_next_ballot_and_may_be_said_twice() {
    let mut acceptor = acceptor();
    let (first, next) = (ballot(1, 1), ballot(1, 2));
    for _ in 0..2 {
        assert!(accepted(&acceptor.accept(NOW, key(1), proposal(first, 1))));
    }
    let other = Ballot { proposer: Incarnation(8), ..first };
    assert!(matches!(acceptor.prepare(NOW, key(1), other), About::Reject { .. }));
    assert!(accepted(&acceptor.accept(NOW, key(1), proposal(next, 1))));
}

#[test]
fn what_is_forgotten_lets_no_late_proposal_in() {
    let mut acceptor = acceptor();
    acceptor.accept(NOW, key(1), proposal(ballot(1, 5), 1));
    acceptor.forget(&key(1), ballot(1, 4));
    assert_eq!(acceptor.len(), 1, "another ballot forgets nothing");
    acceptor.forget(&key(1), ballot(1, 5));
    assert_eq!(acceptor.len(), 0);
    for late in [ballot(1, 4), ballot(1, 5)] {
        let answer = acceptor.accept(NOW, key(1), proposal(late, 1));
        assert!(matches!(answer, About::Reject { .. }), "{answer:?}");
    }
    // The floor is every other key's, too.
    assert!(matches!(acceptor.prepare(NOW, key(2), ballot(1, 4)), About::Reject { .. }));
    assert_eq!(told(acceptor.prepare(NOW, key(1), ballot(1, 7))), None);
}

#[test]
fn idle_promises_go_and_leave_their_ballot_behind() {
    let mut acceptor = acceptor();
    acceptor.prepare(NOW, key(1), ballot(1, 9));
    assert!(acceptor.look(NOW + IDLE, 10).is_empty());
    assert_eq!(acceptor.len(), 0);
    assert!(matches!(acceptor.prepare(NOW, key(1), ballot(1, 8)), About::Reject { .. }));
}

#[test]
fn states_of_rosters_that_no_longer_count_go_and_promises_stay() {
    let mut acceptor = acceptor();
    acceptor.accept(NOW, key(1), proposal(ballot(1, 5), 1));
    acceptor.accept(NOW, key(2), proposal(ballot(2, 5), 1));
    let since = Term { generation: 1, epoch: 2 };
    assert_eq!(acceptor.accepted_before(since), [(key(1), KeyHash(1))]);
    acceptor.drop_before(since);
    assert!(acceptor.accepted_before(since).is_empty());
    assert!(matches!(acceptor.prepare(NOW, key(1), ballot(1, 5)), About::Reject { .. }));
    assert_eq!(told(acceptor.prepare(NOW, key(1), ballot(2, 1))), None);
    assert_eq!(told(acceptor.prepare(NOW, key(2), ballot(3, 1))), Some(ballot(2, 5)));
}

#[test]
fn a_full_acceptor_refuses_what_is_new_and_takes_what_is_smaller() {
    let mut acceptor = Acceptor::new(2 * OVERHEAD_BYTES + 100);
    assert!(accepted(&acceptor.accept(NOW, key(1), proposal(ballot(1, 1), 100))));
    assert!(accepted(&acceptor.accept(NOW, key(2), proposal(ballot(1, 1), 0))));
    let full = About::Full(ballot(1, 2));
    assert_eq!(acceptor.prepare(NOW, key(3), ballot(1, 2)), full);
    assert_eq!(acceptor.accept(NOW, key(2), proposal(ballot(1, 2), 1)), full);
    assert!(accepted(&acceptor.accept(NOW, key(1), proposal(ballot(1, 2), 99))));
    assert!(accepted(&acceptor.accept(NOW, key(2), proposal(ballot(1, 2), 1))));
    let load = acceptor.load();
    assert_eq!(load.used, load.limit);
}
