use std::time::Duration;

use proto::record::Kind;

use super::*;

/// More than any batch has.
const ANY: usize = 1 << 20;

/// A write of so many bytes.
pub(in super::super) fn write(len: usize, deletes: bool) -> Write {
    let key = Key::new(Kind::Web, b"id").expect("a short id");
    #[cfg(feature = "redis")]
    let label = {
        use proto::keyring::{FarmKey, Keyring};
        let keys = Keyring::new(vec![FarmKey::new([1; 32])]).expect("one key");
        Label { name: proto::upstream::Seals::new(&keys).name(&key), expires: Wall::MAX }
    };
    Write {
        key,
        #[cfg(feature = "redis")]
        label,
        version: None,
        value: vec![0; len].into(),
        deletes,
        tries: 0,
        done: None,
    }
}

#[test]
fn is_bounded_by_records_and_has_room_for_deletes() {
    let queue = Queue::new(Bounds { records: 2, bytes: usize::MAX / 2 });
    for (deletes, fits) in
        [(false, true), (false, true), (false, false), (true, true), (true, true), (true, false)]
    {
        assert_eq!(queue.push(write(1, deletes)).is_ok(), fits);
    }
    assert_eq!(queue.take(ANY).len(), 4);
    assert_eq!(queue.load(), (0, 0));
    assert_eq!(queue.left(), 4, "they are under way");
    queue.landed(4);
    assert_eq!(queue.left(), 0);
}

#[test]
fn is_bounded_by_bytes() {
    let queue = Queue::new(Bounds { records: 100, bytes: 2 * (WRITE_BYTES + 10) });
    assert!(queue.push(write(10, false)).is_ok());
    assert!(queue.push(write(11, false)).is_err());
    assert!(queue.push(write(10, false)).is_ok());
}

#[test]
fn what_goes_together_is_bounded_and_a_long_write_goes_alone() {
    let queue = Queue::new(Bounds { records: 1_000, bytes: 1 << 30 });
    let lens = [vec![1; BATCH_RECORDS + 1], vec![2 * ANY, 1]].concat();
    for len in lens {
        assert!(queue.push(write(len, false)).is_ok());
    }
    let taken: Vec<_> = std::iter::from_fn(|| Some(queue.take(ANY).len())).take(5).collect();
    assert_eq!(taken, [BATCH_RECORDS, 1, 1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_to_go_later_waits_for_its_time_and_takes_room_meanwhile() {
    let queue = Queue::new(Bounds { records: 2, bytes: ANY });
    let began = Instant::now();
    let due = |seconds| began + Duration::from_secs(seconds);
    for (len, seconds) in [(2, 2), (1, 1)] {
        assert!(queue.push_later(write(len, false), due(seconds)).is_ok());
    }
    assert!(queue.push(write(3, false)).is_err(), "it is full");
    assert!(queue.take(ANY).is_empty());
    queue.filled().await;
    assert_eq!(Instant::now(), due(1));
    assert_eq!(queue.take(ANY).iter().map(|write| write.value.len()).collect::<Vec<_>>(), [1]);
    assert!(queue.take(ANY).is_empty());
    queue.hurry();
    queue.filled().await;
    assert_eq!((queue.take(ANY).len(), Instant::now()), (1, due(1)));
    assert_eq!(queue.load(), (0, 0));
}

#[test]
fn a_record_that_is_touched_often_waits_once() {
    let queue = Queue::new(Bounds { records: 1, bytes: 1 });
    for hash in [3, 1, 3, 2, 3] {
        assert!(queue.touch(KeyHash(hash)));
    }
    assert_eq!(queue.take_touched(2), [KeyHash(1), KeyHash(2)]);
    assert_eq!(queue.take_touched(2), [KeyHash(3)]);
    assert!((0..MAX_TOUCHED as u64).all(|hash| queue.touch(KeyHash(hash))));
    assert!(queue.touch(KeyHash(0)) && !queue.touch(KeyHash(u64::MAX)));
}
