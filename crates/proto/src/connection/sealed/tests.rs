use proptest::prelude::*;

use super::super::frame::{Frame, Span, put_pulse};
use super::super::stream::MAX_MESSAGE_BYTES;
use super::*;
use crate::proof::Side;
use crate::time::Wall;
use crate::wire::Malformed;

const SECRET: [u8; SECRET_BYTES] = [7; SECRET_BYTES];

/// A message, or a pulse with its clock.
type Said = (Vec<u8>, Option<u64>);

fn ends() -> (Sealer, Opener) {
    (Sealer::new(&SECRET, Side::Opener, &[]), Opener::new(&SECRET, Side::Opener, &[]))
}

/// What a stream carries, as its bytes and as what they are read as.
fn frames() -> impl Strategy<Value = Vec<Said>> {
    let message = prop::collection::vec(any::<u8>(), 1..3_000).prop_map(|bytes| (bytes, None));
    let long = (MAX_MESSAGE_BYTES - 9..=MAX_MESSAGE_BYTES).prop_map(|len| (vec![8; len], None));
    let pulse = (0..1_u64 << 48).prop_map(|clock| (Vec::new(), Some(clock)));
    prop::collection::vec(prop_oneof![8 => message, 1 => long, 4 => pulse], 0..60)
}

fn put(said: &Said, out: &mut Vec<u8>) {
    match said {
        (_, Some(clock)) => put_pulse(Wall::from_millis(*clock), out),
        (message, None) => {
            let len = u32::try_from(message.len()).expect("a frame's");
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(message);
        }
    }
}

/// Those frames as they are sent; every so many are sealed together.
fn sealed(sealer: &mut Sealer, frames: &[Said], together: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for some in frames.chunks(together) {
        for frame in some {
            sealer.push(|out| put(frame, out));
        }
        sealer.seal();
        bytes.extend_from_slice(sealer.unsent());
        sealer.sent(sealer.unsent().len());
    }
    bytes
}

fn read(opener: &mut Opener, into: &mut Vec<Said>) -> Result<(), Unreadable> {
    while let Some(span) = opener.next_frame()? {
        into.push(match opener.frame(span) {
            Frame::Pulse { clock } => (Vec::new(), Some(clock.as_millis())),
            Frame::Message(bytes) => (bytes.to_vec(), None),
        });
    }
    Ok(())
}

/// What is read of bytes that come in pieces of these lengths.
fn opened(opener: &mut Opener, mut bytes: &[u8], cuts: &[usize]) -> Result<Vec<Said>, Unreadable> {
    let mut found = Vec::new();
    let mut cuts = cuts.iter().cycle();
    while !bytes.is_empty() {
        let room = opener.room();
        let cut = *cuts.next().expect("it goes round");
        let len = cut.min(bytes.len()).min(room.len());
        room[..len].copy_from_slice(&bytes[..len]);
        opener.received(len);
        bytes = &bytes[len..];
        read(opener, &mut found)?;
    }
    Ok(found)
}

const WHOLE: &[usize] = &[usize::MAX];

fn check_refused(bytes: &[u8], expected: Unreadable) {
    let (_, mut opener) = ends();
    assert_eq!(opened(&mut opener, bytes, WHOLE), Err(expected));
}

proptest! {
    #[test]
    fn frames_are_read_however_they_are_cut(
        frames in frames(),
        together in 1..20_usize,
        cuts in prop::collection::vec(1..70_000_usize, 1..50),
    ) {
        let (mut sealer, mut opener) = ends();
        let capacity = sealer.capacity();
        let mut found = Vec::new();
        // Few enough that there is room for all of them, if they are long.
        for some in frames.chunks(2) {
            let bytes = sealed(&mut sealer, some, together);
            found.extend(opened(&mut opener, &bytes, &cuts).expect("they are frames"));
        }
        prop_assert_eq!(found, frames);
        prop_assert_eq!(sealer.capacity(), capacity);
    }

    #[test]
    fn what_is_changed_on_the_way_is_refused(
        frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..50), Just(None)), 1..9),
        together in 1..4_usize,
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let (mut sealer, mut opener) = ends();
        let mut bytes = sealed(&mut sealer, &frames, together);
        let place = place.index(bytes.len());
        bytes[place] ^= 1_u8 << bit;
        // A length that is longer is waited for: what comes later does not open.
        bytes.resize(bytes.len() + BIGGEST, 0);
        prop_assert!(opened(&mut opener, &bytes, WHOLE).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_, mut opener) = ends();
        let _ = opened(&mut opener, &bytes, &[50]);
    }

    #[test]
    fn any_bytes_are_frames_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        match Span::first(&bytes) {
            Ok(Some((Span::Message(at), len))) => {
                prop_assert!(at.end == len && len <= bytes.len() && at.start < at.end);
            }
            Ok(Some((Span::Pulse(_), len))) => prop_assert!(len <= bytes.len()),
            // A frame that is too long is known by its first bytes.
            Ok(None) => {
                let length = bytes.first_chunk().map(|length| u32::from_be_bytes(*length));
                prop_assert!(length.is_none_or(|len| len as usize <= MAX_MESSAGE_BYTES));
            }
            Err(_) => prop_assert!(bytes.len() >= 4),
        }
    }
}

/// A whole record, whatever its length is changed to.
const BIGGEST: usize = LENGTH_BYTES + MOST_BYTES + TAG_BYTES;

#[test]
fn what_is_repeated_left_out_or_put_elsewhere_is_refused() {
    let (mut sealer, mut opener) = ends();
    let [first, second] = [1, 2].map(|byte| sealed(&mut sealer, &[(vec![byte], None)], 1));
    check_refused(&second, Unreadable::Forged);
    check_refused(&[first.clone(), first.clone()].concat(), Unreadable::Forged);
    let both = opened(&mut opener, &[first, second].concat(), WHOLE).unwrap();
    assert_eq!(both, [(vec![1], None), (vec![2], None)]);
}

#[test]
fn a_record_is_for_one_stream_and_one_direction() {
    let frame = [(vec![1], None)];
    let other = [8; SECRET_BYTES];
    check_refused(
        &sealed(&mut Sealer::new(&SECRET, Side::Called, &[]), &frame, 1),
        Unreadable::Forged,
    );
    check_refused(
        &sealed(&mut Sealer::new(&other, Side::Opener, &[]), &frame, 1),
        Unreadable::Forged,
    );
}

#[test]
fn records_that_are_not_frames_are_refused() {
    let (mut sealer, _) = ends();
    sealer.push(|out| out.extend_from_slice(&[0, 0, 0, 2, 8]));
    sealer.seal();
    check_refused(sealer.unsent(), Malformed::Invalid("record").into());
    check_refused(&[0; 4], Malformed::Invalid("length").into());
    let long = u32::try_from(MOST_BYTES + 1).unwrap().to_be_bytes();
    check_refused(&long, Malformed::Invalid("length").into());
}

#[test]
fn both_ends_turn_to_the_next_key_at_the_same_record() {
    let (mut sealer, mut opener) = ends();
    sealer.keys().records = RECORDS_A_KEY - 1;
    opener.keys().records = RECORDS_A_KEY - 1;
    let frames: Vec<Said> = (0..4).map(|byte| (vec![byte], None)).collect();
    let bytes = sealed(&mut sealer, &frames, 1);
    assert_eq!(sealer.keys().records, 3, "one of the first key, the others of the next");
    assert_eq!(opened(&mut opener, &bytes, WHOLE), Ok(frames.clone()));
    let (mut first, _) = ends();
    let again = sealed(&mut first, &frames, 1);
    let record = bytes.len() / frames.len();
    assert_ne!(again[..record], bytes[record..2 * record], "the same number of another key");
}

#[test]
fn what_is_left_of_a_handshake_goes_first_and_is_not_sealed() {
    let mut sealer = Sealer::new(&SECRET, Side::Called, b"handshake");
    sealer.push(|out| put(&(vec![1], None), out));
    assert_eq!(sealer.unsent(), b"handshake");
    sealer.seal();
    let sent = sealer.unsent().to_vec();
    sealer.sent(4);
    assert_eq!(sealer.unsent(), &sent[4..]);
    let (head, rest) = sent.split_at(9);
    assert_eq!(head, b"handshake");
    let mut opener = Opener::new(&SECRET, Side::Called, &rest[..7]);
    assert_eq!(opened(&mut opener, &rest[7..], WHOLE), Ok(vec![(vec![1], None)]));
}

#[test]
fn what_is_full_takes_no_more_before_something_is_sent() {
    let (mut sealer, mut opener) = ends();
    let capacity = sealer.capacity();
    let longest = (vec![5; MAX_MESSAGE_BYTES], None);
    while sealer.has_room() {
        sealer.push(|out| put(&longest, out));
    }
    assert_eq!(sealer.capacity(), capacity);
    while !sealer.unsent().is_empty() {
        let room = opener.room();
        let len = room.len().min(sealer.unsent().len());
        room[..len].copy_from_slice(&sealer.unsent()[..len]);
        opener.received(len);
        sealer.sent(len);
        if opener.is_full() {
            break;
        }
    }
    assert!(opener.is_full(), "nobody takes its frames");
    assert!(opener.room().is_empty());
    let mut found = Vec::new();
    read(&mut opener, &mut found).unwrap();
    assert!(!found.is_empty() && found.iter().all(|frame| *frame == longest));
    assert!(!opener.room().is_empty());
}
