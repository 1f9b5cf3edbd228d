use proptest::prelude::*;

use super::*;
use crate::record::{Kind, merge};

fn keyring(bytes: &[u8]) -> Keyring {
    Keyring::new(bytes.iter().map(|&byte| FarmKey::new([byte; 32])).collect()).unwrap()
}

fn seals() -> Seals {
    Seals::new(&keyring(&[1]))
}

fn record<'a>(kind: Kind, id: &[u8], body: Body<'a>) -> Record<'a> {
    Record {
        key: Key::new(kind, id).unwrap(),
        version: Version { time: Hlc(5 << 16), writer: Writer(9) },
        deadlines: Deadlines { idle: Wall::from_millis(7), absolute: Wall::from_millis(70) },
        body,
    }
}

/// Whether `value` opens as `record`.
fn opened(seals: &Seals, record: &Record<'_>, value: &[u8]) -> Result<bool, Rejected> {
    let mut value = value.to_vec();
    seals.open(&record.key, &mut value).map(|opened| opened == *record)
}

fn records() -> impl Strategy<Value = (Kind, Vec<u8>, Version, Deadlines, Option<Vec<u8>>)> {
    let wall = (0..1_u64 << 48).prop_map(Wall::from_millis);
    (
        prop::sample::select(Kind::ALL.to_vec()),
        prop::collection::vec(any::<u8>(), 0..=64),
        (any::<u64>(), any::<u32>())
            .prop_map(|(time, writer)| Version { time: Hlc(time), writer: Writer(writer) }),
        (wall.clone(), wall).prop_map(|(idle, absolute)| Deadlines { idle, absolute }),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
    )
}

proptest! {
    #[test]
    fn what_is_sealed_opens_for_its_key_only(
        (kind, id, version, deadlines, payload) in records(),
        nonce in any::<[u8; NONCE_BYTES]>(),
        (at, bit) in (any::<prop::sample::Index>(), 0..8_u8),
        cut in any::<prop::sample::Index>(),
    ) {
        let body = payload.as_deref().map_or(Body::Deleted, Body::Value);
        let record = Record { key: Key::new(kind, &id).unwrap(), version, deadlines, body };
        let value = seals().seal(&record, &nonce);
        prop_assert_eq!(value.len(), OVERHEAD_BYTES + payload.as_ref().map_or(0, Vec::len));
        prop_assert_eq!(opened(&seals(), &record, &value), Ok(true));

        let other = Key::new(kind, b"another id, as no other has it").unwrap();
        prop_assert_eq!(opened(&seals(), &Record { key: other, ..record }, &value), Err(Rejected::Forged));
        let of_other_kind = Kind::ALL[(kind as usize) % Kind::ALL.len()];
        let other = Key::new(of_other_kind, &id).unwrap();
        prop_assert_eq!(opened(&seals(), &Record { key: other, ..record }, &value), Err(Rejected::Forged));
        let mut damaged = value.clone();
        damaged[at.index(value.len())] ^= 1 << bit;
        prop_assert!(seals().open(&record.key, &mut damaged).is_err());
        let mut short = value[..cut.index(value.len())].to_vec();
        prop_assert!(seals().open(&record.key, &mut short).is_err());
    }

    #[test]
    fn any_bytes_are_rejected(mut value in prop::collection::vec(any::<u8>(), 0..200), ours: bool) {
        let key = Key::new(Kind::Web, b"id").unwrap();
        if ours && value.len() > MARK.len() {
            value[..MARK.len()].copy_from_slice(&MARK);
            value[MARK.len()] = FarmKey::new([1; 32]).id();
        }
        prop_assert!(seals().open(&key, &mut value).is_err());
    }

    #[test]
    fn ranks_are_in_the_order_of_merging(
        (kind, id, version, deadlines, payload) in records(),
        (other_version, other_deadlines, other_payload) in
            records().prop_map(|(_, _, version, deadlines, payload)| (version, deadlines, payload)),
        same_version: bool,
    ) {
        let key = Key::new(kind, &id).unwrap();
        let body = |payload: &'_ Option<Vec<u8>>| payload.is_some();
        let make = |version, deadlines, lives| Record {
            key, version, deadlines, body: if lives { Body::Value(b"value") } else { Body::Deleted },
        };
        let one = make(version, deadlines, body(&payload));
        let other_version = if same_version { version } else { other_version };
        // One version is one write, and has one absolute deadline.
        let other_deadlines = Deadlines { absolute: deadlines.absolute, ..other_deadlines };
        let other = make(other_version, other_deadlines, body(&other_payload));
        let rank = |record: &Record<'_>| {
            let mut rank = Vec::new();
            put_rank(record, &mut rank);
            rank
        };
        match merge::merge(&one, &other) {
            merge::Merge::Replace(_) => prop_assert!(rank(&one) < rank(&other)),
            merge::Merge::Touch(_) if one.version == other.version && one.body == other.body => {
                prop_assert!(rank(&one) < rank(&other));
            }
            merge::Merge::Join(_) => unreachable!("these values do not join"),
            merge::Merge::Touch(_) | merge::Merge::Keep => {}
        }
    }
}

#[test]
fn a_value_tells_nothing_of_id_and_payload() {
    let (id, payload) = (b"an id that nobody can guess", b"a payload that nobody may see");
    let record = record(Kind::Tls, id, Body::Value(payload));
    let value = seals().seal(&record, &[7; NONCE_BYTES]);
    let name = seals().name(&record.key);
    for secret in [&id[..], payload] {
        for bytes in [&value, name.as_ref()] {
            assert!(!secret.windows(6).any(|part| bytes.windows(6).any(|found| found == part)));
        }
    }
    let again = seals().seal(&record, &[8; NONCE_BYTES]);
    assert_ne!(value[HEAD_BYTES..], again[HEAD_BYTES..], "each nonce has a key of its own");
}

#[test]
fn names_are_stable_over_rotations_and_differ_by_kind_id_and_farm() {
    let key = |kind, id: &[u8]| Key::new(kind, id).unwrap();
    let name = |seals: &Seals| seals.name(&key(Kind::Web, b"id"));
    let first = keyring(&[1]);
    let placement = Zeroizing::new(first.placement_secret());
    let rotated = keyring(&[3]).placed_by(placement);
    let seals = Seals::new(&first);
    assert_eq!(name(&seals), name(&Seals::new(&rotated)));
    assert_ne!(name(&seals), name(&Seals::new(&keyring(&[2]))));
    assert_ne!(name(&seals), seals.name(&key(Kind::Auth, b"id")));
    assert_ne!(name(&seals), seals.name(&key(Kind::Web, b"ie")));
    let text = format!("{:?}", name(&seals));
    assert!(text.starts_with("segue:") && text.len() == 38, "{text}");
}

#[test]
fn every_key_of_the_ring_opens_and_others_are_told_apart() {
    let record = record(Kind::Auth, b"id", Body::Value(b"rights"));
    let value = Seals::new(&keyring(&[1])).seal(&record, &[7; NONCE_BYTES]);
    let check = |keys: &[u8], expected| {
        let opened = opened(&Seals::new(&keyring(keys)), &record, &value);
        assert_eq!(opened, expected, "{keys:?}");
    };
    check(&[2, 1], Ok(true));
    check(&[1, 2], Ok(true));
    check(&[2, 3], Err(Rejected::UnknownKey));
}

#[test]
fn other_forms_are_foreign() {
    let record = record(Kind::Web, b"id", Body::Deleted);
    let value = seals().seal(&record, &[7; NONCE_BYTES]);
    let check = |mut value: Vec<u8>| {
        assert_eq!(seals().open(&record.key, &mut value), Err(Rejected::Foreign));
    };
    check(Vec::new());
    check(value[..value.len() - 1].to_vec());
    check(vec![b'S'; MAX_VALUE_BYTES + 1]);
    let mut of_later_format = value;
    of_later_format[1] = 2;
    check(of_later_format);
}

#[test]
fn a_tombstone_stays_until_the_absolute_deadline() {
    let value = record(Kind::Web, b"id", Body::Value(b"cart"));
    let dead = record(Kind::Web, b"id", Body::Deleted);
    assert_eq!(expires(&value), Wall::from_millis(7));
    assert_eq!(expires(&dead), Wall::from_millis(70));
}
