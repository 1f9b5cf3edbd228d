//! Records that go up and come back.

use segue::{Ack, Deadlines, Kind, UpstreamError, WriteError};
use std::time::Duration;

use crate::engine::Engine;
use crate::{config, eventually, in_a_minute, key, keys, start, upstream};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_that_is_gone_has_written_comes_back_at_another() {
    let engine = Engine::start(&[]);
    let first = start(config(&engine.url())).await;
    let cache = first.cache();
    let mut ends = in_a_minute(&cache);
    ends.absolute = ends.absolute + Duration::from_secs(3_600);
    let payload = |kind: Kind| format!("the payload of {}", kind.name()).into_bytes();
    let mut versions = Vec::new();
    for kind in Kind::ALL {
        let written = cache.put(&key(kind, 1), &payload(kind), ends, Ack::Tier).await.unwrap();
        versions.push(written.version);
    }
    let big = vec![7; 1 << 20];
    cache.put(&key(Kind::Web, 2), &big, ends, Ack::Tier).await.unwrap();
    cache.put(&key(Kind::Web, 3), b"", ends, Ack::Tier).await.unwrap();
    drop((first, cache));

    let second = start(config(&engine.url())).await;
    let cache = second.cache();
    for (kind, version) in Kind::ALL.into_iter().zip(versions) {
        assert!(cache.peek(&key(kind, 1)).is_none(), "nothing is here yet");
        let found = cache.get(&key(kind, 1)).await.unwrap();
        assert_eq!(*found.value, payload(kind));
        assert_eq!((found.version, found.deadlines), (version, ends));
        assert!(cache.peek(&key(kind, 1)).is_some(), "it is kept");
    }
    assert_eq!(*cache.get(&key(Kind::Web, 2)).await.unwrap().value, big);
    assert!(cache.get(&key(Kind::Web, 3)).await.unwrap().value.is_empty());
    assert!(cache.get(&key(Kind::Web, 4)).await.is_none());
    let (status, up) = (second.status(), upstream(&second));
    assert_eq!((status.hits_upstream, up.hits, up.misses, up.rejected), (7, 7, 1, 0));
    assert!(up.latency.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_learns_nothing_but_when_a_record_ends() {
    let engine = Engine::start(&[]);
    let node = start(config(&engine.url())).await;
    let cache = node.cache();
    let secret = b"a payload that nobody may see";
    let ends = in_a_minute(&cache);
    for kind in Kind::ALL {
        cache.put(&key(kind, 1), secret, ends, Ack::Tier).await.unwrap();
    }
    let all = engine.all();
    assert_eq!(all.len(), Kind::ALL.len());
    for (name, value) in &all {
        assert!(name.starts_with("segue:") && name.len() == 38, "{name}");
        for part in secret.windows(4).chain(b"an id that nobody can guess".windows(4)) {
            let is_in = |bytes: &[u8]| bytes.windows(4).any(|found| found == part);
            assert!(!is_in(name.as_bytes()) && !is_in(value));
        }
        let ends_at: u64 = engine.ask(&format!("PEXPIRETIME {name}"));
        assert_eq!(ends_at, ends.idle.as_millis());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_touch_moves_the_expiry_and_the_deadline_within() {
    let engine = Engine::start(&[]);
    let node = start(config(&engine.url())).await;
    let cache = node.cache();
    let hour = Duration::from_secs(3_600);
    let ends = Deadlines { absolute: cache.now() + hour, ..in_a_minute(&cache) };
    cache.put(&key(Kind::Web, 1), b"cart", ends, Ack::Tier).await.unwrap();
    let [(name, _)] = engine.all().try_into().unwrap();
    let expiry = || engine.ask::<u64>(&format!("PEXPIRETIME {name}"));
    assert_eq!(expiry(), ends.idle.as_millis());
    let waited_for = ends.idle + Duration::from_secs(60);
    cache.touch(&key(Kind::Web, 1), waited_for, Ack::Tier).await.unwrap();
    assert_eq!(expiry(), waited_for.as_millis());
    let later = waited_for + Duration::from_secs(60);
    for second in 1..=60 {
        let idle = waited_for + Duration::from_secs(second);
        cache.touch(&key(Kind::Web, 1), idle, Ack::Local).await.unwrap();
    }
    eventually("the touches go up", || expiry() == later.as_millis()).await;
    assert!(upstream(&node).written <= 6, "touches go up together");
    cache.touch(&key(Kind::Web, 1), cache.now() + 2 * hour, Ack::Tier).await.unwrap();
    assert_eq!(expiry(), ends.absolute.as_millis(), "nothing outlives its session");
    let other = start(config(&engine.url())).await;
    let found = other.cache().get(&key(Kind::Web, 1)).await.unwrap();
    assert!(found.deadlines.idle > later);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_or_renamed_stays_so() {
    let engine = Engine::start(&[]);
    let (first, second) = (start(config(&engine.url())).await, start(config(&engine.url())).await);
    let (cache, other) = (first.cache(), second.cache());
    let ends = in_a_minute(&cache);
    let [deleted, old, new] = [1, 2, 3].map(|id| key(Kind::Auth, id));
    for key in [&deleted, &old] {
        cache.put(key, b"rights", ends, Ack::Tier).await.unwrap();
    }
    assert!(cache.remove(&deleted, Ack::Tier).await.unwrap());
    cache.rotate(&old, &new, Ack::Tier).await.unwrap();
    for (name, _) in engine.all() {
        let expiry: u64 = engine.ask(&format!("PEXPIRETIME {name}"));
        // Up to a second longer: what the engine takes to store it counts.
        let longer = expiry.checked_sub(ends.absolute.as_millis());
        assert!(longer.is_some_and(|millis| millis < 1_000), "{longer:?} ms more than its record");
    }
    assert!(other.get(&deleted).await.is_none() && other.get(&old).await.is_none());
    assert_eq!(&*other.get(&new).await.unwrap().value, b"rights");
    let third = start(config(&engine.url())).await;
    let revived = third.cache().put(&deleted, b"late", ends, Ack::Tier).await;
    assert!(matches!(revived, Err(WriteError::Deleted)), "{revived:?}");
    let asked = upstream(&first);
    assert!(cache.get(&deleted).await.is_none());
    assert_eq!(upstream(&first).hits, asked.hits, "what was deleted here is not asked for");
}

/// Who deletes may know another deadline than that of what is in the engine.
#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_outlives_what_it_deletes() {
    let engine = Engine::start(&[]);
    let (first, second) = (start(config(&engine.url())).await, start(config(&engine.url())).await);
    let (cache, other) = (first.cache(), second.cache());
    let short = in_a_minute(&cache);
    cache.put(&key(Kind::Web, 1), b"cart", short, Ack::Tier).await.unwrap();
    let long = Deadlines::at(short.absolute + Duration::from_secs(3_600));
    // Nodes that know nothing of each other write at different times.
    let then = cache.now();
    eventually("time passes", || cache.now() > then).await;
    other.put(&key(Kind::Web, 1), b"later", long, Ack::Tier).await.unwrap();
    let then = cache.now();
    eventually("time passes", || cache.now() > then).await;
    cache.remove(&key(Kind::Web, 1), Ack::Tier).await.unwrap();
    let [(name, _)] = engine.all().try_into().unwrap();
    let left = short.absolute.as_millis() - cache.now().as_millis();
    let kept: u64 = engine.ask(&format!("PTTL {name}"));
    assert!(kept > left + 60_000, "{kept} ms");
}

/// Nodes that know nothing of each other write the same records at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_older_version_never_takes_the_place_of_a_newer_one() {
    let engine = Engine::start(&[]);
    let mut writers = Vec::new();
    for _ in 0..3 {
        let node = start(config(&engine.url())).await;
        writers.push(tokio::spawn(async move {
            let cache = node.cache();
            let mut latest = Vec::new();
            for round in 0..50_u32 {
                latest.clear();
                for id in 0..20_u32 {
                    let ack = if round == 49 { Ack::Tier } else { Ack::Local };
                    let value = [round.to_be_bytes(), id.to_be_bytes()].concat();
                    let ends = in_a_minute(&cache);
                    let written = cache.put(&key(Kind::Web, id), &value, ends, ack).await.unwrap();
                    latest.push(written.version);
                }
            }
            (node, latest)
        }));
    }
    let mut latest = vec![segue::Version::default(); 20];
    let mut superseded = 0;
    for writer in writers {
        let (node, own) = writer.await.unwrap();
        superseded += upstream(&node).superseded;
        latest.iter_mut().zip(own).for_each(|(latest, own)| *latest = own.max(*latest));
    }
    let reader = start(config(&engine.url())).await;
    for (id, latest) in (0..).zip(latest) {
        assert_eq!(reader.cache().get(&key(Kind::Web, id)).await.unwrap().version, latest);
    }
    assert!(superseded > 0, "three writers never came across each other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_the_farm_key_loses_nothing() {
    let engine = Engine::start(&[]);
    let node = start(config(&engine.url())).await;
    let cache = node.cache();
    let ends = in_a_minute(&cache);
    cache.put(&key(Kind::Tls, 1), b"before", ends, Ack::Tier).await.unwrap();
    // The last key is taken for the first of all, which places records.
    node.rekey(keys(&[2, 1])).unwrap();
    cache.put(&key(Kind::Tls, 2), b"after", ends, Ack::Tier).await.unwrap();
    let with = |bytes: &[u8]| segue::Config { keys: keys(bytes), ..config(&engine.url()) };
    let rotated = start(with(&[2, 1])).await;
    assert_eq!(&*rotated.cache().get(&key(Kind::Tls, 1)).await.unwrap().value, b"before");
    assert_eq!(&*rotated.cache().get(&key(Kind::Tls, 2)).await.unwrap().value, b"after");
    let before = start(with(&[1])).await;
    assert!(before.cache().get(&key(Kind::Tls, 2)).await.is_none(), "the key is not here yet");
    assert_eq!(upstream(&before).rejected, 1);
}

#[tokio::test]
async fn to_wait_for_a_tier_that_is_not_there_is_an_error() {
    let config = segue::Config { upstreams: Vec::new(), ..config("redis://127.0.0.1:1") };
    let node = segue::Node::start(config).unwrap();
    let cache = node.cache();
    let put = cache.put(&key(Kind::Web, 1), b"cart", in_a_minute(&cache), Ack::Tier).await;
    assert!(matches!(put, Err(WriteError::Upstream(UpstreamError::None))), "{put:?}");
    assert!(cache.get(&key(Kind::Web, 1)).await.is_some(), "it is written here");
}
