//! A node of the farm: starting it, looking at it, ending it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::{io, mem, sync};

use parking_lot::Mutex;
use proto::holdings::Holdings;
use proto::keyring::{Keyring, RekeyError};
use proto::record::HybridClock;
use proto::rng::Rng;
use proto::table::{self, Table};
use proto::wire::control::MAX_NAME_BYTES;
use proto::wire::header::Incarnation;
use sys::memory::Region;
use sys::multicast::OpenError;
use sys::wait::{Sleeper, Waker};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::asks::Asks;
use crate::below::Below;
use crate::cache::{Cache, Edits, Shared};
use crate::claims::Claims;
use crate::config::{Config, Transport};
use crate::driver::clock::Clock;
use crate::driver::{self, Driver, Snapshot, Sockets};
use crate::error::StartError;
use crate::link::{Identity, Links};
use crate::lookup::Lookups;
use crate::neighbours::Neighbours;
use crate::news::{News, Observer};
use crate::peers;
use crate::portion::Keep;
use crate::status::{LookupStats, Status, Warning};
use crate::upstream::Tier;
use crate::writes::Writes;

/// A node of the farm. Dropping it ends it, as [`Node::shutdown`] does, but
/// without waiting for the end.
pub struct Node {
    name: String,
    incarnation: Incarnation,
    address: SocketAddr,
    cache: Cache,
    keys: watch::Sender<Keyring>,
    ready: watch::Receiver<bool>,
    snapshot: Arc<Mutex<Snapshot>>,
    warnings: Vec<Warning>,
    /// None where the node was started outside of a runtime.
    links: Option<Arc<Links>>,
    /// The driver's.
    thread: Option<JoinHandle<()>>,
}

impl Node {
    /// Starts a node: opens its sockets, joins the farm and begins to fetch
    /// its portion. [`Node::ready`] tells when that has arrived.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the configuration cannot work or a socket cannot be
    /// opened.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_observed(config, None)
    }

    /// The same, and has `observer` told of every record that comes from
    /// another node and is news here, of every value that ends here, and of
    /// what is said at other nodes. It is called by the thread that repairs
    /// what is lost, with a part of the cache locked: what it does has to be
    /// quick, and must not use the cache.
    ///
    /// # Errors
    ///
    /// Those of [`Node::start`].
    pub fn start_observed(config: Config, observer: Option<Observer>) -> Result<Self, StartError> {
        check_name(&config.name)?;
        let portion = config.portion.told(&config.name, config.memory_bytes)?;
        let incarnation = Incarnation(u128::from_be_bytes(random()?));
        let mut sockets = Sockets::open(&config, Rng::new(random()?)).map_err(opening)?;
        let address = sockets.address().map_err(StartError::Thread)?;
        let warnings = sockets.warnings.clone();
        let (sleeper, waker, alarm) =
            Sleeper::new(&sockets.sockets()).map_err(StartError::Thread)?;
        let (keys, own_keys) = watch::channel(config.keys.clone());
        let links = links(&mut sockets, &config.name, incarnation, own_keys.clone())?;
        let shared = Arc::new(shared(&config, links.as_ref(), incarnation, waker)?);
        let machine = proto::node::Config {
            name: config.name.clone(),
            incarnation,
            keyring: config.keys.clone(),
            begins_after: 0,
            address,
            multicast: matches!(config.transport, Transport::Multicast(_)),
            peers: peers::others(config.peers, address),
            ring_bytes: proto::node::Config::RING_BYTES,
            credit: sockets.credit,
            portion,
            compare_every: proto::node::Config::COMPARE_EVERY,
            lookup_timeout: config.lookup_timeout,
            seed: random()?,
        };
        let (holdings, versions) = (Arc::clone(&shared.holdings), Arc::clone(&shared.versions));
        let (now_ready, ready) = watch::channel(false);
        let snapshot = Arc::new(Mutex::new(Snapshot::default()));
        let mut node = proto::node::Node::new(machine, holdings, versions, shared.clock.now());
        node.keep_claims(shared.claims.own());
        node.agree(shared.clock.now(), agreement(random()?, config.portion.replicas));
        if let Some(mut observer) = observer {
            node.observe(Box::new(move |news| observer(&News::from(news))));
        }
        let driver = Driver::new(driver::Parts {
            node,
            sockets,
            shared: Arc::clone(&shared),
            alarm,
            keys: own_keys,
            ready: now_ready,
            snapshot: Arc::clone(&snapshot),
        });
        let driver = Arc::new(sync::Mutex::new(driver));
        let cache = Cache::new(shared, Arc::downgrade(&driver));
        cache.shared.tier.belongs_to(cache.downgrade());
        if let Some(links) = &links {
            let below = Below::new(cache.clone(), Arc::clone(&snapshot), ready.clone());
            links.serve(Arc::new(below));
        }
        let thread = Some(driver::spawn(driver, sleeper).map_err(StartError::Thread)?);
        let name = config.name;
        Ok(Self {
            name,
            incarnation,
            address,
            cache,
            keys,
            ready,
            snapshot,
            warnings,
            links,
            thread,
        })
    }

    /// The cache, to be read and written through this node.
    #[must_use]
    pub fn cache(&self) -> Cache {
        self.cache.clone()
    }

    /// The other nodes of the farm.
    #[must_use]
    pub fn neighbours(&self) -> Neighbours {
        Neighbours::new(Arc::clone(&self.snapshot))
    }

    /// Where it takes unicast packets, with the port that the kernel chose.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Which start of the node this is: random, and never again the same.
    #[must_use]
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Who the node is, and the farm's keys as they are at each time: for
    /// connections with other nodes beside its own.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let keys = self.keys.subscribe();
        Identity { name: self.name.clone(), incarnation: self.incarnation, keys }
    }

    /// Waits until the node's portion has arrived, or there is no other node
    /// to fetch it from.
    pub async fn ready(&self) {
        // It fails when the driver has ended: then nothing will arrive.
        let _ = self.ready.clone().wait_for(|ready| *ready).await;
    }

    /// The node's state and figures, at most a tenth of a second old.
    #[must_use]
    pub fn status(&self) -> Status {
        let Snapshot { keys, members, portion, troubles, multicast, lag, lookups, one_answer } =
            self.snapshot.lock().clone();
        Status {
            name: self.name.clone(),
            incarnation: self.incarnation.to_string(),
            address: self.address,
            ready: *self.ready.borrow(),
            keys,
            members,
            portion,
            troubles,
            near: self.cache.shared.holdings.near_stats(),
            cache: self.cache.shared.holdings.stats(),
            lookups: self.lookups(&lookups),
            hits_upstream: self.cache.shared.tier.hits(),
            upstreams: self.cache.shared.tier.status(),
            multicast,
            lag,
            links: self.links.as_ref().map(|links| links.figures()).unwrap_or_default(),
            one_answer,
            claims: self.cache.shared.claims.stats(),
        }
    }

    /// Its links with other nodes.
    #[cfg(test)]
    pub(crate) fn links(&self) -> Arc<Links> {
        Arc::clone(self.links.as_ref().expect("it was started on a runtime"))
    }

    /// What the operator should know about how the node started.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Uses these keys of the farm from here on: the first seals, all open.
    /// Nothing is lost if every key is in every node's ring before it seals in
    /// any, and stays until it seals in none. Keys that are not in the ring
    /// any more open for another 15 to 30 seconds.
    ///
    /// # Errors
    ///
    /// [`RekeyError`] when they place records elsewhere than the keys that the
    /// node was started with. Nothing changes then.
    pub fn rekey(&self, keys: Keyring) -> Result<(), RekeyError> {
        if keys.placement_secret() != self.keys.borrow().placement_secret() {
            return Err(RekeyError::Placement);
        }
        self.cache.shared.tier.rekey(&keys);
        self.keys.send_replace(keys);
        self.cache.shared.waker.wake();
        Ok(())
    }

    /// Takes leave of the farm and ends the node. Handles on its cache fail
    /// with [`crate::WriteError::Closed`] from then on.
    pub async fn shutdown(mut self) {
        // What was written until here goes up, and the driver brings the
        // answers meanwhile.
        self.cache.shared.writes.close();
        let shared = Arc::clone(&self.cache.shared);
        shared.tier.stop();
        if tokio::task::spawn_blocking(move || shared.tier.join()).await.is_err() {
            tracing::error!("the upstreams were not waited for");
        }
        if let Some(links) = &self.links {
            links.end().await;
        }
        self.stop();
        if let Some(thread) = mem::take(&mut self.thread) {
            let ended = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::error!("the node's driver did not end in order");
            }
        }
    }

    /// What the machine counted, and what is counted where it is asked.
    fn lookups(&self, counted: &proto::lookup::Counters) -> LookupStats {
        let Shared { holdings, lookups, .. } = &*self.cache.shared;
        let here = lookups.stats();
        LookupStats {
            hits_local: holdings.portion().stats().hits,
            hits_near: holdings.near_stats().map_or(0, |near| near.hits),
            queries: counted.queries,
            hedged: counted.hedged,
            repeated: counted.repeated,
            known_absent: counted.known_absent,
            unanswered: counted.unanswered,
            refused: counted.refused + here.refused,
            ..here
        }
    }

    fn stop(&self) {
        self.cache.shared.closed.store(true, Ordering::SeqCst);
        self.cache.shared.waker.wake();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
        self.cache.shared.tier.stop();
        if let Some(links) = mem::take(&mut self.links) {
            links.end_by_itself();
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({:?}, {:?})", self.name, self.incarnation)
    }
}

fn shared(
    config: &Config,
    links: Option<&Arc<Links>>,
    incarnation: Incarnation,
    waker: Waker,
) -> Result<Shared, StartError> {
    let holdings = Arc::new(holdings(config)?);
    Ok(Shared {
        tier: Tier::start(&config.upstreams, &config.keys, &holdings, links)?,
        holdings,
        versions: Arc::new(HybridClock::default()),
        clock: Clock::start(),
        writer: incarnation.writer(),
        ack_timeout: config.ack_timeout,
        lookup_timeout: config.lookup_timeout,
        claim_timeout: config.claim_timeout,
        closed: AtomicBool::new(false),
        alone: config.alone,
        writes: Writes::default(),
        lookups: Lookups::default(),
        claims: Claims::new(incarnation, config.memory_bytes),
        asks: Asks::default(),
        edits: Edits::default(),
        waker,
    })
}

/// Room for what the node is to hold.
fn holdings(config: &Config) -> Result<Holdings, StartError> {
    /// What of the memory of a node that does not keep everything is for the
    /// rest: its divisor. Records that it was asked for come again, if at all,
    /// soon.
    const NEAR: usize = 8;
    // A table that is to hold nothing.
    const NO_ROOM: usize = 64 << 10;
    if config.portion.keep == Keep::Nothing {
        let holdings = Holdings::new(table(config, NO_ROOM)?);
        return Ok(holdings.with_near(table(config, config.memory_bytes)?));
    }
    if config.portion.keep == Keep::All {
        return Ok(Holdings::new(table(config, config.memory_bytes)?));
    }
    let near = config.memory_bytes / NEAR;
    let portion = table(config, config.memory_bytes - near)?.with_slot_digests();
    Ok(Holdings::new(portion).with_near(table(config, near)?))
}

fn table(config: &Config, capacity_bytes: usize) -> Result<Table, StartError> {
    let placement_secret = config.keys.placement_secret();
    let config = table::Config { capacity_bytes, placement_secret, own_secret: random()? };
    // What the records hold is secret: it stays out of core dumps, and is
    // wiped before the system gets its pages back.
    let pages = |bytes| Ok(Box::new(Region::new(bytes)?) as Box<dyn table::Region>);
    let table = Table::with_memory(config, pages).map_err(StartError::Memory)?;
    Ok(table.with_prefetch(sys::memory::prefetch))
}

/// Opens the endpoint of links at the node's port, where there is a runtime
/// that drives it.
fn links(
    sockets: &mut Sockets,
    name: &str,
    incarnation: Incarnation,
    keys: watch::Receiver<Keyring>,
) -> Result<Option<Arc<Links>>, StartError> {
    if Handle::try_current().is_err() {
        return Ok(None);
    }
    let identity = Identity { name: name.to_owned(), incarnation, keys };
    let opened = sockets.share().and_then(|socket| Links::open(socket, identity));
    let (links, inlet) = opened.map_err(StartError::Links)?;
    sockets.leave_links_at(inlet);
    Ok(Some(Arc::new(links)))
}

/// How the node takes part in operations that need one answer; who it is, the
/// machine knows.
fn agreement(seed: [u8; 32], replicas: u8) -> proto::agree::Config {
    /// Some 100,000 locks or counters, or 32 of the largest values.
    const CAPACITY_BYTES: usize = 32 << 20;
    proto::agree::Config {
        incarnation: Incarnation(0),
        place: 0,
        nodes: 1,
        // As many may be lost at once as of a record's holders.
        voters_of_key: (2 * replicas).saturating_sub(1).max(proto::agree::Config::VOTERS_OF_KEY),
        capacity_bytes: CAPACITY_BYTES,
        patience: proto::agree::Config::PATIENCE,
        seed,
    }
}

fn check_name(name: &str) -> Result<(), StartError> {
    let fits = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(StartError::Name { name: name.to_owned() }) }
}

fn opening(error: OpenError) -> StartError {
    if let OpenError::Call { address, source, .. } = &error
        && source.kind() == io::ErrorKind::AddrInUse
    {
        return StartError::AddressInUse { address: *address };
    }
    StartError::Socket(error)
}

fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(StartError::Random)?;
    Ok(bytes)
}
