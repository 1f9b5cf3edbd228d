//! A node below one that answers as it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proto::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};
use proto::record::{Deadlines, Key, Kind};
use proto::wire::link::{Fate, Items, MAX_BATCH_BYTES, Taken};
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

/// A node below those that are at `above`.
async fn below(above: Vec<SocketAddr>) -> Node {
    let keys = Keyring::new(vec![FarmKey::new([1; FARM_KEY_BYTES])]).expect("one key");
    let node = Node::start(Config {
        transport: Transport::Unicast,
        upstreams: vec![UpstreamConfig::nodes(above)],
        ..Config::new("below", keys)
    });
    let node = node.expect("any port");
    node.ready().await;
    eventually("it is up", &node, |it| it.state == UpstreamState::Up).await;
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
    let node = below(vec![above.address]).await;
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
    let node = below(vec![stuck.address, above.address]).await;
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
    let node = below(vec![above.address]).await;
    let cache = node.cache();
    let ends = Deadlines::at(cache.now() + Duration::from_secs(60));
    for id in 1..=12 {
        let key = Key::new(Kind::Tls, &[id]).expect("a short id");
        let waits = cache.put(&key, b"value", ends, Ack::Tier).await;
        assert!(matches!(waits, Err(WriteError::Deleted)), "{id}: {waits:?}");
    }
}
