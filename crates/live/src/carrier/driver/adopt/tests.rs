use std::net::SocketAddr;

use proptest::option;
use proptest::prelude::*;
use sys::repair::{Incoming, Options, Outgoing, Scales, Timestamp, Windows};

use super::super::restore;
use super::*;

/// Longer than a test takes between two looks at the clock, in milliseconds.
const LONG: u32 = 60_000;

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "given up to {:?}, ended {}", self.given, self.ended)
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..MAX_CHUNK_BYTES + 100)
}

fn options() -> impl Strategy<Value = Options> {
    let scales = option::of((0..15_u8, 0..15_u8));
    (88..9_000_u16, any::<bool>(), scales, option::of(any::<u32>())).prop_map(
        |(segment, sack, scales, timestamp)| Options {
            segment,
            sack,
            scales: scales.map(|(peer, own)| Scales { peer, own }),
            timestamp: timestamp.map(|value| Timestamp { value, microseconds: false }),
        },
    )
}

/// An end as it is read, and up to where the relay has read it.
fn end() -> impl Strategy<Value = (Seen, Position)> {
    let incoming = (any::<u32>(), bytes(), any::<bool>());
    let outgoing = (any::<u32>(), bytes(), bytes(), bytes());
    let ended = any::<bool>();
    let positions = (0..1_u64 << 40, 0..1_u64 << 40);
    (incoming, outgoing, ended, options(), positions).prop_map(
        |((next, unread, closed), (first, sent, unsent, unwritten), ended, options, positions)| {
            let (read, acknowledged) = positions;
            let given = Position(acknowledged) + sent.len() + unsent.len();
            let state = State {
                local: SocketAddr::from(([10, 0, 0, 100], 443)),
                peer: SocketAddr::from(([10, 0, 0, 1], 5_000)),
                incoming: Incoming { next, unread, closed },
                // What waits is written before the end is.
                outgoing: Outgoing { first, sent, unsent, closed: ended && unwritten.is_empty() },
                options,
                windows: Windows { promised: 1, peer: 1, peer_largest: 1 },
            };
            let unwritten = vec![Bytes::from(unwritten)];
            (Seen { state, given, unwritten, ended }, Position(read))
        },
    )
}

proptest! {
    // Each case has up to half a megabyte in flight.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_taken_in_and_restored_is_the_same(client in end(), backend in end()) {
        let ends = [(End::Client, client), (End::Backend, backend)];
        let mut splice = Splice::new(ConnectionId(7), ends[1].1.0.state.peer);
        for (end, (_, read)) in &ends {
            splice.side_mut(*end).read = *read;
        }
        let [(_, (client, _)), (_, (backend, _))] = ends;
        let seen = [client, backend];
        let ledger = ledger(&splice, GroupId(1), &seen).expect("it fits");
        let headers = [Some(ledger.header().client), ledger.header().backend];
        for ((end, header), seen) in End::BOTH.into_iter().zip(headers).zip(&seen) {
            let header = header.expect("there are two");
            let restored = restore::state(&header, ledger.side(end));
            let Seen { state, unwritten, ended, .. } = seen;
            prop_assert_eq!((restored.local, restored.peer), (state.local, state.peer));
            prop_assert_eq!(&restored.incoming, &state.incoming);
            let Outgoing { first, sent, unsent, .. } = &state.outgoing;
            let sent = [&sent[..], unsent, &unwritten[0]].concat();
            let unsent = Vec::new();
            let outgoing = Outgoing { first: *first, sent, unsent, closed: *ended };
            prop_assert_eq!(&restored.outgoing, &outgoing);
            let stamps = restored.options.timestamp.zip(state.options.timestamp);
            // The clock goes on meanwhile.
            prop_assert!(
                stamps.is_none_or(|(new, old)| new.value.wrapping_sub(old.value) < LONG)
            );
            let timestamp = restored.options.timestamp;
            prop_assert_eq!(restored.options, Options { timestamp, ..state.options });
        }
    }
}
