//! Engines that are down, slow, full, or hold what is not the farm's.

use segue::{Ack, Kind, UpstreamConfig, UpstreamError, UpstreamState, WriteError};

use crate::engine::{Engine, PATIENCE, free_port};
use crate::{config, eventually, in_a_minute, key, start, until_state, upstream};

fn is_down(put: &Result<segue::Written, WriteError>) -> bool {
    matches!(put, Err(WriteError::Upstream(UpstreamError::Down)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_may_come_later_than_the_node() {
    let port = free_port();
    let url = format!("redis://127.0.0.1:{port}");
    let node = segue::Node::start(config(&url)).unwrap();
    node.ready().await;
    let cache = node.cache();
    let ends = in_a_minute(&cache);
    eventually("the loss is told", || upstream(&node).error.is_some()).await;
    let put = cache.put(&key(Kind::Web, 1), b"cart", ends, Ack::Tier).await;
    assert!(is_down(&put), "{put:?}");
    cache.put(&key(Kind::Web, 2), b"cart", ends, Ack::Local).await.unwrap();
    assert!(cache.get(&key(Kind::Web, 1)).await.is_some(), "it is written here");
    assert!(cache.get(&key(Kind::Web, 3)).await.is_none());
    let status = upstream(&node);
    assert_eq!((status.state, status.spared, status.queued), (UpstreamState::Down, 1, 2));
    let engine = Engine::start_at(port, &[]).expect("nobody has taken the port");
    until_state(&node, UpstreamState::Up).await;
    eventually("what waited goes up", || engine.ask::<u64>("DBSIZE") == 2).await;
    eventually("it is counted", || upstream(&node).written == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_may_die_and_return() {
    let mut engine = Engine::start(&[]);
    let node = start(config(&engine.url())).await;
    let cache = node.cache();
    let ends = in_a_minute(&cache);
    cache.put(&key(Kind::Web, 1), b"cart", ends, Ack::Tier).await.unwrap();
    engine.kill();
    until_state(&node, UpstreamState::Down).await;
    let put = cache.put(&key(Kind::Web, 2), b"cart", ends, Ack::Tier).await;
    assert!(is_down(&put), "{put:?}");
    assert!(cache.get(&key(Kind::Web, 3)).await.is_none());
    engine.restart();
    until_state(&node, UpstreamState::Up).await;
    // The new one has never seen the script.
    cache.put(&key(Kind::Web, 4), b"cart", ends, Ack::Tier).await.unwrap();
    eventually("what waited goes up", || engine.ask::<u64>("DBSIZE") == 2).await;
    assert!(upstream(&node).reconnects > 0);
}

/// Many writes are under way when the engine dies, some of them stored.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_when_an_engine_died_goes_up_later() {
    const RECORDS: u32 = 5_000;
    let mut engine = Engine::start(&[]);
    let node = start(config(&engine.url())).await;
    let cache = node.cache();
    for id in 0..RECORDS {
        cache.put(&key(Kind::Web, id), b"cart", in_a_minute(&cache), Ack::Local).await.unwrap();
        if id == RECORDS / 2 {
            engine.kill();
        }
    }
    until_state(&node, UpstreamState::Down).await;
    engine.restart();
    until_state(&node, UpstreamState::Up).await;
    eventually("all has gone up", || upstream(&node).queued == 0).await;
    let status = upstream(&node);
    assert_eq!((status.dropped, status.refused), (0, 0));
    cache.put(&key(Kind::Web, RECORDS), b"last", in_a_minute(&cache), Ack::Tier).await.unwrap();
    // What the first one had is gone with it; nothing is missing of the rest.
    eventually("all is counted", || upstream(&node).written > u64::from(RECORDS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_stands_still_costs_a_bounded_wait_and_then_nothing() {
    let engine = Engine::start(&[]);
    let node = start(config(&engine.url())).await;
    let cache = node.cache();
    let ends = in_a_minute(&cache);
    cache.put(&key(Kind::Web, 1), b"cart", ends, Ack::Tier).await.unwrap();
    engine.halt();
    let bounded = async {
        // The first ones wait for their bound, the rest for nothing.
        while upstream(&node).state == UpstreamState::Up {
            assert!(cache.get(&key(Kind::Web, 2)).await.is_none());
            assert!(cache.get(&key(Kind::Web, 1)).await.is_some(), "this node has it");
        }
        let before = upstream(&node);
        assert!(before.timeouts > 0, "{before:?}");
        for id in 0..1_000 {
            assert!(cache.get(&key(Kind::Web, 10 + id)).await.is_none());
        }
        let after = upstream(&node);
        assert_eq!((after.timeouts, after.spared), (before.timeouts, before.spared + 1_000));
        let put = cache.put(&key(Kind::Web, 3), b"cart", ends, Ack::Tier).await;
        assert!(matches!(put, Err(WriteError::Upstream(_))), "{put:?}");
    };
    tokio::time::timeout(PATIENCE, bounded).await.expect("no wait is unbounded");
    engine.go_on();
    until_state(&node, UpstreamState::Up).await;
    eventually("the write that failed is there after all", || engine.ask::<u64>("DBSIZE") == 2)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_farm_has_not_put_there_is_a_miss() {
    let engine = Engine::start(&[]);
    let writer = start(config(&engine.url())).await;
    let cache = writer.cache();
    let ends = in_a_minute(&cache);
    let mut values = Vec::new();
    for id in 0..6 {
        cache.put(&key(Kind::Tls, id), b"secret", ends, Ack::Tier).await.unwrap();
        let known: Vec<_> = values.iter().map(|(name, _)| name).cloned().collect();
        values.extend(engine.all().into_iter().filter(|(name, _)| !known.contains(name)));
    }
    let set = |at: usize, value: &[u8]| {
        let mut command = redis::cmd("SET");
        command.arg(&values[at].0).arg(value).exec(&mut engine.connection()).unwrap();
    };
    let original = |at: usize| values[at].1.clone();
    set(0, &original(1));
    set(1, &original(1)[..40]);
    let mut damaged = original(2);
    *damaged.last_mut().unwrap() ^= 1;
    set(2, &damaged);
    set(3, b"somebody else's");
    let mut of_later_format = original(4);
    of_later_format[1] += 1;
    set(4, &of_later_format);
    engine.ask::<()>(&format!("DEL {}", values[5].0));
    engine.ask::<()>(&format!("LPUSH {} a", values[5].0));

    let reader = start(config(&engine.url())).await;
    for id in 0..6 {
        assert!(reader.cache().get(&key(Kind::Tls, id)).await.is_none(), "{id}");
    }
    let status = upstream(&reader);
    assert_eq!((status.rejected, status.hits, status.misses), (6, 0, 0));
    assert_eq!(reader.status().hits_upstream, 0);
    // What does not look like ours is overwritten, what is no text refused.
    cache.put(&key(Kind::Tls, 3), b"newer", ends, Ack::Tier).await.unwrap();
    assert_eq!(&*reader.cache().get(&key(Kind::Tls, 3)).await.unwrap().value, b"newer");
    let put = cache.put(&key(Kind::Tls, 5), b"newer", ends, Ack::Tier).await;
    assert!(matches!(put, Err(WriteError::Upstream(UpstreamError::Refused(_)))), "{put:?}");
    assert_eq!(upstream(&writer).refused, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_full_drops_and_counts_and_fails_who_waits() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let mut config = config(&url);
    config.upstreams = vec![UpstreamConfig { queue_records: 4, ..config.upstreams.remove(0) }];
    let node = segue::Node::start(config).unwrap();
    let cache = node.cache();
    let ends = in_a_minute(&cache);
    for id in 0..10 {
        cache.put(&key(Kind::Web, id), b"cart", ends, Ack::Local).await.unwrap();
    }
    let status = upstream(&node);
    assert_eq!((status.queued, status.dropped), (4, 6));
    let put = cache.put(&key(Kind::Web, 10), b"cart", ends, Ack::Tier).await;
    assert!(is_down(&put), "{put:?}");
    assert!(cache.remove(&key(Kind::Web, 0), Ack::Local).await.unwrap());
    let status = upstream(&node);
    assert_eq!((status.queued, status.dropped), (5, 7), "a delete has room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_of_an_engine_that_is_up_fails_who_waits() {
    let engine = Engine::start(&[]);
    let mut config = config(&engine.url());
    config.upstreams = vec![UpstreamConfig { queue_bytes: 1_000, ..config.upstreams.remove(0) }];
    let node = start(config).await;
    let cache = node.cache();
    let put = cache.put(&key(Kind::Web, 1), &[7; 1_000], in_a_minute(&cache), Ack::Tier).await;
    assert!(matches!(put, Err(WriteError::Upstream(UpstreamError::QueueFull))), "{put:?}");
    assert_eq!(upstream(&node).dropped, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_memory_refuses_and_that_is_told() {
    let engine = Engine::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let node = start(config(&engine.url())).await;
    let cache = node.cache();
    let put = cache.put(&key(Kind::Web, 1), b"cart", in_a_minute(&cache), Ack::Tier).await;
    let Err(WriteError::Upstream(UpstreamError::Refused(why))) = put else { panic!("{put:?}") };
    assert!(why.contains("OOM"), "{why}");
    assert_eq!(upstream(&node).state, UpstreamState::Up);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_given_and_a_wrong_one_is_never_shown() {
    let engine = Engine::start(&["--requirepass", "the right one"]);
    let at = |password: &str| format!("redis://:{password}@127.0.0.1:{}", engine.port());
    let node = start(config(&at("the%20right%20one"))).await;
    let cache = node.cache();
    cache.put(&key(Kind::Web, 1), b"cart", in_a_minute(&cache), Ack::Tier).await.unwrap();
    let other = segue::Node::start(config(&at("another"))).unwrap();
    eventually("it is told", || upstream(&other).error.is_some()).await;
    let status = format!("{:?}", other.status());
    assert!(!status.contains("another") && status.contains("uthentication failed"), "{status}");
}

/// The very rights that docs/upstream.md names.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_the_least_rights_will_do() {
    let engine = Engine::start(&[]);
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/upstream.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let (_, rest) = docs.split_once("`ACL SETUSER").expect("the page has the command");
    let (command, _) = rest.split_once('`').expect("it ends");
    engine.ask::<()>(&format!("ACL SETUSER{}", command.replace("PASSWORD", "word")));
    let url = format!("redis://segue:word@127.0.0.1:{}", engine.port());
    let node = start(config(&url)).await;
    let cache = node.cache();
    let ends = in_a_minute(&cache);
    cache.put(&key(Kind::Web, 1), b"cart", ends, Ack::Tier).await.unwrap();
    let other = start(config(&url)).await;
    assert!(other.cache().get(&key(Kind::Web, 1)).await.is_some());
}

/// What waits goes up when a node takes its leave.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_has_sent_up_what_it_wrote() {
    let engine = Engine::start(&[]);
    let node = start(config(&engine.url())).await;
    let cache = node.cache();
    let ends = in_a_minute(&cache);
    for id in 0..2_000 {
        cache.put(&key(Kind::Web, id), b"cart", ends, Ack::Local).await.unwrap();
    }
    node.shutdown().await;
    assert_eq!(engine.ask::<u64>("DBSIZE"), 2_000);
}
