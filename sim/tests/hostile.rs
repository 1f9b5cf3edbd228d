//! Bytes from those who mean no good: random ones, and the fuzzers' corpus.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proto::record::{Hlc, KeyHash};
use proto::table::{KeyRange, KeyRanges};
use proto::wire::control::{MAX_DIGESTS, Message, Part, Range, Source};
use proto::wire::header::{Incarnation, MAX_SEQUENCE};
use sim::{clients, decoders, hostile, receiving};

/// A number as a liar would choose it: small, at an edge, or anything.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0u64..100,
        Just(MAX_SEQUENCE),
        Just(MAX_SEQUENCE - 1),
        Just(32_768),
        0..MAX_SEQUENCE
    ]
}

fn range() -> impl Strategy<Value = Range> {
    (number(), number()).prop_map(|(a, b)| Range { first: a.min(b), last: a.max(b) })
}

/// Ranges in order, as a decoder gives them.
fn ranges() -> impl Strategy<Value = Vec<Range>> {
    prop::collection::btree_set(0u64..70_000, 0..40).prop_map(|numbers| {
        let numbers: Vec<u64> = numbers.into_iter().collect();
        numbers.chunks_exact(2).map(|ends| Range { first: ends[0], last: ends[1] }).collect()
    })
}

fn stream() -> impl Strategy<Value = Incarnation> {
    // The node itself, the member itself, and somebody that nobody knows.
    (1u128..4).prop_map(Incarnation)
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Table),
        range().prop_map(Source::Log),
        any::<u64>().prop_map(|time| Source::Since(Hlc(time))),
        prop::collection::vec(any::<u64>().prop_map(KeyHash), 0..64).prop_map(Source::Keys),
        any::<u8>().prop_map(|range| Source::Ranges(KeyRanges::from(KeyRange(range)))),
    ]
}

/// What members may say of each other, in the node's own form; and what not.
fn gossip() -> impl Strategy<Value = Vec<u8>> {
    let member = (any::<u16>(), 0u8..4, stream(), 0u32..3).prop_map(
        |(number, state, incarnation, generation)| {
            let mut out = number.to_be_bytes().to_vec();
            out.push(state);
            out.extend(incarnation.0.to_be_bytes());
            out.extend(generation.to_be_bytes());
            out.extend([4, 10, 0, 0, 1, 30, 30]);
            out
        },
    );
    let members = prop::collection::vec(member, 0..8);
    let whole = (any::<u16>(), 0u32..3, 0u8..11, any::<u8>(), members).prop_map(
        |(number, generation, kind, probe, members)| {
            let mut out = vec![0; 4];
            out.extend(number.to_be_bytes());
            out.extend(1u128.to_be_bytes());
            out.extend(generation.to_be_bytes());
            out.push(kind);
            out.extend((kind < 6).then_some(probe));
            if (2..6).contains(&kind) {
                out.extend(members.first().map_or(&[][..], |member| &member[3..]));
            }
            let count = u16::try_from(members.len()).expect("a few");
            out.extend(count.to_be_bytes());
            out.extend(members.concat());
            out
        },
    );
    prop_oneof![4 => whole, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (number(), any::<u64>(), any::<bool>(), any::<u64>()).prop_map(
            |(high, time, ready, sent_micros)| {
                Message::Heartbeat { high, time: Hlc(time), ready, sent_micros }
            }
        ),
        (stream(), [number(), number(), number()], any::<u32>(), any::<(u64, u32)>()).prop_map(
            |(stream, [after, watermark, reached], credit, (echo_micros, held_micros))| {
                Message::Status {
                    stream,
                    after,
                    watermark,
                    reached,
                    credit,
                    overflowed: credit,
                    echo_micros,
                    held_micros,
                }
            }
        ),
        (stream(), ranges()).prop_map(|(stream, ranges)| Message::Nak { stream, ranges }),
        (range(), any::<bool>()).prop_map(|(range, logged)| Message::Gone { range, logged }),
        (stream(), number(), ranges()).prop_map(|(stream, watermark, beyond)| Message::Orphan {
            stream,
            watermark,
            beyond
        }),
        (any::<u64>(), source(), any::<u64>(), ranges()).prop_map(
            |(page, source, cursor, missing)| Message::Pull { page, source, cursor, missing }
        ),
        (any::<u8>(), prop::collection::vec(any::<u64>(), 0..=MAX_DIGESTS))
            .prop_map(|(first, digests)| Message::Digests { first: KeyRange(first), digests }),
        (any::<bool>(), number()).prop_map(|(group, high)| Message::Hearing { group, high }),
        gossip().prop_map(Message::Gossip),
        Just(Message::Leave),
    ]
}

fn part(page: u64, (index, count): (u16, u16), bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let index = index % count.max(1);
    Part { page, edition: 1, next: Some(1), index, count: count.max(1), bytes }.encode(&mut out);
    out
}

/// A control packet as [`hostile::member`] takes it.
fn control(body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).expect("a message fits a packet");
    [&[0][..], &len.to_be_bytes(), body].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        decoders::all(&bytes);
        let counters = hostile::stranger(&bytes);
        prop_assert_eq!(counters.forged + counters.malformed, 1);
    }

    #[test]
    fn whatever_happens_to_a_stream(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        receiving::run(&bytes);
    }

    #[test]
    fn a_member_may_send_random_bodies(bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
        hostile::member(&bytes);
    }

    #[test]
    fn a_member_may_say_what_it_likes(messages in prop::collection::vec(message(), 1..40)) {
        let mut packets = Vec::new();
        for message in messages {
            let mut body = Vec::new();
            message.encode(&mut body);
            packets.extend(control(&body));
        }
        prop_assert_eq!(hostile::member(&packets).malformed, 0);
    }

    #[test]
    fn a_member_may_say_of_others_what_it_likes(
        said in prop::collection::vec((any::<u8>(), gossip()), 1..60),
    ) {
        let mut bytes = Vec::new();
        for (pause, message) in said {
            bytes.extend([pause, u8::try_from(message.len()).unwrap_or(u8::MAX)]);
            bytes.extend(&message[..message.len().min(usize::from(u8::MAX))]);
        }
        hostile::gossip(&bytes);
    }

    #[test]
    fn a_member_may_send_any_parts(
        parts in prop::collection::vec((1u64..4, any::<(u16, u16)>(), 0usize..1_300), 1..20),
    ) {
        let parts = parts.iter().map(|&(page, place, len)| part(page, place, &vec![0; len]));
        let packets: Vec<u8> = parts.flat_map(|part| control(&part)).collect();
        hostile::member(&packets);
    }
}

/// Gives each file of a target's corpus to what the target runs.
fn replay(target: &str, mut run: impl FnMut(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(corpus).expect("each target has a corpus") {
        run(&fs::read(entry.expect("a file").path()).expect("readable"));
        inputs += 1;
    }
    assert!(inputs > 0, "the corpus of {target} is empty");
}

#[test]
fn the_corpus_does_no_harm() {
    replay("header", decoders::header);
    replay("frames", decoders::frames);
    replay("fragment", decoders::fragment);
    replay("control", decoders::control);
    replay("page", decoders::page);
    replay("gossip", hostile::gossip);
    replay("link", decoders::link);
    replay("upstream", decoders::upstream);
    replay("resp", clients::redis);
    replay("memcached", clients::memcached);
    replay("segment", decoders::segment);
    replay("state", decoders::state);
    replay("web", decoders::web);
    replay("stream", decoders::stream);
    replay("connection", |bytes| {
        decoders::connection(bytes);
        hostile::following(bytes);
    });
    replay("agree", |bytes| {
        decoders::agree(bytes);
        hostile::agreeing(bytes);
    });
    replay("receiver", receiving::run);
    replay("stranger", |bytes| {
        hostile::stranger(bytes);
    });
    replay("member", |bytes| {
        hostile::member(bytes);
    });
}
