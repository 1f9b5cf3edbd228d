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
    })
}

fn state() -> impl Strategy<Value = State<'static>> {
    let content = prop_oneof![
        Just(Content::Ended),
        Just(Content::Gone),
        Just(Content::Text(Cow::Borrowed(b"t"), Beside::default())),
        beside().prop_map(|beside| Content::Text(Cow::Borrowed(b"t"), beside)),
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
