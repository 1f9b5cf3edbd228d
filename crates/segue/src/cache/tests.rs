use proto::record::Hlc;

use super::*;
use crate::{Config, Kind, Node};

/// Longer than any clock is corrected by in small steps.
const HOURS: Duration = Duration::from_secs(5 * 3_600);

/// Puts a record into the table as a node has written it whose clock is ahead.
fn written_ahead(cache: &Cache, key: &Key) {
    let ahead = cache.now() + HOURS;
    let version = Version { time: Hlc::at(ahead), writer: Writer(7) };
    let deadlines = Deadlines::at(ahead + HOURS);
    let record = Record { key: *key, version, deadlines, body: Body::Value(b"ahead") };
    assert_eq!(cache.shared.holdings.admit(&record, cache.now()), Applied::New);
}

#[tokio::test]
async fn what_a_clock_that_is_ahead_has_written_can_be_written_and_deleted() {
    let node = Node::start(Config::single("a")).expect("one node");
    node.ready().await;
    let cache = node.cache();
    let ends = Deadlines::at(cache.now() + HOURS);
    let keys = [1, 2, 3, 4].map(|id| Key::new(Kind::Web, &[id]).expect("one byte"));
    let [written, deleted, renamed, name] = keys;
    for key in [&written, &deleted, &renamed] {
        written_ahead(&cache, key);
    }
    for value in [b"first", b"other"] {
        cache.put(&written, value, ends, Ack::Local).await.expect("it is later");
        assert_eq!(&*cache.peek(&written).expect("it is there").value, value);
    }
    assert!(cache.remove(&deleted, Ack::Local).await.expect("it is later"));
    assert!(cache.peek(&deleted).is_none());
    cache.rotate(&renamed, &name, Ack::Local).await.expect("it is later");
    assert!(cache.peek(&renamed).is_none() && cache.peek(&name).is_some());
    node.shutdown().await;
}
