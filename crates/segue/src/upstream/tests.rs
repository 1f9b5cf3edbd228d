//! A node below one that answers as it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proto::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};
use proto::record::{Body, Deadlines, Hlc, Key, Kind, Record, Version, Writer};
use proto::wire::link::{Answer, Fate, Items, MAX_BATCH_BYTES, Taken};
use quinn::{RecvStream, SendStream};

use crate::link::tests::serving;
use crate::link::{Broken, Purpose, Serve, Served};
use crate::{
    Ack, Config, Node, Transport, UpstreamConfig, UpstreamError, UpstreamState, UpstreamStatus,
    WriteError,
};

/// Has all that it is given, and says of so many batches that nobody else does.
struct Alone(AtomicUsize);

impl Serve for Alone {
    fn serve(
        self: Arc<Self>,
        purpose: Purpose,
        (mut send, mut receive): (SendStream, RecvStream),
    ) -> Served {
        Box::pin(async move {
            let bytes = receive.read_to_end(MAX_BATCH_BYTES).await.map_err(|_| Broken)?;
            let mut answer = Vec::new();
            if purpose == Purpose::Batch {
                let mut items = Items::of(&bytes);
                let mut taken = Taken::default();
                let less = |left: usize| left.checked_sub(1);
                let is_alone = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
                for place in 0.. {
                    let Some(_) = items.next_item()? else { break };
                    taken.exceptions.extend(is_alone.map(|_| (place, Fate::Unconfirmed)));
                }
                taken.encode(&mut answer);
            }
            send.write_all(&answer).await.map_err(|_| Broken)?;
            let _ = send.finish();
            Ok(())
        })
    }
}

/// Answers everything but batches.
struct Stuck;

impl Serve for Stuck {
    fn serve(self: Arc<Self>, purpose: Purpose, streams: (SendStream, RecvStream)) -> Served {
        Box::pin(async move {
            let (mut send, mut receive) = streams;
            if purpose == Purpose::Batch {
                // It ends when who sends it gives up.
                let _ = receive.received_reset().await;
            }
            let _ = send.finish();
            Ok(())
        })
    }
}

/// Says that all was deleted, and does not answer who asks for that.
struct Deleted;

impl Serve for Deleted {
    fn serve(self: Arc<Self>, purpose: Purpose, streams: (SendStream, RecvStream)) -> Served {
        Box::pin(async move {
            let (mut send, mut receive) = streams;
            let bytes = receive.read_to_end(MAX_BATCH_BYTES).await.map_err(|_| Broken)?;
            let (mut taken, mut items, mut answer) =
                (Taken::default(), Items::of(&bytes), Vec::new());
            match purpose {
                Purpose::Batch => {
                    for place in 0.. {
                        let Some(_) = items.next_item()? else { break };
                        taken.exceptions.push((place, Fate::Deleted));
                    }
                    taken.encode(&mut answer);
                }
                // It ends when who asks gives up.
                Purpose::Ask => drop(send.stopped().await),
                Purpose::Probe => {}
            }
            let _ = send.write_all(&answer).await;
            let _ = send.finish();
            Ok(())
        })
    }
}

/// Has this for an answer to whoever asks.
struct Holds(Vec<u8>);

impl Serve for Holds {
    fn serve(self: Arc<Self>, purpose: Purpose, streams: (SendStream, RecvStream)) -> Served {
        Box::pin(async move {
            let (mut send, _receive) = streams;
            if purpose == Purpose::Ask {
                send.write_all(&self.0).await.map_err(|_| Broken)?;
            }
            let _ = send.finish();
            Ok(())
        })
    }
}

/// A node below farms of which there are nodes at these addresses.
async fn below(above: Vec<Vec<SocketAddr>>) -> Node {
    let keys = Keyring::new(vec![FarmKey::new([1; FARM_KEY_BYTES])]).expect("one key");
    let node = Node::start(Config {
        transport: Transport::Unicast,
        upstreams: above.into_iter().map(UpstreamConfig::nodes).collect(),
        ..Config::new("below", keys)
    });
    let node = node.expect("any port");
    node.ready().await;
    let all_up =
        |_: &UpstreamStatus| node.status().upstreams.iter().all(|it| it.state == UpstreamState::Up);
    eventually("all are up", &node, all_up).await;
    node
}

fn upstream(node: &Node) -> UpstreamStatus {
    node.status().upstreams.remove(0)
}

/// Polls until `holds`, for as long as a slow machine may take.
async fn eventually(what: &str, node: &Node, holds: impl Fn(&UpstreamStatus) -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !holds(&upstream(node)) {
        assert!(Instant::now() < limit, "never: {what}: {:?}", upstream(node));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_else_above_confirms_goes_up_again() {
    let above = serving("above", &[1], Arc::new(Alone(AtomicUsize::new(2))));
    let node = below(vec![vec![above.address]]).await;
    let cache = node.cache();
    let ends = Deadlines::at(cache.now() + Duration::from_secs(60));
    let [one, two] = [1, 2].map(|id| Key::new(Kind::Tls, &[id]).expect("a short id"));
    let waits = cache.put(&one, b"one", ends, Ack::Tier).await;
    assert!(matches!(waits, Err(WriteError::Upstream(UpstreamError::Unconfirmed))), "{waits:?}");
    cache.put(&two, b"two", ends, Ack::Local).await.expect("there is room");
    eventually("both wait", &node, |it| it.repeated == 2).await;
    // The later version goes up by itself.
    cache.put(&two, b"later", ends, Ack::Tier).await.expect("it is confirmed");
    eventually("the other goes up", &node, |it| it.written == 2 && it.superseded == 1).await;
    assert_eq!((upstream(&node).queued, upstream(&node).given_up), (0, 0));
}

/// A node that answers probes and takes nothing is left for the next one.
#[tokio::test(flavor = "multi_thread")]
async fn who_answers_no_batch_is_left() {
    let stuck = serving("stuck", &[1], Arc::new(Stuck));
    let above = serving("above", &[1], Arc::new(Alone(AtomicUsize::new(0))));
    let node = below(vec![vec![stuck.address, above.address]]).await;
    let cache = node.cache();
    let ends = Deadlines::at(cache.now() + Duration::from_secs(60));
    for id in 1..=4 {
        let key = Key::new(Kind::Tls, &[id]).expect("a short id");
        cache.put(&key, b"value", ends, Ack::Local).await.expect("there is room");
        let is_gone = |it: &UpstreamStatus| it.queued == 0;
        eventually("it goes up by itself", &node, is_gone).await;
    }
    eventually("all are at the other", &node, |it| it.written == 4).await;
    assert_eq!(upstream(&node).reconnects, 1);
}

/// What was deleted above is learned of beside what goes up.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_tell_what_was_deleted_stops_no_write() {
    let above = serving("above", &[1], Arc::new(Deleted));
    let node = below(vec![vec![above.address]]).await;
    let cache = node.cache();
    let ends = Deadlines::at(cache.now() + Duration::from_secs(60));
    for id in 1..=12 {
        let key = Key::new(Kind::Tls, &[id]).expect("a short id");
        let waits = cache.put(&key, b"value", ends, Ack::Tier).await;
        assert!(matches!(waits, Err(WriteError::Deleted)), "{id}: {waits:?}");
    }
}

/// What one has missed, another knows.
#[tokio::test(flavor = "multi_thread")]
async fn of_several_upstreams_the_latest_version_counts() {
    let key = Key::new(Kind::Tls, b"id").expect("a short id");
    let now = crate::driver::clock::wall();
    let ends = Deadlines::at(now + Duration::from_secs(60));
    let bytes = |writer, body| {
        let version = Version { time: Hlc::at(now), writer: Writer(writer) };
        let mut bytes = Vec::new();
        Answer::Held(Record { key, version, deadlines: ends, body }).encode(&mut bytes);
        bytes
    };
    let value = serving("value", &[1], Arc::new(Holds(bytes(1, Body::Value(b"value")))));
    let dead = serving("dead", &[1], Arc::new(Holds(bytes(2, Body::Deleted))));
    for order in [[value.address, dead.address], [dead.address, value.address]] {
        let node = below(order.map(|address| vec![address]).to_vec()).await;
        assert!(node.cache().get(&key).await.is_none());
        let upstreams = node.status().upstreams;
        assert!(upstreams.iter().all(|it| it.hits == 1), "each was asked: {upstreams:?}");
    }
}

/// Who has little time left says nothing of an upstream.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_too_late_counts_against_nobody() {
    let above = serving("above", &[1], Arc::new(Deleted));
    let node = below(vec![vec![above.address]]).await;
    let cache = node.cache();
    let key = Key::new(Kind::Tls, b"id").expect("a short id");
    for millis in [0, 2].repeat(20) {
        let tier = &cache.shared.tier;
        let looked = tier.find((&key, 0), Duration::from_millis(millis), |_| Some(())).await;
        assert!(matches!(looked, crate::upstream::Looked::Unknown));
    }
    let status = upstream(&node);
    assert_eq!((status.state, status.spared), (UpstreamState::Up, 0));
    assert_eq!(status.timeouts, 20);
}
