//! `segue serve`: one node in the foreground, from its configuration to its
//! end.
//!
//! It starts the parts ([`parts`]), says when they serve, and does what
//! signals and commands ask ([`signals`], [`leave`], and in a demo [`drill`]); what the parts do, they know themselves.

mod drill;
mod leave;
mod parts;
mod signals;

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use segue::{Cache, Keyring, Node, RekeyError};
use zeroize::Zeroizing;

use crate::admin::{Admin, Own, Progress, Status};
use crate::config::{Config, Sections, Sources};
use crate::connections::{self, Carry, Figures as Carried};
use crate::front::{Carrying, Front};
use crate::gateway::{memcached, redis};
use crate::keyfile::Keys;
use crate::log::Logging;
use crate::metrics::Metrics;
use crate::ready::Ready;
use drill::Drill;
use leave::{DrainError, Leave};
use signals::{Order, Signals};

/// Runs a node until a signal ends it. In a demo it may be killed from its page.
///
/// # Errors
///
/// [`Faults`](crate::config::Faults) when the configuration cannot be used;
/// otherwise what keeps the node from starting.
pub(crate) fn run(sources: &Sources, has_drill: bool) -> anyhow::Result<()> {
    let config = Config::load(sources)?;
    let logging = Logging::start(&config.sections.log);
    if let Err(error) = sys::process::raise_open_files() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before anything starts: a signal that comes early waits here.
        let mut signals = Signals::new().context("signals")?;
        let running = Running::start(config, has_drill).await?;
        let outcome = tokio::select! {
            outcome = running.announce() => outcome,
            () = running.obey(&mut signals, sources, &logging) => Ok(()),
        };
        tokio::select! {
            () = running.end() => {}
            () = signals.end() => tracing::warn!("ended at once, before it was drained"),
        }
        outcome
    })
}

/// A node and its front, as the admin server looks at them.
#[derive(Debug)]
pub(crate) struct Server {
    node: Node,
    front: Front,
    /// Who serves Redis' protocol, if anybody does.
    redis: Option<redis::Gateway>,
    /// Who serves memcached's, if anybody does.
    memcached: Option<memcached::Gateway>,
    /// Who carries connections, if anybody does.
    carrier: Option<Arc<dyn Carry>>,
    leave: Leave,
    /// What it keeps, as it was configured.
    own: Own,
    /// How it is killed, in a demo.
    drill: Option<Arc<Drill>>,
}

impl Server {
    /// Whether it has its portion and takes new clients.
    pub(crate) fn is_ready(&self) -> bool {
        self.takes_clients(&self.node.status())
    }

    /// Its state and figures.
    pub(crate) fn status(&self) -> Status {
        let node = self.node.status();
        let ready = self.takes_clients(&node);
        let carried = self.carrier.as_ref().map(|carrier| carrier.figures());
        self.status_of(node, carried, ready)
    }

    /// Its figures, with those that only collectors want.
    pub(crate) fn metrics(&self) -> Metrics {
        let (node, front) = (self.node.status(), self.front.figures());
        let (lag, lookup) = (node.lag.clone(), node.lookups.latency.clone());
        let ready = self.takes_clients(&node);
        let carried = self.carrier.as_ref().map(|carrier| carrier.figures());
        Metrics { status: self.status_of(node, carried, ready), front, lag, lookup }
    }

    /// What its status does not say of itself.
    pub(crate) fn own(&self) -> Own {
        Own {
            address: self.node.status().address.to_string(),
            is_leaving: self.leave.is_asked(),
            ..self.own.clone()
        }
    }

    /// Whether nodes may be killed from its page.
    pub(crate) const fn has_drill(&self) -> bool {
        self.drill.is_some()
    }

    /// Has the node at that farm address killed, where a demo does that.
    ///
    /// # Errors
    ///
    /// When the others cannot be told.
    pub(crate) async fn drill(&self, address: &str) -> Result<(), segue::WriteError> {
        match &self.drill {
            Some(drill) => drill.order(&self.node.cache(), address).await,
            None => Ok(()),
        }
    }

    /// What the node holds of the farm.
    pub(crate) fn cache(&self) -> Cache {
        self.node.cache()
    }

    /// Has the node leave: its live connections go to that node, or to the one
    /// that follows.
    ///
    /// # Errors
    ///
    /// [`DrainError`] when they cannot go there; then nothing has changed.
    pub(crate) fn drain(&self, to: Option<String>) -> Result<(), DrainError> {
        if let Some(to) = &to {
            leave::check(to, &self.node.status().members, self.carrier.is_some())?;
        }
        self.leave.ask(to);
        Ok(())
    }

    /// How far its leave has come.
    pub(crate) fn progress(&self) -> Progress {
        let front = self.front.figures();
        let carried = self.carrier.as_ref().map_or(0, |carrier| carrier.figures().live);
        let left = (front.live - front.handed + carried) as u64;
        self.leave.progress(left)
    }

    fn status_of(&self, node: segue::Status, carried: Option<Carried>, ready: bool) -> Status {
        let redis = self.redis.as_ref().map(redis::Gateway::figures);
        let memcached = self.memcached.as_ref().map(memcached::Gateway::figures);
        Status { redis, memcached, ..Status::new(node, &self.front.figures(), carried, ready) }
    }

    /// Has clients of the gateways that come from now on see the certificates
    /// that were read.
    fn renew(&self, read: &Config) {
        if let Some(redis) = &self.redis {
            redis.renew(read.redis.iter().map(|it| (it.listen.as_slice(), it.tls.as_ref())));
        }
        if let (Some(memcached), Some(given)) = (&self.memcached, &read.sections.memcached) {
            let listen = given.listens();
            memcached.renew([(listen.as_slice(), read.memcached_tls.as_ref())].into_iter());
        }
    }

    fn takes_clients(&self, node: &segue::Status) -> bool {
        node.ready && !self.leave.is_asked()
    }
}

/// Everything that serves.
#[derive(Debug)]
struct Running {
    /// What was configured.
    sections: Sections,
    /// The secret that the node places records by; none where it is alone.
    placement: Option<Zeroizing<[u8; 32]>>,
    server: Arc<Server>,
    admin: Admin,
}

impl Running {
    /// Starts all parts.
    async fn start(config: Config, has_drill: bool) -> anyhow::Result<Self> {
        // AWS-LC gathers entropy for its first random number: 70 to 160 ms
        // that would otherwise be some client's first handshake.
        aws_lc_rs::rand::fill(&mut [0; 1]).context("random numbers")?;
        let sections = config.sections.clone();
        let secret = |keyring: &Keyring| Zeroizing::new(keyring.placement_secret());
        let placement = config.keyring.as_ref().map(secret);
        let channels = Arc::default();
        let drill = has_drill.then(Arc::<Drill>::default);
        let node = parts::node(&config, &channels, drill.as_ref())?;
        if let Some(drill) = &drill {
            drill.is_of(&node.status().address.to_string());
        }
        for warning in node.warnings() {
            tracing::warn!("{warning}");
        }
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let started = connections::start(&config, &node).await?;
        let carrier = started.as_ref().map(|started| Arc::clone(&started.carrier));
        let plain = connections::left(&config, carrier.is_some());
        let carrying = started.and_then(Carrying::of);
        let store = parts::store(&config, &node);
        let redis = parts::redis(&config, &store, channels)?;
        let memcached = parts::memcached(&config, &store)?;
        let token = config.token.clone();
        let front = parts::front(config, &node, carrying, plain)?;
        let (own, leave) = (parts::own(&sections), Leave::default());
        let server = Server { node, front, redis, memcached, carrier, leave, own, drill };
        let server = Arc::new(server);
        let admin = parts::admin(&sections, token, Arc::clone(&server)).await?;
        Ok(Self { sections, placement, server, admin })
    }

    /// Prints the `ready` line once the node has its portion. Ends only if
    /// there is nobody to print for.
    async fn announce(&self) -> anyhow::Result<()> {
        self.server.node.ready().await;
        let status = self.server.node.status();
        let ready = Ready {
            node: status.name,
            tls: self.server.front.addresses().to_vec(),
            admin: self.admin.address(),
            farm: status.address,
            redis: self.server.redis.as_ref().map_or_else(Vec::new, |it| it.addresses().to_vec()),
            memcached: self
                .server
                .memcached
                .as_ref()
                .map_or_else(Vec::new, |it| it.addresses().to_vec()),
        };
        let mut out = std::io::stdout();
        writeln!(out, "{ready}").and_then(|()| out.flush()).context("standard output")?;
        std::future::pending().await
    }

    /// Does what signals ask, until one asks for the end.
    async fn obey(&self, signals: &mut Signals, sources: &Sources, logging: &Logging) {
        loop {
            let order = tokio::select! {
                order = signals.next() => order,
                () = self.server.leave.asked() => Order::End,
            };
            match order {
                Order::Reload => self.reload(sources, logging),
                Order::End => return,
            }
        }
    }

    /// Reads the configuration again and takes over what can change while the
    /// node runs. A configuration that cannot be used changes nothing.
    fn reload(&self, sources: &Sources, logging: &Logging) {
        let config = match Config::load(sources) {
            Ok(config) => config,
            Err(faults) => {
                tracing::error!("not reloaded: {faults}");
                return;
            }
        };
        if !parts::same_but_for_reloadable(&self.sections, &config.sections) {
            tracing::warn!(
                "some changes take effect at the next start only: farm.keys, certificates, \
                 client_ca, alpn, tickets, lifetime, early_data and log.level are what a reload takes over"
            );
        }
        if let Err(error) = self.rekey(&config) {
            tracing::error!("not reloaded: farm.keys: {error}");
            return;
        }
        logging.reload(&config.sections.log);
        self.server.renew(&config);
        // The certificate that signed itself at the start stays: with another
        // one the sessions under it would end.
        if !config.identities.is_empty()
            && let Err(error) =
                self.server.front.reload(parts::tls(config, self.server.node.incarnation()))
        {
            tracing::error!("certificates not reloaded: {error}");
            return;
        }
        tracing::info!("reloaded");
    }

    /// Goes on with the farm's keys as they are read.
    fn rekey(&self, config: &Config) -> Result<(), RekeyError> {
        let (Some(keyring), Some(placement)) = (&config.keyring, &self.placement) else {
            return Ok(());
        };
        let mut keyring = keyring.clone();
        if !config.tells_placement && keyring.placement_secret() != **placement {
            tracing::warn!(
                "the key files do not say by which secret records are placed: this node goes on \
                 as it began, but started anew it would place them elsewhere than the others; \
                 `segue keygen --rotate` keeps the secret in the file"
            );
            keyring = keyring.placed_by(placement.clone());
        }
        let keys = Keys(&keyring).to_string();
        self.server.node.rekey(keyring)?;
        tracing::info!("farm key {keys}");
        Ok(())
    }

    /// Takes leave: of clients first, then of the farm.
    async fn end(self) {
        tracing::info!("draining");
        // Unless it was asked to already, with somebody to go to.
        self.server.leave.ask(None);
        let Server { node, front, redis, memcached, carrier, leave, .. } = &*self.server;
        // Each of its clients is between two commands, and goes to another node.
        if let Some(redis) = redis {
            redis.shut_down();
        }
        if let Some(memcached) = memcached {
            memcached.shut_down();
        }
        match carrier {
            Some(carrier) => {
                let alone = !node.status().members.iter().any(leave::is_there);
                leave.move_all(&**carrier, alone, front.drain_timeout()).await;
                tokio::join!(
                    front.shut_down(),
                    leave::until_none(&**carrier, front.drain_timeout())
                );
                carrier.stop().await;
            }
            None => front.shut_down().await,
        }
        self.admin.stop().await;
        let server =
            Arc::into_inner(self.server).expect("the admin server was the only other holder");
        server.node.shutdown().await;
        tracing::info!("ended");
    }
}
