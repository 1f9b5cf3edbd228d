use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::connection::sequence::Initial;
use crate::connection::{ConnectionId, GroupId};

fn header() -> Header {
    let address = SocketAddr::from(([10, 0, 0, 1], 443));
    let end = EndHeader {
        local: address,
        peer: address,
        sent: Initial(1),
        received: Initial(2),
        mss: 1_460,
        scales: None,
        sack: true,
        timestamps: None,
    };
    let (id, group) = (ConnectionId(1), GroupId(1));
    Header { id, group, term: None, client: end, backend: Some(end), relayed: true, tls: None }
}

fn content(from: usize, len: usize) -> Bytes {
    (from..from + len).map(|at| u8::try_from(at % 251).expect("below 251")).collect()
}

fn received(from: usize, len: usize, fin: bool) -> Received {
    Received { position: Position(from as u64), bytes: content(from, len), fin }
}

fn whole(parts: impl IntoIterator<Item = Bytes>) -> Vec<u8> {
    parts.into_iter().flatten().collect()
}

proptest! {
    /// Segments in any order, overlapping as they like, against a plain bitmap.
    #[test]
    fn what_is_missing_is_told_once(
        segments in prop::collection::vec((0..200_usize, 0..60_usize), 1..40),
        consumed in 0..260_usize,
    ) {
        let mut input = Input::default();
        let mut here = [false; 300];
        for (from, len) in segments {
            let segment = received(from, len, false);
            let mut told = [false; 300];
            for part in input.missing(&segment) {
                let start = usize::try_from(part.position.0).unwrap();
                prop_assert!(!part.bytes.is_empty());
                prop_assert_eq!(&part.bytes, &content(start, part.bytes.len()));
                for at in start..start + part.bytes.len() {
                    prop_assert!(!here[at] && !told[at]);
                    told[at] = true;
                }
            }
            for at in from..from + len {
                prop_assert!(here[at] || told[at]);
                here[at] = true;
            }
            input.insert(&segment).unwrap();
            let end = here.iter().position(|here| !here).unwrap();
            prop_assert_eq!(input.end(), Position(end as u64));
        }
        let end = usize::try_from(input.end().0).unwrap();
        let consumed = consumed.min(end);
        input.consume(Position(consumed as u64));
        let rest = input.slice(input.consumed(), input.end());
        prop_assert_eq!(whole(rest), content(consumed, end - consumed));
        prop_assert!(input.matches(Position(consumed as u64), &content(consumed, end - consumed)));
        prop_assert!(end == consumed || !input.matches(Position(consumed as u64), &[255]));
    }

    /// What was appended is there until it is acknowledged.
    #[test]
    fn output_is_kept_until_it_is_acknowledged(
        chunks in prop::collection::vec(1..50_usize, 1..20),
        acknowledged in prop::collection::vec(0..1_000_usize, 0..20),
    ) {
        let mut output = Output::default();
        let mut end = 0;
        for len in chunks {
            output.append(Position(end as u64), vec![content(end, len)], false).unwrap();
            end += len;
        }
        let mut known = 0;
        for position in acknowledged {
            let taken = output.acknowledge(Position(position as u64));
            prop_assert_eq!(taken.is_ok(), position <= end);
            known = if position <= end { known.max(position) } else { known };
            prop_assert_eq!(output.unacknowledged(), Position(known as u64));
            prop_assert_eq!(whole(output.chunks().cloned()), content(known, end - known));
        }
    }
}

#[test]
fn a_fin_is_a_position_behind_the_bytes() {
    let mut input = Input::default();
    input.insert(&received(10, 10, true)).unwrap();
    assert_eq!((input.fin(), input.acknowledgeable()), (Some(Position(20)), Position(0)));
    assert!(input.missing(&received(15, 20, true)).is_empty(), "nothing comes after it");
    input.insert(&received(0, 10, false)).unwrap();
    assert_eq!((input.end(), input.acknowledgeable()), (Position(20), Position(21)));
}

#[test]
fn copied_output_is_the_input_that_it_answers() {
    let mut ledger = Ledger::new(header());
    ledger.apply(&Change::In(End::Client, received(0, 30, false))).unwrap();
    let produced = |position, consumed| Produced {
        position: Position(position),
        content: Content::Copied,
        consumed: Position(consumed),
        fin: false,
        tls: None,
    };
    let before = ledger.clone();
    let out = |position, consumed| Change::Out(End::Backend, produced(position, consumed));
    assert_eq!(ledger.apply(&out(0, 31)), Err(Broken::OutOfPlace));
    assert_eq!(ledger.apply(&out(1, 30)), Err(Broken::OutOfPlace));
    assert_eq!(ledger, before, "nothing is changed by what is wrong");
    ledger.apply(&out(0, 20)).unwrap();
    ledger.apply(&out(20, 30)).unwrap();
    let side = ledger.side(End::Backend);
    assert_eq!(whole(side.output.chunks().cloned()), content(0, 30));
    assert_eq!(ledger.side(End::Client).input.consumed(), Position(30));
    assert_eq!(ledger.apply(&out(30, 20)), Err(Broken::OutOfPlace), "it goes forward only");
}

#[test]
fn what_the_kernel_gave_is_what_came() {
    let mut input = Input::default();
    input.insert(&received(0, 30, false)).unwrap();
    input.insert(&received(40, 10, false)).unwrap();
    input.correct(Position(10), &Bytes::from_static(&[9; 5]));
    assert_eq!(input.end(), Position(30));
    let expected = [&content(0, 10)[..], &[9; 5], &content(15, 15)].concat();
    assert_eq!(whole(input.slice(Position(0), Position(30))), expected);
    input.insert(&received(30, 10, false)).unwrap();
    assert_eq!(input.end(), Position(50));
}
