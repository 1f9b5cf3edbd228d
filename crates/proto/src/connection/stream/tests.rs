use std::net::SocketAddr;

use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::connection::sequence::Initial;
use crate::wire::header::Incarnation;

fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(SocketAddr::from),
    ]
}

fn end_header() -> impl Strategy<Value = EndHeader> {
    let scales = option::of((0..15_u8, 0..15_u8));
    let options = (any::<u16>(), scales, any::<bool>(), option::of(any::<u32>()));
    (address(), address(), any::<u32>(), any::<u32>(), options).prop_map(
        |(local, peer, sent, received, (mss, scales, sack, timestamps))| {
            let (sent, received) = (Initial(sent), Initial(received));
            EndHeader { local, peer, sent, received, mss, scales, sack, timestamps }
        },
    )
}

fn term() -> impl Strategy<Value = Term> {
    (1..1_u64 << 62, any::<u128>(), option::of(any::<u128>())).prop_map(|(epoch, owner, other)| {
        Term { epoch, owner: Incarnation(owner), understudy: other.map(Incarnation) }
    })
}

fn tls() -> impl Strategy<Value = Option<Bytes>> {
    option::of(prop::collection::vec(any::<u8>(), 1..300).prop_map(Bytes::from))
}

fn header() -> impl Strategy<Value = Header> {
    let backend = option::of(end_header());
    let names = (any::<u128>(), any::<u128>(), option::of(term()));
    (names, end_header(), backend, any::<bool>(), tls()).prop_map(
        |((id, group, term), client, backend, relayed, tls)| {
            let relayed = relayed || backend.is_some();
            let (id, group) = (ConnectionId(id), GroupId(group));
            Header { id, group, term, client, backend, relayed, tls }
        },
    )
}

fn position() -> impl Strategy<Value = Position> {
    (0..=Position::MAX.0).prop_map(Position)
}

fn end() -> impl Strategy<Value = End> {
    prop::sample::select(End::BOTH.to_vec())
}

fn marks() -> impl Strategy<Value = Marks> {
    (position(), position())
        .prop_map(|(consumed, unacknowledged)| Marks { consumed, unacknowledged })
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn change() -> impl Strategy<Value = Change> {
    let content = prop_oneof![bytes().prop_map(Content::Given), Just(Content::Copied)];
    prop_oneof![
        end_header().prop_map(Change::Attach),
        (end(), position(), bytes(), any::<bool>()).prop_map(|(end, position, bytes, fin)| {
            Change::In(end, Received { position, bytes, fin })
        }),
        (end(), position(), content, position(), (any::<bool>(), tls())).prop_map(
            |(end, position, content, consumed, (fin, tls))| {
                Change::Out(end, Produced { position, content, consumed, fin, tls })
            }
        ),
        (end(), position()).prop_map(|(end, position)| Change::Acked(end, position)),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let id = any::<u128>().prop_map(ConnectionId);
    let group = any::<u128>().prop_map(GroupId);
    prop_oneof![
        (group, term(), any::<u64>()).prop_map(|(group, term, first)| Message::Begin {
            group,
            term,
            first
        }),
        header().prop_map(|header| Message::Open(Box::new(header))),
        (header(), marks(), marks()).prop_map(|(header, client, backend)| Message::Seed {
            header: Box::new(header),
            client,
            backend
        }),
        id.clone().prop_map(Message::Seeded),
        id.prop_map(Message::Closed),
        (any::<u128>(), prop::collection::vec(any::<u128>(), 0..=MAX_MOVED)).prop_map(
            |(group, ids)| Message::Move {
                group: GroupId(group),
                connections: ids.into_iter().map(ConnectionId).collect(),
            }
        ),
        (any::<u128>(), change())
            .prop_map(|(id, change)| Message::Change(ConnectionId(id), change)),
    ]
}

proptest! {
    #[test]
    fn a_message_reads_as_it_was_written(message in message(), cut in any::<prop::sample::Index>()) {
        let mut written = Vec::new();
        message.encode(&mut written);
        let (length, body) = written.split_first_chunk().unwrap();
        prop_assert_eq!(message_len(*length), Ok(body.len()));
        let read = Message::decode(body);
        prop_assert_eq!(read.as_ref(), Ok(&message));
        // A part of it may be another message, and does no harm.
        let _ = Message::decode(&body[..cut.index(body.len())]);
    }

    #[test]
    fn a_record_reads_as_it_was_written(header in header(), cut in any::<prop::sample::Index>()) {
        let payload = header.payload();
        prop_assert_eq!(Header::from_payload(&payload), Ok(header));
        prop_assert!(Header::from_payload(&payload[..cut.index(payload.len())]).is_err());
    }

    #[test]
    fn a_reply_reads_as_it_was_written(epoch: u64, count: u64, group: u128) {
        for reply in [Reply::Held { epoch, count }, Reply::Moved(GroupId(group))] {
            let mut written = Vec::new();
            reply.encode(&mut written);
            prop_assert_eq!(Reply::decode(&written[LENGTH_BYTES..]), Ok(reply));
        }
    }
}

#[test]
fn what_is_secret_is_not_shown() {
    let secret = Bytes::from_static(b"SECRET");
    let produced = Produced {
        position: Position(0),
        content: Content::Given(secret.clone()),
        consumed: Position(0),
        fin: false,
        tls: Some(secret.clone()),
    };
    let received = Received { position: Position(0), bytes: secret, fin: false };
    for change in [Change::Out(End::Client, produced), Change::In(End::Client, received)] {
        let shown = format!("{:?}", Message::Change(ConnectionId(1), change));
        assert!(!shown.contains("SECRET") && !shown.contains("83"), "{shown}");
    }
}
