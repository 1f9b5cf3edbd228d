//! A configuration, part by part: what each is started with, and what to say
//! if it does not start.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivatePkcs8KeyDer;
use segue::{Ack, Incarnation, Multicast, News, Node, Observer, StartError};
use sys::multicast::OpenError;
use tls_rustls::Identity;

use super::Server;
use super::drill::Drill;
use crate::admin::{Access, Admin, Own, Token};
use crate::config::{Config, Keep, Prefix, Sections, Transport, Wait};
use crate::front::{self, Carrying, Front};
use crate::gateway::redis::Channels;
use crate::gateway::{Rule, Store, memcached, redis};

/// Starts the node.
#[expect(clippy::wildcard_enum_match_arm, reason = "the list of errors is open")]
pub(super) fn node(
    config: &Config,
    channels: &Arc<Channels>,
    drill: Option<&Arc<Drill>>,
) -> anyhow::Result<Node> {
    let farm = &config.sections.farm;
    let single = segue::Config::single(config.name.clone());
    let multicast = Multicast {
        group: farm.group.0,
        interface: farm.interface.0.clone(),
        ttl: farm.ttl,
        ..Multicast::default()
    };
    let (keys, transport) = match (&config.keyring, farm.transport) {
        (Some(keys), Transport::Multicast) => {
            (keys.clone(), segue::Transport::Multicast(multicast))
        }
        (Some(keys), Transport::Unicast) => (keys.clone(), segue::Transport::Unicast),
        // Without a key that others have, nobody would listen.
        (None, _) => (single.keys, single.transport),
    };
    let node = segue::Config {
        name: config.name.clone(),
        keys,
        alone: config.keyring.is_none(),
        listen: farm.listen.0,
        peers: farm.peers.0.iter().map(|peer| peer.0).collect(),
        transport,
        upstreams: config.upstreams.clone(),
        memory_bytes: usize::try_from(config.sections.cache.memory.0).unwrap_or(usize::MAX),
        portion: portion(&config.sections),
        lookup_timeout: config.sections.cache.lookup_timeout.0,
        claim_timeout: config.sections.tls.claim_timeout.0,
        drop_received: farm.drop,
        ..single
    };
    // Who does not serve clients has nobody who listens.
    let channels = config.sections.redis.as_ref().map(|_| Arc::clone(channels));
    let drill = drill.cloned();
    let has_listener = channels.is_some() || drill.is_some();
    let observer = has_listener.then(|| {
        Box::new(move |news: &News<'_>| {
            channels.iter().for_each(|channels| channels.hear(news));
            drill.iter().for_each(|drill| drill.hear(news));
        }) as Observer
    });
    Node::start_observed(node, observer).map_err(|error| {
        let (address, source) = match error {
            StartError::AddressInUse { address } => (address, ErrorKind::AddrInUse.into()),
            StartError::Socket(OpenError::Call { address, source, .. }) => (address, source),
            other => return anyhow::Error::new(other).context("the node does not start"),
        };
        // A link-local one comes with its link.
        let is_group = (address.ip(), address.port()) == (farm.group.0.ip(), farm.group.0.port());
        let key = if is_group { "farm.group" } else { "farm.listen" };
        unusable_address(key, address, source)
    })
}

fn portion(sections: &Sections) -> segue::Portion {
    let given = &sections.portion;
    segue::Portion {
        keep: match given.keep {
            Keep::All => segue::Keep::All,
            Keep::Share => segue::Keep::Share,
            Keep::Of => segue::Keep::Of(given.of.0.clone()),
        },
        replicas: given.replicas,
        weight: given.weight,
        tier: sections.node.tier.clone(),
    }
}

/// Starts the TLS front.
pub(super) fn front(
    mut config: Config,
    node: &Node,
    carrying: Option<Carrying>,
    plain: Vec<front::Plain>,
) -> anyhow::Result<Front> {
    if config.identities.is_empty() {
        config.identities.push(self_signed(&config.name)?);
        tracing::info!("no certificate is configured: clients see one that signs itself");
    }
    let given = &config.sections.tls;
    let listen = given.listen.0.iter().map(|address| address.0).collect();
    let backend = given.backend.clone();
    let proxy_protocol = given.proxy_protocol;
    let floating = config.sections.connections.as_ref().map(|given| given.address.address);
    let ack = ack(config.sections.writes.tls);
    let front = front::Config {
        backend,
        proxy_protocol,
        ack,
        floating,
        carrying,
        plain,
        ..front::Config::new(listen, tls(config, node.incarnation()))
    };
    Front::start(front, node.cache()).map_err(|error| match error {
        front::StartError::Listen { address, source } => {
            unusable_address("tls.listen", address, source)
        }
        front::StartError::ListenPlain { address, source } => {
            unusable_address("connections.plain.listen", address, source)
        }
        front::StartError::Tls(error) => anyhow::Error::new(error).context("[tls]"),
    })
}

/// The values that clients of the gateways see, whichever they come by.
pub(super) fn store(config: &Config, node: &Node) -> Arc<Store> {
    // Without a key that others have, there are no others.
    let alone = config.keyring.is_none();
    let writes = &config.sections.writes;
    let rules = writes.prefix.iter().map(rule).collect();
    Arc::new(Store::new(node.cache(), alone, ack(writes.web), rules))
}

/// Starts the gateway of Redis' protocol, where it is configured.
pub(super) fn redis(
    config: &Config,
    store: &Arc<Store>,
    channels: Arc<Channels>,
) -> anyhow::Result<Option<redis::Gateway>> {
    let Some(given) = &config.sections.redis else { return Ok(None) };
    let gateway = redis::Config {
        entrances: config.redis.clone(),
        node: config.name.clone(),
        max_connections: given.max_connections,
        channels,
    };
    let started = redis::start(gateway, Arc::clone(store));
    started.map(Some).context("redis.listen")
}

/// Starts the gateway of memcached's protocols, where it is configured.
pub(super) fn memcached(
    config: &Config,
    store: &Arc<Store>,
) -> anyhow::Result<Option<memcached::Gateway>> {
    let Some(given) = &config.sections.memcached else { return Ok(None) };
    let gateway = memcached::Config {
        listen: given.listens(),
        tls: config.memcached_tls.clone(),
        node: config.name.clone(),
        prefix: given.prefix.clone().into_bytes(),
        max_connections: given.max_connections,
    };
    let started = memcached::start(gateway, Arc::clone(store));
    started.map(Some).context("memcached.listen")
}

fn rule(given: &Prefix) -> Rule {
    let prefix = given.prefix.clone().into_bytes();
    Rule { prefix, ack: given.web.map(ack), guard: given.guard.map(|it| it.0).unwrap_or_default() }
}

const fn ack(wait: Wait) -> Ack {
    match wait {
        Wait::Local => Ack::Local,
        Wait::One => Ack::One,
        Wait::All => Ack::All,
        Wait::Tier => Ack::Tier,
    }
}

/// What the node's status does not say of itself.
pub(super) fn own(sections: &Sections) -> Own {
    let given = &sections.portion;
    let portion = match given.keep {
        Keep::All => "all".to_owned(),
        Keep::Share => "share".to_owned(),
        Keep::Of => format!("of {}", given.of.0.join(", ")),
    };
    let tier = sections.node.tier.clone().unwrap_or_default();
    Own { portion, tier, ..Own::default() }
}

/// Starts the admin server.
pub(super) async fn admin(
    sections: &Sections,
    token: Option<Token>,
    server: Arc<Server>,
) -> anyhow::Result<Admin> {
    let listen = sections.admin.listen.0;
    let access = Access::new(listen.ip(), token, sections.admin.metrics_open);
    Admin::start(listen, access, server)
        .await
        .map_err(|error| unusable_address("admin.listen", listen, error))
}

/// What TLS is told, at the start and at each reload.
pub(super) fn tls(config: Config, incarnation: Incarnation) -> tls_rustls::Config {
    let given = config.sections.tls;
    let alpn = match (given.backend, given.alpn.0) {
        // What the built-in pages speak.
        (None, named) if named.is_empty() => vec!["http/1.1".to_owned()],
        (_, named) => named,
    };
    tls_rustls::Config {
        client_ca: config.client_ca,
        alpn: alpn.into_iter().map(String::into_bytes).collect(),
        tickets: given.tickets as usize,
        lifetime: given.lifetime.0,
        carried: config.sections.connections.is_some(),
        early_data_bytes: u32::try_from(given.early_data.0).expect("more is refused"),
        ..tls_rustls::Config::new(config.name, incarnation, config.identities)
    }
}

/// Whether two configurations differ in nothing but what the farm's keys,
/// [`tls`] and the log take over while the node runs.
pub(super) fn same_but_for_reloadable(running: &Sections, read: &Sections) -> bool {
    let mut read = read.clone();
    read.log.level = running.log.level.clone();
    if !read.farm.keys.0.is_empty() && !running.farm.keys.0.is_empty() {
        read.farm.keys.clone_from(&running.farm.keys);
    }
    let (tls, old) = (&mut read.tls, &running.tls);
    tls.certificates.clone_from(&old.certificates);
    tls.client_ca.clone_from(&old.client_ca);
    tls.alpn.clone_from(&old.alpn);
    tls.tickets = old.tickets;
    tls.lifetime = old.lifetime;
    tls.early_data = old.early_data;
    if let (Some(redis), Some(old)) = (&mut read.redis, &running.redis) {
        redis.take_reloadable(old);
    }
    if let (Some(memcached), Some(old)) = (&mut read.memcached, &running.memcached) {
        memcached.take_reloadable(old);
    }
    read == *running
}

/// A certificate for this machine that signs itself, with its key; in memory
/// only.
fn self_signed(name: &str) -> anyhow::Result<Identity> {
    let names = ["localhost", "127.0.0.1", "::1", name];
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(names.map(str::to_owned)).context("a certificate")?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
    Ok(Identity { chain: vec![cert.der().clone()], key })
}

/// What to say of an address that cannot be listened on.
#[expect(clippy::wildcard_enum_match_arm, reason = "the list of error kinds is open")]
fn unusable_address(key: &str, address: SocketAddr, error: io::Error) -> anyhow::Error {
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => "another process has it: end that one (`ss -lntup` names it), or",
        ErrorKind::AddrNotAvailable => "it is no address of this machine:",
        ErrorKind::PermissionDenied => {
            "ports below 1024 need CAP_NET_BIND_SERVICE: start with that, or"
        }
        _ => "it cannot be used:",
    };
    let choose = format!("choose another with --set {key}=ADDRESS or in the configuration");
    anyhow::Error::new(error).context(format!("{key}: {address}: {remedy} {choose}"))
}
