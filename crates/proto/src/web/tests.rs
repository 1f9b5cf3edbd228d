use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::record::{Body, Deadlines, Hlc, Key, Kind, Record, Version, Writer};
use crate::time::Wall;

fn rank() -> impl Strategy<Value = Rank> {
    // So few that ties are common; what has one rank is one write, see `value`.
    (1..7_u64, 0..3_u32).prop_map(|(time, agreed)| {
        let written = Version { time: Hlc(time), writer: Writer(1) };
        Rank { written, agreed }
    })
}

/// What the write of this rank wrote: one write has one value.
fn value(rank: Rank, field: u8) -> Option<Cow<'static, [u8]>> {
    let code = rank.written.time.0 * 3 + u64::from(rank.agreed) + u64::from(field);
    (!code.is_multiple_of(4)).then(|| Cow::Owned(code.to_be_bytes().to_vec()))
}

fn members() -> impl Strategy<Value = Members<'static>> {
    let shape = prop::sample::select(vec![Shape::Hash, Shape::SortedSet]);
    let known = prop_oneof![2 => Just(Rank::default()), 1 => rank()];
    let entries = prop::collection::btree_map(0..3_u8, rank(), 1..4);
    (shape, known, entries).prop_map(|(shape, known, ranks)| {
        let entry =
            |(field, rank)| (Cow::Owned(vec![field]), Entry { rank, value: value(rank, field) });
        let entries: BTreeMap<_, _> = ranks.into_iter().map(entry).collect();
        Members { shape, known, entries }
    })
}

fn beside() -> impl Strategy<Value = Beside> {
    let number = prop::option::of(any::<u64>());
    let flags = prop_oneof![Just(0), any::<u32>()];
    (flags, number, any::<bool>(), any::<bool>()).prop_map(|(flags, number, stale, sent)| Beside {
        flags,
        number,
        stale,
        sent,
        claim: None,
    })
}

fn claimed() -> impl Strategy<Value = Beside> {
    (1..7_u64).prop_map(|time| {
        let claim = Version { time: Hlc(time), writer: Writer(3) };
        Beside { claim: Some(claim), ..Beside::default() }
    })
}

fn state() -> impl Strategy<Value = State<'static>> {
    let content = prop_oneof![
        Just(Content::Ended),
        Just(Content::Gone),
        Just(Content::Text(Cow::Borrowed(b"t"), Beside::default())),
        beside().prop_map(|beside| Content::Text(Cow::Borrowed(b"t"), beside)),
        claimed().prop_map(|beside| Content::Text(Cow::Borrowed(b"t"), beside)),
        members().prop_map(Content::Members),
    ];
    let ends = (rank(), 5..8_u64, 5..8_u64).prop_map(|(rank, idle, absolute)| {
        let deadlines =
            Deadlines { idle: Wall::from_millis(idle), absolute: Wall::from_millis(absolute) };
        Ends { rank, deadlines }
    });
    (rank(), content, ends, 1..9_u64).prop_filter_map("empty", |(floor, content, ends, time)| {
        let version = Version { time: Hlc(time), writer: Writer(9) };
        let content = match content {
            Content::Members(members) => Content::Members(members.above(floor)?),
            whole @ (Content::Ended | Content::Gone | Content::Text(..)) => whole,
        };
        Some(State { version, name: Cow::Borrowed(b""), floor, content, ends })
    })
}

fn in_record(state: &State<'_>) -> State<'static> {
    let mut payload = Vec::new();
    payload::encode(state, &mut payload);
    let record = Record {
        key: Key::new(Kind::Web, b"k").expect("short"),
        version: state.version,
        deadlines: state.ends.deadlines,
        body: Body::Value(&payload),
    };
    State::of(&record).into_owned()
}

proptest! {
    #[test]
    fn joining_is_commutative(a in state(), b in state()) {
        prop_assert_eq!(a.clone().join(b.clone()), b.join(a));
    }

    #[test]
    fn joining_is_associative(a in state(), b in state(), c in state()) {
        let left = a.clone().join(b.clone()).join(c.clone());
        prop_assert_eq!(left, a.join(b.join(c)));
    }

    #[test]
    fn joining_is_idempotent(a in state(), b in state()) {
        prop_assert_eq!(a.clone().join(a.clone()), a.clone());
        let joined = a.clone().join(b.clone());
        prop_assert_eq!(joined.clone().join(a), joined.clone());
        prop_assert_eq!(joined.clone().join(b), joined);
    }

    #[test]
    fn numbers_of_one_node_differ(times in prop::collection::btree_set(0..1_u64 << 63, 2..100)) {
        let number = |&time: &u64| {
            Rank::plain(Version { time: Hlc(time), writer: Writer(7) }).number()
        };
        let numbers: std::collections::BTreeSet<u64> = times.iter().map(number).collect();
        prop_assert_eq!(numbers.len(), times.len());
        prop_assert!(numbers.iter().all(|number| (1..1 << 63).contains(number)));
    }

    #[test]
    fn an_item_is_read_as_it_is_merged(beside in beside(), floor in rank()) {
        let version = Version { time: Hlc(9), writer: Writer(9) };
        let deadlines = Deadlines::at(Wall::from_millis(9));
        let content = Content::Text(Cow::Borrowed(b"t"), beside);
        let ends = Ends { rank: floor, deadlines };
        let state = State { version, name: Cow::Borrowed(b"name"), floor, content, ends };
        let mut payload = Vec::new();
        payload::encode(&state, &mut payload);
        let key = Key::new(Kind::Web, b"k").expect("short");
        let record = Record { key, version, deadlines, body: Body::Value(&payload) };
        prop_assert_eq!(item(&record), Some(Item { text: b"t", beside, rank: floor }));
        prop_assert!(payload.len() <= payload::overhead_bytes(4) + 1);
        prop_assert_eq!(plain(&payload), Plain::Text(b"t"));
    }

    #[test]
    fn bytes_say_the_same(a in state()) {
        prop_assert_eq!(in_record(&a), a);
    }

    #[test]
    fn junk_is_a_text(mut junk in prop::collection::vec(any::<u8>(), 0..200), form in any::<u8>()) {
        if junk.len() > 2 {
            junk[0] = 0xF1;
            junk[1] = form & 0b11_1111;
        }
        let record = Record {
            key: Key::new(Kind::Web, b"k").expect("short"),
            version: Version { time: Hlc(5), writer: Writer(1) },
            deadlines: Deadlines::at(Wall::from_millis(9)),
            body: Body::Value(&junk),
        };
        let state = State::of(&record);
        prop_assert_eq!(in_record(&state), state);
    }
}

fn version(time: u64) -> Version {
    Version { time: Hlc(time << 16), writer: Writer(1) }
}

/// A value that is changed at a time by a plain write of that time.
fn plainly(state: &State<'static>, at: u64, change: impl FnOnce(&mut Draft)) -> State<'static> {
    changed(state, Stamp::Plain(version(at)), at, change)
}

/// The same by a change that is agreed on, and published at that time.
fn agreed(state: &State<'static>, at: u64, change: impl FnOnce(&mut Draft)) -> State<'static> {
    changed(state, Stamp::Agreed, at, change)
}

fn changed(
    state: &State<'static>,
    stamp: Stamp,
    at: u64,
    change: impl FnOnce(&mut Draft),
) -> State<'static> {
    let mut draft = Draft::new(state.clone(), stamp, Wall::from_millis(at));
    change(&mut draft);
    assert_eq!(draft.change(), Change::Written);
    let (payload, deadlines) = draft.finish();
    let body = payload.as_deref().map_or(Body::Deleted, Body::Value);
    let key = Key::new(Kind::Web, b"k").expect("short");
    State::of(&Record { key, version: version(at), deadlines, body }).into_owned()
}

fn set(text: &str, end: u64) -> impl FnOnce(&mut Draft) {
    let until = draft::Until::At(Wall::from_millis(end));
    move |draft| draft.set_text(text.as_bytes().to_vec(), until)
}

/// The text that is there, and when it ends.
fn seen(state: &State<'static>, at: u64) -> Option<(String, u64)> {
    let draft = Draft::new(state.clone(), Stamp::Agreed, Wall::from_millis(at));
    let text = String::from_utf8(draft.text()?.to_vec()).expect("a text");
    Some((text, draft.end()?.as_millis()))
}

#[test]
fn a_texts_end_moves_by_itself() {
    let ends = |end| move |draft: &mut Draft| draft.set_end(Some(Wall::from_millis(end)));
    let first = plainly(&State::nothing(), 10_000, set("a", 11_000));
    // Beyond what a touch can say, and before: by a write that merges, as the same
    // write of the text.
    let later = plainly(&first, 10_100, ends(20_000));
    let sooner = plainly(&later, 10_200, ends(15_000));
    assert_eq!((later.floor, sooner.floor), (first.floor, first.floor));
    assert_eq!(seen(&sooner, 10_300), Some(("a".to_owned(), 15_000)));
    assert_eq!(later.clone().join(sooner.clone()), sooner);
    assert_eq!(first.clone().join(sooner.clone()), sooner);
    // A text that was written in between, and not seen, is there, and ends so.
    let between = plainly(&first, 10_150, set("b", 12_000));
    let joined = sooner.clone().join(between.clone());
    assert_eq!(seen(&joined, 10_300), Some(("b".to_owned(), 15_000)));
    // So it is where a change was agreed on that did not see it either.
    let counted = agreed(&sooner, 10_300, |draft| {
        draft.set_text(b"c".to_vec(), draft::Until::Kept);
    });
    assert_eq!(seen(&counted, 10_400), Some(("c".to_owned(), 15_000)));
    assert_eq!(seen(&counted.clone().join(sooner), 10_400), Some(("c".to_owned(), 15_000)));
    assert_eq!(seen(&counted.clone().join(between), 10_400), Some(("b".to_owned(), 15_000)));
    // What was agreed on ends where the voters say.
    let mut draft = Draft::new(counted, Stamp::Plain(version(10_500)), Wall::from_millis(10_500));
    draft.set_end(Some(Wall::from_millis(30_000)));
    assert!(draft.needs_one_answer());
}

#[test]
fn a_delete_wins_over_an_end_that_was_moved_before() {
    let first = plainly(&State::nothing(), 10_000, set("a", 11_000));
    let later = plainly(&first, 10_100, |draft| draft.set_end(Some(Wall::from_millis(20_000))));
    let gone = plainly(&first, 10_200, |draft| assert!(draft.delete()));
    let taken = agreed(&first, 10_300, |draft| assert!(draft.delete()));
    for deleted in [gone, taken] {
        assert_eq!(seen(&deleted.clone().join(later.clone()), 10_400), None);
        assert_eq!(seen(&later.clone().join(deleted), 10_400), None);
    }
    // A lock that is taken anew lasts as long as was asked for, though what was
    // there before was to last longer.
    let anew = agreed(&later, 20_001, set("b", 20_500));
    assert_eq!(seen(&later.join(anew), 20_100), Some(("b".to_owned(), 20_500)));
}

#[test]
fn what_is_older_is_known_by_its_record() {
    let is_older = |state: &State<'static>, than: u64| {
        Draft::new(state.clone(), Stamp::Agreed, Wall::from_millis(10_500))
            .is_older_than(version(than))
    };
    let plain = plainly(&State::nothing(), 10_000, set("a", 20_000));
    assert!(is_older(&plain, 10_001) && !is_older(&plain, 10_000));
    // It is ranked behind what was there two seconds before.
    let added = agreed(&State::nothing(), 10_100, set("a", 20_000));
    assert!(added.floor.written < version(9_000));
    assert!(is_older(&added, 10_101) && !is_older(&added, 10_100));
}

#[test]
fn what_hangs_on_a_decision_is_there_once_it_holds() {
    let claim = version(9_000);
    let beside = Beside { claim: Some(claim), ..Beside::default() };
    let write = |draft: &mut Draft| draft.write_item(b"a".to_vec(), beside, draft::Until::Never);
    let written = agreed(&State::nothing(), 10_000, write);
    assert_eq!(written.claim(), Some(claim));
    let now = Wall::from_millis(10_100);
    let draft = |state: &State<'static>| Draft::new(state.clone(), Stamp::Agreed, now);
    assert!(!draft(&written).is_there());
    let mut payload = Vec::new();
    payload::encode(&written, &mut payload);
    assert_eq!(plain(&payload), Plain::Other);
    let decided = |holds| {
        let draft = Draft::decided(written.clone(), holds, now);
        assert_eq!((draft.change(), draft.is_there()), (Change::Written, holds));
        draft.into_state()
    };
    let (held, dropped) = (decided(true), decided(false));
    assert_eq!(draft(&held).text(), Some(&b"a"[..]));
    assert!(held.claim().is_none() && draft(&held).end().is_none());
    for state in [held, dropped] {
        assert_eq!(written.clone().join(state.clone()).content, state.content);
    }
    // A plain write that knew nothing of it is later.
    let other = plainly(&State::nothing(), 10_050, set("b", 20_000));
    assert_eq!(seen(&decided(true).join(other), 10_200), Some(("b".to_owned(), 20_000)));
}
