//! `segue bench-member`: one process of the bench. It does what it is told, a
//! line on standard input at a time, and ends with it.

use std::io::{self, BufRead as _, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use segue::{
    Ack, Cache, Deadlines, FarmKey, Key, Keyring, Kind, MemberState, Multicast, News, Node,
    Transport,
};
use tokio::runtime::Runtime;

use super::lags::{Lags, stamp};
use super::orders::{Figures, NodeRole, Order, Place, Reply, Role, Work};
use super::plain;

/// How many sessions the records are of. Each is written again and again, as
/// when carts change.
const SESSIONS: u64 = 10_000;

/// Writes between two looks at the clock, where no rate is kept.
const WRITES_BETWEEN_LOOKS: u64 = 64;

/// How long a record lives: past the end of any run.
const LIFETIME: Duration = Duration::from_secs(3_600);

/// How long the farm may take to have everything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Echoes that a round trip is the median of.
const PINGS: usize = 2_001;

/// Serves until standard input ends.
///
/// # Errors
///
/// When it cannot do what it is told.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut lines = io::stdin().lock().lines();
    let mut next = || -> anyhow::Result<Option<String>> { Ok(lines.next().transpose()?) };
    let (place, role): (Place, Role) =
        serde_json::from_str(&next()?.context("a member is told its role first")?)?;
    let member = Member::new(&place, role)?;
    answer(&Reply::Ready(member.address()?))?;
    while let Some(order) = next()? {
        answer(&member.obey(serde_json::from_str(&order)?)?)?;
    }
    Ok(())
}

fn answer(reply: &Reply) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, reply)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// This process.
enum Member {
    Node(Box<NodeMember>),
    Plain(plain::Plain),
    Echo(UdpSocket),
}

struct NodeMember {
    node: Node,
    runtime: Runtime,
    lags: Arc<Mutex<Lags>>,
}

impl Member {
    fn new(place: &Place, role: Role) -> anyhow::Result<Self> {
        match role {
            Role::Node(role) => {
                NodeMember::new(place, &role).map(|node| Self::Node(Box::new(node)))
            }
            Role::Plain => plain::Plain::new(place).map(Self::Plain),
            Role::Echo => {
                let socket = UdpSocket::bind((place.address, 0))?;
                let echo = socket.try_clone()?;
                std::thread::spawn(move || {
                    let mut packet = [0; 64];
                    while let Ok((bytes, from)) = echo.recv_from(&mut packet) {
                        // One that is lost is asked for no more.
                        let _ = echo.send_to(&packet[..bytes], from);
                    }
                });
                Ok(Self::Echo(socket))
            }
        }
    }

    fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Node(member) => Ok(member.node.status().address),
            Self::Plain(plain) => plain.address(),
            Self::Echo(socket) => socket.local_addr(),
        }
    }

    fn obey(&self, order: Order) -> anyhow::Result<Reply> {
        match (self, order) {
            (Self::Node(member), Order::Meet { others }) => member.meet(others),
            (Self::Node(member), Order::Write(work)) => member.write(work),
            (Self::Node(member), Order::Fill { records, bytes }) => member.fill(records, bytes),
            (Self::Node(member), Order::WatchDigests { tellings }) => {
                member.watch_digests(tellings)
            }
            (Self::Node(member), Order::Look) => member.look(),
            (Self::Plain(plain), Order::Flood { seconds }) => plain.flood(seconds),
            (Self::Plain(plain), Order::Forge(forgery)) => plain.forge(&forgery),
            (Self::Plain(plain), Order::Ping { to }) => ping(plain.address()?, to),
            (Self::Node(_) | Self::Plain(_) | Self::Echo(_), order) => {
                bail!("{order:?} is not for it")
            }
        }
    }
}

impl NodeMember {
    fn new(place: &Place, role: &NodeRole) -> anyhow::Result<Self> {
        let lags = Arc::new(Mutex::new(Lags::new()));
        let counted = Arc::clone(&lags);
        let observer = move |news: &News<'_>| {
            if let News::Arrived(arrived) = news
                && let Some(written) = arrived.value.and_then(|value| value.first_chunk())
            {
                let mut lags = counted.lock().unwrap_or_else(PoisonError::into_inner);
                lags.count(u64::from_be_bytes(*written));
            }
        };
        let transport = Transport::Multicast(Multicast {
            group: place.group,
            interface: place.interface.parse()?,
            segmentation: role.segmentation,
            ..Multicast::default()
        });
        let keys = Keyring::new(vec![FarmKey::new(role.key)])?;
        let config = segue::Config {
            listen: (place.address, 0).into(),
            transport,
            memory_bytes: role.memory_bytes,
            ack_timeout: PATIENCE,
            drop_received: role.loss,
            ..segue::Config::new(place.address.to_string(), keys)
        };
        let node = Node::start_observed(config, role.lags.then_some(Box::new(observer) as _))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(node.ready());
        Ok(Self { node, runtime, lags })
    }

    fn meet(&self, others: usize) -> anyhow::Result<Reply> {
        let limit = Instant::now() + PATIENCE;
        let alive = || {
            let members = self.node.status().members;
            members.iter().filter(|member| member.state == MemberState::Alive).count()
        };
        while alive() < others {
            if Instant::now() > limit {
                bail!("only {} of {others} others were met", alive());
            }
            // A node's status is made anew every few ten milliseconds.
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Reply::Met)
    }

    fn write(&self, work: Work) -> anyhow::Result<Reply> {
        let cache = self.node.cache();
        let began = Instant::now();
        let count = self.runtime.block_on(write(&cache, work, began))?;
        Ok(Reply::Done { count, seconds: began.elapsed().as_secs_f64() })
    }

    fn fill(&self, records: u64, bytes: usize) -> anyhow::Result<Reply> {
        let cache = self.node.cache();
        let began = Instant::now();
        let value = vec![7; bytes];
        let deadlines = Deadlines::at(cache.now() + LIFETIME);
        self.runtime.block_on(async {
            for record in 1..=records {
                let key = Key::new(Kind::Web, &record.to_be_bytes())?;
                let ack = if record == records { Ack::All } else { Ack::Local };
                cache.put(&key, &value, deadlines, ack).await?;
            }
            anyhow::Ok(())
        })?;
        Ok(Reply::Done { count: records, seconds: began.elapsed().as_secs_f64() })
    }

    /// From one telling to another, as nothing is told in between.
    fn watch_digests(&self, tellings: u32) -> anyhow::Result<Reply> {
        let limit = Instant::now() + PATIENCE * (tellings + 1);
        let told = || self.node.status().multicast.digest_bytes;
        let next = |before: u64| -> anyhow::Result<(u64, Instant)> {
            loop {
                let (bytes, now) = (told(), Instant::now());
                if bytes > before {
                    return Ok((bytes, now));
                }
                ensure!(now < limit, "no digests are told");
                // A node's status is made anew every few ten milliseconds.
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        let (first, began) = next(told())?;
        let (mut last, mut ended) = (first, began);
        for _ in 0..tellings {
            (last, ended) = next(last)?;
        }
        Ok(Reply::DigestBytes((last - first) as f64 / (ended - began).as_secs_f64()))
    }

    fn look(&self) -> anyhow::Result<Reply> {
        let status = self.node.status();
        let incarnation = u128::from_str_radix(&status.incarnation, 16)?.to_be_bytes();
        let (high, low) = incarnation.split_at(8);
        let stats = status.multicast;
        Ok(Reply::Figures(Figures {
            processor: sys::process::cpu_time(std::process::id())?.as_secs_f64(),
            packets: stats.sent_packets,
            repairs: stats.repairs_sent,
            unrecovered: stats.unrecovered,
            stalled: stats.stalled,
            overflowed: stats.overflowed,
            forged: stats.rejected.forged,
            ranges_fetched: stats.ranges_fetched,
            holds: (status.cache.records, status.members.len()),
            incarnation: [
                u64::from_be_bytes(high.try_into()?),
                u64::from_be_bytes(low.try_into()?),
            ],
            lag: self.lags.lock().unwrap_or_else(PoisonError::into_inner).take(),
        }))
    }
}

/// Writes records until the time is over; the last one is everywhere then.
async fn write(cache: &Cache, work: Work, began: Instant) -> anyhow::Result<u64> {
    let ends = began + Duration::from_secs_f64(work.seconds);
    let mut value = vec![0; work.bytes.max(size_of::<u64>())];
    let mut id = [0; 32];
    // Each writer has sessions of its own.
    id[8..12].copy_from_slice(&std::process::id().to_be_bytes());
    let mut count: u64 = 0;
    let deadlines = Deadlines::at(cache.now() + LIFETIME);
    loop {
        // A record tells when it was written, or else its number: no two alike.
        let mark = match work.rate {
            Some(rate) => {
                let due = began + Duration::from_secs_f64(count as f64 / rate);
                // The thread's own: a runtime's timers count milliseconds.
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                stamp()
            }
            None => count,
        };
        value[..8].copy_from_slice(&mark.to_be_bytes());
        id[..8].copy_from_slice(&(count % SESSIONS).to_be_bytes());
        let key = Key::new(Kind::Web, &id)?;
        // Asking for the time takes a good part of what a write does.
        let asks = work.rate.is_some() || count.is_multiple_of(WRITES_BETWEEN_LOOKS);
        count += 1;
        if asks && Instant::now() >= ends {
            cache.put(&key, &value, deadlines, Ack::All).await?;
            return Ok(count);
        }
        cache.put(&key, &value, deadlines, Ack::Local).await?;
    }
}

fn ping(from: SocketAddr, to: SocketAddr) -> anyhow::Result<Reply> {
    let socket = UdpSocket::bind((from.ip(), 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut trips = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let began = Instant::now();
        socket.send_to(&[0; 32], to)?;
        socket.recv(&mut [0; 32])?;
        trips.push(began.elapsed());
    }
    trips.sort_unstable();
    Ok(Reply::RoundTrip(trips[PINGS / 2].as_secs_f64()))
}
