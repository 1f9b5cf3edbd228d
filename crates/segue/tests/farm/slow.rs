//! A way up that carries a megabit a second.

use std::net::SocketAddr;
use std::time::Duration;

use segue::{Ack, Config, Deadlines, UpstreamConfig, UpstreamState};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::tiers::{address, config, state};
use crate::{eventually, key, start};

/// A megabit a second.
const BYTES_A_SECOND: u32 = 125_000;
/// What waits for the way: half a second of it. The rest is lost.
const WAITING: usize = 64 << 10;
const PAYLOAD: usize = 8 << 10;
const RECORDS: u32 = 128;

/// Passes datagrams on to `target` as fast as the way carries them, and answers
/// back at once.
async fn slow_way(target: SocketAddr) -> SocketAddr {
    let (below, above) = (bound().await, bound().await);
    above.connect(target).await.unwrap();
    let place = below.local_addr().unwrap();
    tokio::spawn(async move {
        let (queue, mut queued) = mpsc::channel::<Vec<u8>>(WAITING / 1_200);
        let carry = async {
            let mut free = Instant::now();
            while let Some(datagram) = queued.recv().await {
                let len = u32::try_from(datagram.len()).unwrap();
                free = free.max(Instant::now()) + Duration::from_secs(1) * len / BYTES_A_SECOND;
                sleep_until(free).await;
                let _ = above.send(&datagram).await;
            }
        };
        let pass = async {
            let (mut up, mut down, mut from) = ([0; 2_048], [0; 2_048], None);
            loop {
                tokio::select! {
                    Ok((len, caller)) = below.recv_from(&mut up) => {
                        from = Some(caller);
                        let _ = queue.try_send(up[..len].to_vec());
                    }
                    Ok(len) = above.recv(&mut down) => {
                        let _ = below.send_to(&down[..len], from.unwrap()).await;
                    }
                }
            }
        };
        tokio::join!(carry, pass)
    });
    place
}

async fn bound() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

/// Two megabytes, one of them a single record, take some 17 seconds.
#[tokio::test(flavor = "multi_thread")]
async fn long_a_queue_drains_over_a_slow_way() {
    let core = start(config("core", &[], &[])).await;
    let place = slow_way(address(&core)).await;
    let above = UpstreamConfig::nodes(vec![place]);
    let edge = Config { upstreams: vec![above], ..config("edge", &[], &[]) };
    let edge = start(edge).await;
    let cache = edge.cache();
    let ends = Deadlines::at(cache.now() + Duration::from_secs(3_600));
    eventually("the link stands", || state(&edge) != UpstreamState::Down).await;
    for id in 0..RECORDS {
        cache.put(&key(id), &[7; PAYLOAD], ends, Ack::Local).await.unwrap();
    }
    cache.put(&key(RECORDS), &vec![7; 1 << 20], ends, Ack::Local).await.unwrap();
    let began = Instant::now();
    let written = || edge.status().upstreams[0].written;
    for part in 1..=4 {
        let expected = u64::from(RECORDS + 1) * part / 4;
        eventually("some more has come up", || written() >= expected).await;
    }
    let status = &edge.status().upstreams[0];
    assert_eq!((status.queued, status.dropped, status.refused), (0, 0, 0), "{status:?}");
    assert_eq!(status.reconnects, 0, "the link stands all the time: {status:?}");
    let links = core.status().links;
    let carried = Duration::from_secs(links.received_bytes) / BYTES_A_SECOND;
    assert!(began.elapsed() >= carried / 2, "the way is slow");
    assert!((0..=RECORDS).all(|id| core.cache().peek(&key(id)).is_some()));
    let payload = u64::from(RECORDS) * PAYLOAD as u64 + (1 << 20);
    assert!(links.received_bytes < 2 * payload, "little is sent twice: {links:?}");
}
