//! A Cluster of three masters below which slots move and masters die.

use segue::{Ack, Kind, Node, UpstreamState};

use crate::engine::Cluster;
use crate::{config, eventually, in_a_minute, key, start, upstream};

const RECORDS: u32 = 60;

async fn put_all(node: &Node) {
    let cache = node.cache();
    for id in 0..RECORDS {
        cache.put(&key(Kind::Web, id), b"cart", in_a_minute(&cache), Ack::Tier).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_master_has_its_part_and_all_of_it_comes_back() {
    let cluster = Cluster::start();
    put_all(&start(config(&cluster.url())).await).await;
    let sizes: Vec<_> = cluster.masters.iter().map(|master| master.ask::<u32>("DBSIZE")).collect();
    assert!(sizes.iter().all(|&size| size > 0), "{sizes:?}");
    assert_eq!(sizes.iter().sum::<u32>(), RECORDS);
    let other = start(config(&cluster.url())).await;
    for id in 0..RECORDS {
        assert!(other.cache().get(&key(Kind::Web, id)).await.is_some(), "{id}");
    }
    assert_eq!(upstream(&other).hits, u64::from(RECORDS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_is_followed() {
    let cluster = Cluster::start();
    let writer = start(config(&cluster.url())).await;
    // It knows the slots as they were.
    let reader = start(config(&cluster.url())).await;
    put_all(&writer).await;
    let [from, to, third] = &cluster.masters[..] else { unreachable!("there are three") };
    let [from_id, to_id] = [from, to].map(|master| master.ask::<String>("CLUSTER MYID"));
    for (name, _) in from.all() {
        let slot: u32 = from.ask(&format!("CLUSTER KEYSLOT {name}"));
        to.ask::<()>(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"));
        from.ask::<()>(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"));
        from.ask::<redis::Value>(&format!("MIGRATE 127.0.0.1 {} {name} 0 5000", to.port()));
        for master in [to, from, third] {
            master.ask::<()>(&format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
        }
    }
    assert_eq!(from.ask::<u32>("DBSIZE"), 0);
    let cache = reader.cache();
    for id in 0..RECORDS {
        // What was redirected once may have taken longer than a look-up waits.
        while cache.get(&key(Kind::Web, id)).await.is_none() {
            let status = upstream(&reader);
            assert_eq!((status.misses, status.rejected), (0, 0), "{id}: {status:?}");
        }
    }
    put_all(&writer).await;
    assert_eq!(upstream(&writer).refused, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_master_is_dead_the_keys_of_the_others_go_on() {
    let mut cluster = Cluster::start();
    let writer = start(config(&cluster.url())).await;
    put_all(&writer).await;
    let lost = cluster.masters[2].ask::<u32>("DBSIZE");
    cluster.masters[2].kill();
    let cache = writer.cache();
    let ends = in_a_minute(&cache);
    let mut written = 0;
    for id in 0..RECORDS {
        let put = cache.put(&key(Kind::Web, id), b"newer cart", ends, Ack::Tier).await;
        written += u32::from(put.is_ok());
    }
    assert_eq!(written, RECORDS - lost, "what living masters have, and only that");
    assert_eq!(upstream(&writer).state, UpstreamState::Up);
    let reader = start(config(&cluster.url())).await;
    let mut found = 0;
    for id in 0..RECORDS {
        let record = reader.cache().get(&key(Kind::Web, id)).await;
        found += u32::from(record.is_some_and(|found| *found.value == b"newer cart"));
    }
    assert_eq!(found, written);
    cluster.masters[2].restart();
    eventually("what waited for it goes up", || upstream(&writer).queued == 0).await;
}
