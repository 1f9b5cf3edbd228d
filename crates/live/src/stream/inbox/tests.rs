use proptest::prelude::*;
use proto::connection::stream::MAX_MESSAGE_BYTES;
use proto::time::Wall;

use super::super::frame::put_pulse;
use super::*;

/// What a stream carries, as its bytes and as what they are read as.
fn frames() -> impl Strategy<Value = Vec<(Vec<u8>, Option<u64>)>> {
    let message = prop::collection::vec(any::<u8>(), 1..3_000).prop_map(|bytes| (bytes, None));
    let pulse = (0..1_u64 << 48).prop_map(|clock| (Vec::new(), Some(clock)));
    prop::collection::vec(prop_oneof![message, pulse], 0..60)
}

fn read(inbox: &mut Inbox, into: &mut Vec<(Vec<u8>, Option<u64>)>) {
    while let Some(span) = inbox.next_frame().expect("they are frames") {
        into.push(match inbox.frame(span) {
            Frame::Pulse { clock } => (Vec::new(), Some(clock.as_millis())),
            Frame::Message(bytes) => (bytes.to_vec(), None),
        });
    }
}

proptest! {
    #[test]
    fn frames_are_read_however_they_are_cut(
        frames in frames(),
        cuts in prop::collection::vec(1..5_000_usize, 1..50),
    ) {
        let mut bytes = Vec::new();
        for (message, clock) in &frames {
            match clock {
                Some(clock) => put_pulse(Wall::from_millis(*clock), &mut bytes),
                None => {
                    let len = u32::try_from(message.len()).expect("short");
                    bytes.extend_from_slice(&len.to_be_bytes());
                    bytes.extend_from_slice(message);
                }
            }
        }
        let mut inbox = Inbox::unproven();
        inbox.proven();
        let mut found = Vec::new();
        let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let room = inbox.room();
            let len = (*cuts.next().expect("it goes round")).min(rest.len()).min(room.len());
            room[..len].copy_from_slice(&rest[..len]);
            inbox.filled(len);
            rest = &rest[len..];
            read(&mut inbox, &mut found);
        }
        prop_assert_eq!(found, frames);
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
