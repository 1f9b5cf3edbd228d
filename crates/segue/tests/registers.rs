//! Registers that are asked for at the node itself, in a farm one of whose
//! nodes is killed: by a signal, and without a word to the others.
#![expect(clippy::print_stdout, reason = "times are told, not asserted")]

use std::env;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use proto::connection::GroupId;
use proto::connection::epoch::{Term, term_key};
use segue::{
    Cache, Config, FARM_KEY_BYTES, FarmKey, Incarnation, Key, Keyring, Node, Transport, Wall,
};

/// Names the nodes that the process which is to be killed joins.
const PEERS: &str = "SEGUE_TEST_PEERS";
/// Among so many keys some have the killed node for their home: none would one
/// time in (3/2)^64.
const GROUPS: u128 = 64;

fn config(name: &str, peers: Vec<SocketAddr>) -> Config {
    let keys = Keyring::new(vec![FarmKey::new([9; FARM_KEY_BYTES])]).expect("one key");
    let config = Config::new(name, keys);
    Config { transport: Transport::Unicast, peers, memory_bytes: 16 << 20, ..config }
}

/// The third node, in a process of its own. Dropped, it is killed.
struct Third(Child);

impl Third {
    fn start(peers: &[&Node]) -> Self {
        let peers: Vec<String> =
            peers.iter().map(|node| node.status().address.to_string()).collect();
        let tests = env::current_exe().expect("a test has a file");
        let process = Command::new(tests)
            .args(["--exact", "the_node_that_is_killed"])
            .env(PEERS, peers.join(","))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the tests' own file runs");
        Self(process)
    }

    fn kill(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it was killed");
    }
}

impl Drop for Third {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What [`Third`] runs; by itself it has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn the_node_that_is_killed() {
    let Ok(peers) = env::var(PEERS) else { return };
    let peers = peers.split(',').map(|peer| peer.parse().unwrap()).collect();
    let _node = Node::start(config("c", peers)).unwrap();
    // Its input ends with the process that started it.
    let ended =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    ended.await.unwrap().unwrap();
}

/// Three nodes, all of which vote.
async fn farm() -> (Node, Node, Third) {
    let a = Node::start(config("a", vec![])).expect("a node starts");
    let b = Node::start(config("b", vec![a.status().address])).expect("a node starts");
    let third = Third::start(&[&a, &b]);
    let limit = Instant::now() + Duration::from_secs(60);
    while [&a, &b].iter().any(|node| node.status().one_answer.voters < 3) {
        assert!(Instant::now() < limit, "never: all three vote");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (a, b, third)
}

fn term(before: Option<Term>, owner: u128) -> Term {
    Term::after(before, Incarnation(owner), None)
}

/// Reads a term and claims the next one, as the others do after a death; gives
/// how long that took.
async fn claim(cache: &Cache, key: &Key, owner: u128) -> Duration {
    let registers = cache.registers();
    let began = Instant::now();
    let found = registers.read(key).await.expect("two of three answer");
    let before = found.as_ref().map(|found| Term::from_value(found).expect("a term"));
    let new = term(before, owner).value();
    let expected = found.as_deref().map(Vec::as_slice);
    let won = registers.compare_and_set(key, expected, &new, Wall::MAX).await;
    assert_eq!(won, Ok(true), "nobody else claims it");
    began.elapsed()
}

/// Claims each key's next term at the nodes in turn, and prints how long it
/// took.
async fn claim_all(what: &str, caches: &[Cache]) {
    let mut took = Vec::new();
    for group in 0..GROUPS {
        for (owner, cache) in (0..).zip(caches) {
            took.push(claim(cache, &term_key(GroupId(group)), owner).await);
        }
    }
    took.sort_unstable();
    let (first, last) = (took[0], took[took.len() - 1]);
    println!(
        "{what}: {first:?} to {last:?}, p50 {:?}, p99 {:?}",
        took[took.len() / 2],
        took[took.len() * 99 / 100]
    );
}

/// What is read at each node.
async fn read(caches: &[Cache], key: &Key) -> Vec<Option<Term>> {
    let mut terms = Vec::new();
    for cache in caches {
        let found = cache.registers().read(key).await.expect("two of three answer");
        terms.push(found.map(|found| Term::from_value(&found).expect("a term")));
    }
    terms
}

#[tokio::test(flavor = "multi_thread")]
async fn survivors_are_answered_before_the_dead_are_missed() {
    let (a, b, mut third) = farm().await;
    let caches = [a.cache(), b.cache()];
    claim_all("all three live", &caches).await;
    third.kill();
    claim_all("one has died", &caches).await;
    for group in 0..GROUPS {
        let last = read(&caches, &term_key(GroupId(group))).await;
        let epochs: Vec<_> = last.iter().map(|term| term.map(|term| term.epoch)).collect();
        assert_eq!(epochs, [Some(4), Some(4)], "group {group}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_survivors_that_claim_at_once_one_wins() {
    let (a, b, mut third) = farm().await;
    let caches = [a.cache(), b.cache()];
    let key = term_key(GroupId(7));
    let [one, other] = caches.each_ref().map(Cache::registers);
    let mut before = None;
    third.kill();
    let mut took = Vec::new();
    for round in 0..200 {
        let expected = before.map(|before: Term| before.value());
        let news = [term(before, 1), term(before, 2)];
        let values = news.map(|new| new.value());
        let began = Instant::now();
        let (one, other) = tokio::join!(
            one.compare_and_set(&key, expected.as_deref(), &values[0], Wall::MAX),
            other.compare_and_set(&key, expected.as_deref(), &values[1], Wall::MAX),
        );
        took.push(began.elapsed());
        let last = read(&caches, &key).await;
        let winner = last[0].expect("one of them won");
        assert_eq!(last, [Some(winner), Some(winner)], "round {round}");
        assert!(news.contains(&winner), "round {round}: {winner:?}");
        for (won, new) in [one, other].into_iter().zip(news) {
            match won {
                Ok(won) => assert_eq!(won, new == winner, "round {round}"),
                Err(error) => assert!(error.is_unknown(), "round {round}: {error}"),
            }
        }
        before = Some(winner);
    }
    took.sort_unstable();
    println!(
        "a duel of survivors: p50 {:?}, p99 {:?}, {:?} at most",
        took[100], took[198], took[199]
    );
}
