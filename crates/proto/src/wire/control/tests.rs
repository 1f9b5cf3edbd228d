use super::*;
use crate::claims;
use crate::cluster::portion::{Keep, MAX_OF, MAX_REPLICAS};
use crate::cluster::slots::Slot;
use crate::keyring::PlacementCheck;
use crate::table::KeyRange;
use crate::wire::header::{Incarnation, MAX_SEQUENCE};

fn check(message: Message) {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    let mut reader = Reader::new(&bytes);
    assert_eq!(Item::decode(&mut reader), Ok(Some(Item::Message(message))));
    assert_eq!(Item::decode(&mut reader), Ok(None));
    for cut in 1..bytes.len() {
        assert!(Item::decode(&mut Reader::new(&bytes[..cut])).is_err(), "cut at {cut}");
    }
}

fn hello() -> Hello {
    let address = "10.0.0.1:7700".parse().unwrap();
    Hello {
        name: "köln-1".into(),
        address,
        ready: true,
        placement: PlacementCheck([7; 8]),
        portion: Portion::default(),
    }
}

fn run(first: u16, last: u16) -> SlotRun {
    SlotRun { first: Slot(first), last: Slot(last) }
}

#[test]
fn what_is_encoded_is_decoded() {
    let stream = Incarnation(77);
    let range = Range { first: 1, last: 9 };
    let next = Range { first: 11, last: 11 };
    check(Message::Challenge { nonce: 1, hello: hello() });
    check(Message::Answer {
        nonce: 1,
        hello: Hello { address: "[ff15::1]:9".parse().unwrap(), ready: false, ..hello() },
        high: 3,
        holds: true,
        members: vec!["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()],
    });
    let keeps = [Keep::Share, Keep::Of(vec![]), Keep::Of(vec!["a".into(), "köln".into()])];
    for keep in keeps {
        let portion = Portion { keep, replicas: 3, weight: 512, tier: "edge".into() };
        check(Message::Challenge { nonce: 1, hello: Hello { portion, ..hello() } });
    }
    check(Message::Heartbeat { high: 4, time: Hlc(5), ready: true, sent_micros: 6 });
    check(Message::Status {
        stream,
        after: 6,
        watermark: 1,
        reached: 7,
        credit: 2,
        overflowed: 3,
        echo_micros: 4,
        held_micros: 5,
    });
    check(Message::Nak { stream, ranges: vec![range, next] });
    check(Message::Gone { range, logged: false });
    check(Message::Orphan { stream, watermark: 1, beyond: vec![next] });
    check(Message::Orphan { stream, watermark: 1, beyond: vec![] });
    let sources = [
        Source::Table,
        Source::Log(range),
        Source::Since(Hlc(2)),
        Source::Keys(vec![KeyHash(1), KeyHash(2)]),
        Source::Ranges([0, 7, 8, 255].map(KeyRange).into_iter().collect()),
        Source::Slots { runs: vec![], positions: true },
        Source::Slots { runs: vec![run(0, 0), run(2, u16::MAX)], positions: false },
    ];
    for source in sources {
        check(Message::Pull { page: 1, source, cursor: 2, missing: vec![next] });
    }
    check(Message::Digests { first: KeyRange(128), digests: vec![1] });
    check(Message::Common { slots: 7, first: KeyRange(128), digests: vec![1] });
    check(Message::Kept { view: 9 });
    check(Message::Hearing { group: true, high: 1 });
    check(Message::Gossip(vec![1, 2, 3]));
    check(Message::Gossip(Vec::new()));
    check(Message::Ask { number: 1, key: KeyHash(2), missing: vec![] });
    check(Message::Ask { number: u64::MAX, key: KeyHash(u64::MAX), missing: vec![range, next] });
    check(Message::Absent { number: 3, certain: true });
    check(Message::Claim { number: 1, issuer: stream, ticket: KeyHash(2) });
    for answer in [claims::Answer::Granted, claims::Answer::Taken, claims::Answer::Unable] {
        check(Message::Claimed { number: 1, answer });
    }
    check(Message::Leave);
}

#[test]
fn a_part_is_decoded_and_an_unknown_message_passed_over() {
    let part = Part { page: 1, edition: 3, next: None, index: 0, count: 1, bytes: b"frames" };
    let mut bytes = vec![200, 0, 2, 1, 1];
    part.encode(&mut bytes);
    assert_eq!(bytes.len(), 5 + PART_OVERHEAD_BYTES + part.bytes.len());
    assert_eq!(Item::decode(&mut Reader::new(&bytes)), Ok(Some(Item::Part(part))));
    bytes.clear();
    part.encode_found(&mut bytes);
    assert_eq!(Item::decode(&mut Reader::new(&bytes)), Ok(Some(Item::Found(part))));
}

#[test]
fn a_range_that_runs_backwards_or_past_the_end_is_refused() {
    let check = |message: Message, field: &'static str| {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        assert_eq!(Item::decode(&mut Reader::new(&bytes)), Err(Malformed::Invalid(field)));
    };
    let gone = |first, last| Message::Gone { range: Range { first, last }, logged: true };
    check(gone(2, 1), "range");
    check(gone(1, MAX_SEQUENCE + 1), "last");
    let ranges = vec![Range { first: MAX_SEQUENCE, last: MAX_SEQUENCE + 1 }];
    check(Message::Nak { stream: Incarnation(1), ranges }, "range");
    for runs in [vec![run(2, 1)], vec![run(2, 3), run(0, 1)], vec![run(0, 2), run(2, 3)]] {
        let source = Source::Slots { runs, positions: false };
        check(Message::Pull { page: 1, source, cursor: 0, missing: vec![] }, "run of slots");
    }
}

#[test]
fn a_portion_that_cannot_be_is_refused() {
    let check = |portion: Portion| {
        let mut bytes = Vec::new();
        let hello = Hello { portion, ..hello() };
        Message::Challenge { nonce: 1, hello }.encode(&mut bytes);
        assert_eq!(Item::decode(&mut Reader::new(&bytes)), Err(Malformed::Invalid("portion")));
    };
    let share = Portion { keep: Keep::Share, ..Portion::default() };
    check(Portion { replicas: 0, ..share.clone() });
    check(Portion { replicas: MAX_REPLICAS + 1, ..share.clone() });
    check(Portion { weight: 0, ..share });
}

#[test]
fn the_longest_answer_and_the_longest_pull_fit_a_packet() {
    let check = |message: &Message| {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        assert!(bytes.len() <= MAX_BODY_BYTES, "{} bytes", bytes.len());
    };
    let name = "n".repeat(MAX_NAME_BYTES);
    let keep = Keep::Of(vec![name.clone(); MAX_OF]);
    let portion = Portion { keep, tier: name.clone(), ..Portion::default() };
    let address = "[fd77::1]:7700".parse().unwrap();
    let hello = Hello { name, address, portion, ..hello() };
    check(&Message::Answer {
        nonce: 1,
        hello,
        high: 1,
        holds: true,
        members: vec![address; MAX_LISTED],
    });
    let source = Source::Slots { runs: vec![run(0, 0); MAX_RUNS], positions: true };
    let missing = (0..100).map(|at| Range { first: 2 * at, last: 2 * at }).collect();
    check(&Message::Pull { page: 1, source, cursor: 1, missing });
}

#[test]
fn an_answer_that_is_none_is_refused() {
    let mut bytes = Vec::new();
    Message::Claimed { number: 1, answer: claims::Answer::Unable }.encode(&mut bytes);
    *bytes.last_mut().unwrap() += 1;
    assert_eq!(Item::decode(&mut Reader::new(&bytes)), Err(Malformed::Invalid("answer")));
}

#[test]
fn a_number_that_no_stream_reaches_is_refused() {
    let check = |high: u64, valid: bool| {
        let mut bytes = Vec::new();
        let heartbeat = Message::Heartbeat { high, time: Hlc(5), ready: true, sent_micros: 6 };
        heartbeat.encode(&mut bytes);
        assert_eq!(Item::decode(&mut Reader::new(&bytes)).is_ok(), valid);
    };
    check(MAX_SEQUENCE, true);
    check(MAX_SEQUENCE + 1, false);
    check(u64::MAX, false);
}

#[test]
fn a_long_name_is_cut_between_characters() {
    let mut bytes = Vec::new();
    let hello = Hello { name: "a".to_owned() + &"ö".repeat(40), ..hello() };
    Message::Challenge { nonce: 1, hello }.encode(&mut bytes);
    let decoded = Item::decode(&mut Reader::new(&bytes));
    let Ok(Some(Item::Message(Message::Challenge { hello, .. }))) = decoded else {
        panic!("{decoded:?}")
    };
    assert_eq!(hello.name, "a".to_owned() + &"ö".repeat(31));
}

#[test]
fn a_hundred_ranges_fit_a_packet() {
    let ranges: Vec<Range> =
        (0..200).map(|at| Range { first: 10 * at, last: 10 * at + 3 }).collect();
    let mut bytes = Vec::new();
    Message::Nak { stream: Incarnation(1), ranges: ranges.clone() }.encode(&mut bytes);
    assert!(bytes.len() <= MAX_BODY_BYTES, "{} bytes", bytes.len());
    let ranges = ranges[..MAX_NAK_RANGES].to_vec();
    let nak = Item::Message(Message::Nak { stream: Incarnation(1), ranges });
    assert_eq!(Item::decode(&mut Reader::new(&bytes)), Ok(Some(nak)));
}

#[test]
fn the_longest_gossip_fits_a_packet() {
    let mut bytes = Vec::new();
    Message::Gossip(vec![0; MAX_GOSSIP_BYTES]).encode(&mut bytes);
    assert_eq!(bytes.len(), MAX_BODY_BYTES);
}

#[test]
fn a_name_cannot_smuggle_control_characters() {
    let mut bytes = Vec::new();
    let hello = Hello { name: "a\nb".into(), ..hello() };
    Message::Challenge { nonce: 1, hello }.encode(&mut bytes);
    assert_eq!(Item::decode(&mut Reader::new(&bytes)), Err(Malformed::Invalid("name")));
}
