//! One slot after the other is had, lacked, and asked for again.

use super::*;
use crate::cluster::slots::Slot;

const NOW: Instant = Instant::from_micros(1_000_000);
const ONE: Incarnation = Incarnation(1);
const OTHER: Incarnation = Incarnation(2);

fn slots(slots: &[u16]) -> SlotSet {
    slots.iter().copied().map(Slot).collect()
}

/// Asks both for everything, of whom each says what it lacks, or nothing.
fn ask(wanted: &mut Wanted, now: Instant, lacks: [Option<&SlotSet>; 2]) -> bool {
    assert!(!wanted.rests(now));
    wanted.begin();
    let nodes = [ONE, OTHER];
    loop {
        let shares = wanted.share_out(wanted.pending().clone(), &nodes);
        if shares.is_empty() {
            return wanted.end_round(now, &nodes, false);
        }
        for (node, share) in shares {
            match lacks[usize::from(node == OTHER)] {
                Some(lacks) => wanted.given(node, &share.runs(), lacks),
                None => wanted.unanswered(node),
            }
        }
    }
}

#[test]
fn what_one_lacks_another_gives() {
    let mut wanted = Wanted::default();
    wanted.want_all(NOW, &slots(&[1, 2, 3]));
    assert!(ask(&mut wanted, NOW, [Some(&slots(&[2])), Some(&slots(&[1]))]));
    assert!(wanted.is_at_rest() && wanted.doubtful.is_empty());
}

#[test]
fn what_nobody_has_counts_as_here_after_two_rounds_until_somebody_comes() {
    let (mut wanted, lost) = (Wanted::default(), slots(&[7]));
    wanted.want_all(NOW, &slots(&[7, 8]));
    assert!(!ask(&mut wanted, NOW, [Some(&lost), Some(&lost)]));
    assert_eq!((wanted.missing(), wanted.rests(NOW)), (lost.clone(), true));
    assert_eq!(wanted.here_of(&slots(&[7, 8])), slots(&[8]));
    let later = NOW + FIRST_PAUSE;
    assert!(ask(&mut wanted, later, [Some(&lost), Some(&lost)]));
    assert_eq!((wanted.is_at_rest(), &wanted.doubtful), (true, &lost));
    wanted.ask_anew(later);
    assert_eq!(wanted.missing(), lost);
}

#[test]
fn who_does_not_answer_may_have_it_and_is_asked_so_many_times() {
    let (mut wanted, lost) = (Wanted::default(), slots(&[7]));
    wanted.want_all(NOW, &lost);
    let mut now = NOW;
    for _ in 0..=ROUNDS {
        assert!(!ask(&mut wanted, now, [Some(&lost), None]));
        now += LONGEST_PAUSE;
    }
    assert!(wanted.pending().is_empty() && wanted.missing() == lost, "asked no more");
    wanted.ask_anew(now);
    now += MOVE_AFTER;
    assert!(ask(&mut wanted, now, [Some(&lost), Some(&SlotSet::none())]));
}

#[test]
fn what_was_given_up_is_asked_for_again_when_the_members_change() {
    let (mut wanted, lost, kept) = (Wanted::default(), slots(&[7]), SlotSet::all());
    wanted.want_all(NOW, &lost);
    let mut now = NOW;
    for _ in 0..2 {
        for _ in 0..=ROUNDS {
            assert!(!ask(&mut wanted, now, [Some(&lost), None]));
            now += LONGEST_PAUSE;
        }
        assert!(wanted.pending().is_empty() && wanted.missing() == lost);
        wanted.divide(now, &SlotSet::none(), (&kept, &kept));
        assert_eq!(wanted.pending(), &lost);
        now += MOVE_AFTER;
    }
}

#[test]
fn what_was_given_up_is_not_answered_for_with_what_else_is_missed() {
    let (mut wanted, lost, other) = (Wanted::default(), slots(&[7]), slots(&[8]));
    wanted.want_all(NOW, &lost);
    let mut now = NOW;
    for _ in 0..=ROUNDS {
        assert!(!ask(&mut wanted, now, [Some(&lost), None]));
        now += LONGEST_PAUSE;
    }
    wanted.want(now, &other);
    now += MOVE_AFTER;
    assert!(!ask(&mut wanted, now, [Some(&other), Some(&other)]));
    assert_eq!(wanted.answered, other, "nobody was asked for what was given up");
}

#[test]
fn changes_without_end_put_nothing_off_without_end() {
    let mut wanted = Wanted::default();
    let mut now = NOW;
    let step = MOVE_AFTER / 2;
    while wanted.pending().is_empty() || wanted.rests(now) {
        assert!(now <= NOW + AT_THE_LATEST, "it is put off for too long");
        let kept = SlotSet::all();
        wanted.divide(now, &slots(&[1]), (&kept, &kept));
        now += step;
    }
}

#[test]
fn what_was_gained_and_lost_again_hurries_nothing() {
    let (mut wanted, kept, none) = (Wanted::default(), SlotSet::all(), SlotSet::none());
    wanted.divide(NOW, &slots(&[1]), (&kept, &kept));
    wanted.divide(NOW, &none, (&none, &none));
    assert!(wanted.is_at_rest());
    let later = NOW + AT_THE_LATEST;
    wanted.divide(later, &slots(&[2]), (&kept, &kept));
    assert!(wanted.rests(later), "others may not have seen the change");
    assert!(!wanted.rests(later + MOVE_AFTER));
}

#[test]
fn what_nobody_had_and_lingers_is_neither_given_nor_asked_for() {
    let (mut wanted, both, lost) = (Wanted::default(), slots(&[1, 2]), slots(&[2]));
    wanted.want_all(NOW, &both);
    assert!(!ask(&mut wanted, NOW, [Some(&lost), Some(&lost)]));
    assert!(ask(&mut wanted, NOW + FIRST_PAUSE, [Some(&lost), Some(&lost)]));
    assert_eq!(wanted.here_of(&both), both);
    wanted.divide(NOW, &SlotSet::none(), (&slots(&[1]), &both));
    wanted.ask_anew(NOW);
    assert_eq!((wanted.missing(), wanted.here_of(&both)), (SlotSet::none(), slots(&[1])));
    wanted.divide(NOW, &SlotSet::none(), (&both, &both));
    assert_eq!(wanted.missing(), lost, "it is to be fetched again");
}

#[test]
fn what_lingers_and_was_never_here_is_not_given() {
    let (mut wanted, both) = (Wanted::default(), slots(&[1, 2]));
    wanted.want_all(NOW, &both);
    wanted.divide(NOW, &SlotSet::none(), (&slots(&[1]), &both));
    assert_eq!((wanted.missing(), wanted.here_of(&both)), (slots(&[1]), SlotSet::none()));
    wanted.divide(NOW, &SlotSet::none(), (&both, &both));
    assert_eq!(wanted.missing(), both, "it is to be fetched again");
}

#[test]
fn who_comes_between_two_rounds_has_part_in_two() {
    let (mut wanted, lost) = (Wanted::default(), slots(&[7]));
    wanted.want_all(NOW, &lost);
    assert!(!ask(&mut wanted, NOW, [Some(&lost), Some(&lost)]));
    wanted.ask_anew(NOW);
    let mut now = NOW + MOVE_AFTER;
    assert!(!ask(&mut wanted, now, [Some(&lost), Some(&lost)]), "he was asked once");
    now += FIRST_PAUSE;
    assert!(ask(&mut wanted, now, [Some(&lost), Some(&lost)]));
}
