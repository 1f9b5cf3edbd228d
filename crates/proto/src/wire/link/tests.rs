use super::*;
use crate::record::{Body, Deadlines, Hlc, Version, Writer};

fn key(id: &[u8]) -> Key {
    Key::new(Kind::Tls, id).unwrap()
}

fn record(id: &[u8], body: Body<'static>) -> Record<'static> {
    Record {
        key: key(id),
        version: Version { time: Hlc(5 << 16), writer: Writer(9) },
        deadlines: Deadlines { idle: Wall::from_millis(7), absolute: Wall::from_millis(8) },
        body,
    }
}

fn items() -> [Item<'static>; 4] {
    let (value, dead) = (record(&[1; 64], Body::Value(b"secret")), record(&[2; 32], Body::Deleted));
    let touch = Item::Touch { key: key(&[3; 32]), time: Hlc(1 << 40), idle: Wall::from_millis(9) };
    [Item::Record(value), Item::Record(dead), Item::Rotate { old: dead, new: value }, touch]
}

#[test]
fn claims_and_introductions_are_read_as_they_were_written() {
    let claim = Claim { key_id: 7, proof: [9; PROOF_BYTES] };
    assert_eq!(Claim::decode(&claim.encode()), Ok(claim));
    let mut other = claim.encode();
    other[0] = LINK_FORMAT + 1;
    assert_eq!(Claim::decode(&other), Err(Malformed::Invalid("link format")));
    let check = |name: &str, expected: bool| {
        let mut head = [1; INTRODUCTION_BYTES];
        head[INTRODUCTION_BYTES - 1] = u8::try_from(name.len()).unwrap();
        let decoded = Introduction::decode(&head, name.as_bytes());
        assert_eq!(decoded.is_ok(), expected, "{name:?}: {decoded:?}");
        if let Ok(decoded) = decoded {
            let mut bytes = Vec::new();
            decoded.encode(&mut bytes);
            assert_eq!(bytes, [&head[..], name.as_bytes()].concat());
        }
    };
    check("a", true);
    check(&"a".repeat(MAX_NAME_BYTES), true);
    check(&"a".repeat(MAX_NAME_BYTES + 1), false);
    check("", false);
    check("a\nb", false);
}

#[test]
fn asks_and_answers_are_read_as_they_were_written() {
    for id in [&[][..], &[1; 32], &[1; MAX_ID_BYTES]] {
        let ask = Ask { hops: 3, patience_millis: 30, key: key(id) };
        let mut bytes = Vec::new();
        ask.encode(&mut bytes);
        assert!(bytes.len() <= MAX_ASK_BYTES);
        assert_eq!(Ask::decode(&bytes), Ok(ask));
        bytes.push(0);
        assert_eq!(Ask::decode(&bytes), Err(Malformed::Trailing("an ask")));
    }
    let held = record(&[1; 32], Body::Value(b"secret"));
    for answer in
        [Answer::Absent, Answer::Held(held), Answer::Held(record(&[1; 32], Body::Deleted))]
    {
        let mut bytes = Vec::new();
        answer.encode(&mut bytes);
        assert_eq!(Answer::decode(&bytes, &held.key), Ok(answer));
        bytes.push(0);
        assert!(Answer::decode(&bytes, &held.key).is_err(), "trailing: {answer:?}");
    }
    let mut bytes = Vec::new();
    Answer::Held(held).encode(&mut bytes);
    let another = Answer::decode(&bytes, &key(&[2; 32]));
    assert_eq!(another, Err(Malformed::Invalid("answer")), "a record that was not asked for");
}

#[test]
fn a_batch_gives_its_items_and_no_more_than_fit() {
    let mut batch = Batch::default();
    items().iter().for_each(|item| batch.push(item));
    let mut read = Items::of(batch.bytes());
    for item in items() {
        assert_eq!(read.next_item(), Ok(Some(item)));
    }
    assert_eq!(read.next_item(), Ok(None));
    let [.., touch] = items();
    let mut batch = Batch::default();
    while batch.has_room() {
        batch.push(&touch);
    }
    assert_eq!(batch.items(), BATCH_ITEMS, "touches fill a batch by their number");
    let mut bytes = batch.bytes().to_vec();
    bytes.extend_from_within(..batch.bytes().len() / BATCH_ITEMS);
    let mut read = Items::of(&bytes);
    for _ in 0..BATCH_ITEMS {
        assert_eq!(read.next_item(), Ok(Some(touch)));
    }
    assert_eq!(read.next_item(), Err(Malformed::Invalid("count of items")));
}

#[test]
fn the_longest_records_fit_in_a_batch_that_has_room() {
    let longest = Record { key: key(&[1; MAX_ID_BYTES]), ..record(&[], Body::Deleted) };
    let payload: &'static [u8] = vec![0; MAX_PAYLOAD_BYTES].leak();
    let (old, new) = (longest, Record { body: Body::Value(payload), ..longest });
    let mut batch = Batch::default();
    batch.push(&Item::Rotate { old, new });
    assert_eq!(batch.bytes().len(), MAX_RECORD_BYTES);
    assert!(!batch.has_room());
}

#[test]
fn what_became_of_a_batch_names_items_of_that_batch() {
    let check = |bytes: &[u8], expected: Result<Taken, Malformed>| {
        assert_eq!(Taken::decode(bytes, 3), expected);
        if let Ok(taken) = expected {
            let mut written = Vec::new();
            taken.encode(&mut written);
            assert_eq!(written, bytes);
        }
    };
    check(&[0], Ok(Taken::default()));
    let exceptions = vec![(0, Fate::Missing), (1, Fate::Unconfirmed), (2, Fate::Deleted)];
    check(&[1, 0, 0, 0, 0, 1, 3, 0, 2, 1], Ok(Taken { exceptions }));
    check(&[1, 0, 0, 2], Ok(Taken { exceptions: vec![(0, Fate::Refused)] }));
    check(&[1, 0, 3, 0], Err(Malformed::Invalid("place")));
    check(&[1, 0, 1, 0, 0, 1, 0], Err(Malformed::Invalid("place")));
    check(&[1, 0, 1, 0, 0, 0, 0], Err(Malformed::Invalid("place")));
    check(&[1, 0, 0, 4], Err(Malformed::Invalid("fate")));
    check(&[1, 0, 0], Err(Malformed::Truncated("fate")));
    check(&[1, 0], Err(Malformed::Truncated("place")));
    check(&[1], Err(Malformed::Invalid("outcome")));
    check(&[0, 0, 0, 0], Err(Malformed::Invalid("outcome")));
    check(&[2], Err(Malformed::Invalid("outcome")));
    check(&[], Err(Malformed::Truncated("outcome")));
}
