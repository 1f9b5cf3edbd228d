//! Operations that need one answer, at nodes that talk over real sockets.

use std::time::{Duration, Instant};

use segue::{
    Cache, Config, FARM_KEY_BYTES, FarmKey, Key, Keyring, Kind, Node, OneAnswerError, Transport,
    Wall,
};

fn unicast(name: &str, peers: &[&Node]) -> Config {
    let keys = Keyring::new(vec![FarmKey::new([9; FARM_KEY_BYTES])]).expect("one key");
    let peers = peers.iter().map(|node| node.status().address).collect();
    let config = Config::new(name, keys);
    Config { transport: Transport::Unicast, peers, memory_bytes: 16 << 20, ..config }
}

/// Polls until `holds`, for as long as a slow machine may take.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Three nodes, all of which vote and have nothing left to bring over.
async fn farm() -> [Node; 3] {
    let a = Node::start(unicast("a", &[])).expect("a node starts");
    let b = Node::start(unicast("b", &[&a])).expect("a node starts");
    let c = Node::start(unicast("c", &[&a, &b])).expect("a node starts");
    let nodes = [a, b, c];
    for node in &nodes {
        eventually("all three vote", || node.status().one_answer.voters == 3).await;
    }
    nodes
}

fn key(id: &[u8]) -> Key {
    Key::new(Kind::Web, id).expect("a short id")
}

fn later(cache: &Cache) -> Wall {
    cache.now() + Duration::from_secs(600)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_wins_and_all_read_what_it_wrote() {
    let nodes = farm().await;
    let caches = nodes.each_ref().map(Node::cache);
    for round in 0..20_u32 {
        let key = key(&round.to_be_bytes());
        let deadline = later(&caches[0]);
        let [a, b, c] = &caches;
        let (a, b, c) = tokio::join!(
            a.set_if_absent(&key, b"a", deadline),
            b.set_if_absent(&key, b"b", deadline),
            c.set_if_absent(&key, b"c", deadline),
        );
        let won = [a, b, c].map(|won| won.expect("a whole farm answers"));
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "round {round}: {won:?}");
        let winner = won.iter().position(|won| *won).expect("one won");
        let value = &b"abc"[winner..=winner];
        for cache in &caches {
            let agreed = cache.get_agreed(&key).await.expect("a whole farm answers");
            assert_eq!(agreed.as_deref().map(Vec::as_slice), Some(value));
            eventually("the value is published", || {
                cache.peek(&key).is_some_and(|found| *found.value == value)
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_takes_and_locks_are_one_for_the_farm() {
    let nodes = farm().await;
    let caches = nodes.each_ref().map(Node::cache);
    let (counter, once, lock) = (key(b"counter"), key(b"once"), key(b"lock"));
    let add = |cache: Cache| {
        tokio::spawn(async move {
            for _ in 0..20 {
                let deadline = later(&cache);
                cache.increment(&counter, 1, deadline).await.expect("a whole farm answers");
            }
        })
    };
    for adding in caches.clone().map(add) {
        adding.await.expect("it adds");
    }
    let sum = caches[1].increment(&counter, 0, later(&caches[1])).await;
    assert_eq!(sum, Ok(60));

    let value = vec![7; 1 << 20];
    caches[0].set_agreed(&once, &value, later(&caches[0])).await.expect("a whole farm answers");
    let [a, b, c] = &caches;
    let (a, b, c) = tokio::join!(a.take(&once), b.take(&once), c.take(&once));
    let taken = [a, b, c].map(|taken| taken.expect("a whole farm answers"));
    let taken: Vec<_> = taken.into_iter().flatten().collect();
    assert!(taken.len() == 1 && *taken[0] == value, "{} took it", taken.len());

    let minute = Duration::from_secs(60);
    let held = caches[0].lock(&lock, "a", minute).await.expect("a whole farm answers");
    let held = held.expect("it was free");
    assert_eq!(caches[1].lock(&lock, "b", minute).await, Ok(None));
    assert_eq!(
        caches[1].increment(&lock, 1, later(&caches[1])).await,
        Err(OneAnswerError::WrongKind)
    );
    assert!(caches[2].renew(&lock, held, minute).await.expect("a whole farm answers").is_some());
    assert_eq!(caches[0].unlock(&lock, held).await, Ok(true));
    assert_eq!(caches[0].unlock(&lock, held).await, Ok(false));
    let next = caches[1].lock(&lock, "b", minute).await.expect("a whole farm answers");
    assert!(next.expect("it is free").token > held.token);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_farm_goes_on_without_one_of_three_and_a_closed_node_says_so() {
    let [a, b, c] = farm().await;
    let (kept, ended) = (a.cache(), c.cache());
    let deadline = later(&kept);
    assert_eq!(kept.set_if_absent(&key(b"k"), b"1", deadline).await, Ok(true));
    c.shutdown().await;
    assert_eq!(ended.set_if_absent(&key(b"k"), b"2", deadline).await, Err(OneAnswerError::Closed));
    for node in [&a, &b] {
        eventually("it is no voter any more", || node.status().one_answer.voters == 2).await;
    }
    assert_eq!(b.cache().set_if_absent(&key(b"k"), b"2", deadline).await, Ok(false));
    assert_eq!(b.cache().compare_and_set(&key(b"k"), b"1", b"3", deadline).await, Ok(true));
    assert_eq!(kept.compare_and_remove(&key(b"k"), b"3").await, Ok(true));
    assert_eq!(kept.set_if_absent(&key(b"k"), b"4", deadline).await, Ok(true));
}
