//! Whether values that have the right forms can be used, and go together.
//!
//! Files that are named are read here, so that a node that starts has them
//! and a check has seen them.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::cluster::portion::{MAX_OF, MAX_REPLICAS};
use proto::keyring::{FarmKey, Keyring, KeyringError};
use rustls::pki_types::CertificateDer;
use tls_rustls::{
    CertificateError, ConfigError, Identity, Incarnation, MAX_EARLY_DATA_BYTES, MAX_LIFETIME,
    MAX_TICKETS, Terminator,
};

use super::fault::{Fault, Faults, Origin, quoted};
use super::sections::{Certificate, Keep, Memcached, Redis, Sections, Transport};
use super::units::from_to;
use super::value::Value;
use super::{Config, certificates, later};
use crate::keyfile;

/// The longest name of a node, in bytes: what Linux allows a host's name, and
/// [`segue::Config::name`] a node's.
pub(super) const MAX_NAME_BYTES: usize = 64;

/// The smallest cache memory that a node starts with: a record of the largest
/// payload fits several times.
pub(super) const MIN_MEMORY_BYTES: u64 = 8 << 20;
/// How long a claim may take: longer than a round trip, and no longer than a
/// client waits for its handshake, which waits for it.
pub(super) const CLAIM_TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(10);
/// How long a look-up may take: longer than a round trip, and no longer than a
/// client waits for its handshake.
pub(super) const LOOKUP_TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(10);

/// The configuration that `sections` make.
///
/// # Errors
///
/// All that is wrong with them.
pub(crate) fn judge(given: &Value, mut sections: Sections) -> Result<Config, Faults> {
    let mut judge = Judge { given, faults: Vec::new(), warnings: Vec::new() };
    for (key, fault) in later::refused_values(&sections) {
        judge.fault(&key, fault);
    }
    let name = judge.name(&sections);
    judge.farm(&sections);
    judge.portion(&name, &sections);
    judge.numbers(&sections);
    judge.prefixes(&sections);
    judge.connections(&sections);
    judge.paths(&mut sections);
    let upstreams = judge.upstreams(&sections);
    let token = judge.admin(&sections.admin);
    let memcached_tls = judge.memcached(sections.memcached.as_ref());
    let redis = judge.redis(sections.redis.as_ref());
    let (keyring, tells_placement) = judge.keyring(&sections).unzip();
    let identities = judge.identities(&sections.tls.certificates);
    let client_ca = judge.client_ca(sections.tls.client_ca.as_deref());
    judge.credentials(&identities, &client_ca);
    let Judge { faults, warnings, .. } = judge;
    Faults::check(faults)?;
    Ok(Config {
        sections,
        name,
        keyring,
        tells_placement: tells_placement.unwrap_or_default(),
        identities,
        client_ca,
        redis,
        memcached_tls,
        token,
        upstreams,
        warnings,
    })
}

/// Collects what is wrong.
pub(super) struct Judge<'a> {
    given: &'a Value,
    faults: Vec<Fault>,
    warnings: Vec<String>,
}

impl Judge<'_> {
    pub(super) fn fault(&mut self, key: &str, fault: Fault) {
        self.faults.push(fault.at(&self.given.origin_of(key), key));
    }

    /// The same for what keeps nothing from starting.
    pub(super) fn warn(&mut self, key: &str, fault: Fault) {
        self.warnings.push(fault.at(&self.given.origin_of(key), key).to_string());
    }

    /// The name that was given, or the machine's.
    fn name(&mut self, sections: &Sections) -> String {
        let name = sections.node.name.clone().unwrap_or_else(host_name);
        let printable = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(printable) {
            let expected =
                format!("1 to {MAX_NAME_BYTES} bytes of letters, digits, \"-\", \"_\" and \".\"");
            self.fault("node.name", Fault::mismatch(quoted(&name), expected));
        }
        name
    }

    fn farm(&mut self, sections: &Sections) {
        let farm = &sections.farm;
        let (group, listen) = (farm.group.0, farm.listen.0);
        let same_family = |address: SocketAddr| address.is_ipv4() == listen.is_ipv4();
        if !group.ip().is_multicast() {
            let expected = "a multicast address (224.0.0.0/4 or ff00::/8) and a port";
            self.fault("farm.group", Fault::mismatch(group, expected));
        } else if farm.transport == Transport::Multicast && !same_family(group) {
            let example = if listen.is_ipv4() { "239.255.77.1:7799" } else { "[ff15::77:1]:7799" };
            let expected = format!("a group of the family of farm.listen, {listen}, as {example}");
            self.fault("farm.group", Fault::mismatch(group, expected));
        }
        if let Some(peer) = farm.peers.0.iter().find(|peer| !same_family(peer.0)) {
            let expected = format!("addresses of the family of farm.listen, {listen}");
            self.fault("farm.peers", Fault::mismatch(peer.0, expected));
        }
        if !farm.peers.0.is_empty() && farm.keys.0.is_empty() {
            let fault = Fault::mismatch("peers without farm.keys", "the key that they share")
                .remedy("`segue keygen` makes one; copy it to all nodes");
            self.fault("farm.peers", fault);
        }
        if let Err(error) = farm.interface.0.index() {
            let interface = farm.interface.0.to_string();
            let fault = Fault::mismatch(
                format_args!("{} ({error})", quoted(&interface)),
                "the address, name or index of an interface of this machine",
            );
            self.fault("farm.interface", fault.remedy("`ip address` lists them"));
        }
        if !(0.0..=1.0).contains(&farm.drop) {
            self.fault("farm.drop", Fault::mismatch(farm.drop, "a share from 0 to 1"));
        }
    }

    fn portion(&mut self, name: &str, sections: &Sections) {
        let portion = &sections.portion;
        if !(1..=MAX_REPLICAS).contains(&portion.replicas) {
            let expected = format!("1 to {MAX_REPLICAS} holders of each record");
            self.fault("portion.replicas", Fault::mismatch(portion.replicas, expected));
        }
        if portion.weight == Some(0) {
            self.fault("portion.weight", Fault::mismatch(0, "a whole number above 0"));
        }
        let printable = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        let fits =
            |text: &str| (1..=MAX_NAME_BYTES).contains(&text.len()) && text.chars().all(printable);
        let form =
            format!("1 to {MAX_NAME_BYTES} bytes of letters, digits, \"-\", \"_\" and \".\"");
        let tier = sections.node.tier.as_deref();
        if let Some(tier) = tier.filter(|tier| !fits(tier)) {
            self.fault("node.tier", Fault::mismatch(quoted(tier), &form));
        }
        let of = &portion.of.0;
        if let Some(at) = of.iter().position(|other| !fits(other)) {
            self.fault(&format!("portion.of[{at}]"), Fault::mismatch(quoted(&of[at]), &form));
        }
        if portion.keep != Keep::Of {
            return;
        }
        let itself = |other: &String| other == name || Some(other.as_str()) == tier;
        if of.is_empty() {
            let fault = Fault::mismatch("no names", "nodes or tiers whose records this node keeps");
            let fault = fault.remedy("as of = [\"a\", \"b\"]");
            // What is missing has no place; what asks for it has.
            self.faults.push(fault.at(&self.given.origin_of("portion.keep"), "portion.of"));
        } else if of.len() > MAX_OF {
            let fault =
                Fault::mismatch(format_args!("{} names", of.len()), format!("at most {MAX_OF}"));
            self.fault("portion.of", fault.remedy("give more nodes a node.tier, and name that"));
        } else if let Some(at) = of.iter().position(itself) {
            let found = format!("{}, which is this node itself", quoted(&of[at]));
            self.fault(
                &format!("portion.of[{at}]"),
                Fault::mismatch(found, "other nodes or tiers"),
            );
        }
    }

    fn numbers(&mut self, sections: &Sections) {
        let memory = sections.cache.memory.0;
        if memory < MIN_MEMORY_BYTES {
            let found = format!("{memory} bytes");
            let expected = format!("at least {} MiB", MIN_MEMORY_BYTES >> 20);
            self.fault("cache.memory", Fault::mismatch(found, expected));
        }
        let timeout = sections.cache.lookup_timeout.0;
        if !LOOKUP_TIMEOUTS.contains(&timeout) {
            let found = humantime::format_duration(timeout).to_string();
            let expected = from_to(&LOOKUP_TIMEOUTS);
            self.fault("cache.lookup_timeout", Fault::mismatch(found, expected));
        }
        let tls = &sections.tls;
        if tls.listen.0.is_empty() {
            self.fault("tls.listen", Fault::mismatch("an empty list", "an address or several"));
        }
        if tls.tickets as usize > MAX_TICKETS {
            let expected = format!("at most {MAX_TICKETS}");
            self.fault("tls.tickets", Fault::mismatch(tls.tickets, expected));
        }
        let timeout = tls.claim_timeout.0;
        if !CLAIM_TIMEOUTS.contains(&timeout) {
            let found = humantime::format_duration(timeout).to_string();
            self.fault("tls.claim_timeout", Fault::mismatch(found, from_to(&CLAIM_TIMEOUTS)));
        }
        let early_data = tls.early_data.0;
        if early_data > u64::from(MAX_EARLY_DATA_BYTES) {
            let found = format!("{early_data} bytes");
            let expected = format!("at most {} KiB", MAX_EARLY_DATA_BYTES >> 10);
            self.fault("tls.early_data", Fault::mismatch(found, expected));
        }
        let lifetime = tls.lifetime.0;
        if lifetime == Duration::ZERO || lifetime > MAX_LIFETIME {
            let found = humantime::format_duration(lifetime);
            self.fault("tls.lifetime", Fault::mismatch(found, "a time above 0s and up to 24h"));
        }
    }

    /// Makes paths absolute to the working directory: those of the file are
    /// relative to the file.
    fn paths(&self, sections: &mut Sections) {
        for (at, path) in sections.farm.keys.0.iter_mut().enumerate() {
            self.resolve(&format!("farm.keys[{at}]"), path);
        }
        for (at, certificate) in sections.tls.certificates.iter_mut().enumerate() {
            self.resolve(&format!("tls.certificates[{at}].cert"), &mut certificate.cert);
            self.resolve(&format!("tls.certificates[{at}].key"), &mut certificate.key);
        }
        if let Some(path) = &mut sections.tls.client_ca {
            self.resolve("tls.client_ca", path);
        }
        if let Some(path) = &mut sections.admin.token_file {
            self.resolve("admin.token_file", path);
        }
        for (key, path) in sections.redis.iter_mut().flat_map(Redis::paths) {
            self.resolve(&key, path);
        }
        for (key, path) in sections.memcached.iter_mut().flat_map(Memcached::paths) {
            self.resolve(&key, path);
        }
        for (at, upstream) in sections.upstream.iter_mut().enumerate() {
            if let Some(path) = &mut upstream.ca {
                self.resolve(&format!("upstream[{at}].ca"), path);
            }
        }
    }

    fn resolve(&self, key: &str, path: &mut PathBuf) {
        if let Origin::File { path: file, .. } = self.given.origin_of(key)
            && let Some(directory) = file.parent()
        {
            *path = directory.join(&*path);
        }
    }

    /// The keys of the farm, and whether their files say by which secret
    /// records are placed.
    fn keyring(&mut self, sections: &Sections) -> Option<(Keyring, bool)> {
        let mut keys: Vec<FarmKey> = Vec::new();
        let mut placement = None;
        for (at, path) in sections.farm.keys.0.iter().enumerate() {
            match keyfile::read(path) {
                Ok(file) => {
                    keys.extend(file.keys());
                    match (&placement, file.placement()) {
                        (None, secret) => placement = secret,
                        (Some(before), Some(secret)) if *before != secret => {
                            let fault = Fault::other(format!(
                                "{}: places records by another secret than the files before it, \
                                 expected files of one farm",
                                path.display()
                            ));
                            self.fault(&format!("farm.keys[{at}]"), fault);
                        }
                        (Some(_), _) => {}
                    }
                }
                Err(error) => {
                    let fault = Fault::other(format!("{}: {error}", path.display()))
                        .remedy(error.remedy(path));
                    self.fault(&format!("farm.keys[{at}]"), fault);
                }
            }
        }
        match Keyring::new(keys) {
            Ok(keyring) => Some(match placement {
                Some(secret) => (keyring.placed_by(secret), true),
                None => (keyring, false),
            }),
            Err(KeyringError::Empty) => None,
            Err(error @ (KeyringError::SameId { .. } | KeyringError::TooMany(_))) => {
                self.fault("farm.keys", Fault::other(error.to_string()));
                None
            }
        }
    }

    fn identities(&mut self, given: &[Certificate]) -> Vec<Identity> {
        let mut identities = Vec::with_capacity(given.len());
        for (at, Certificate { cert, key }) in given.iter().enumerate() {
            let place = format!("tls.certificates[{at}]");
            let chain = certificates::certificates(cert)
                .map_err(|fault| self.fault(&format!("{place}.cert"), fault));
            let key =
                certificates::key(key).map_err(|fault| self.fault(&format!("{place}.key"), fault));
            if let (Ok(chain), Ok(key)) = (chain, key) {
                identities.push(Identity { chain, key });
            }
        }
        identities
    }

    fn client_ca(&mut self, path: Option<&Path>) -> Vec<CertificateDer<'static>> {
        match path.map(certificates::certificates).transpose() {
            Ok(list) => list.unwrap_or_default(),
            Err(fault) => {
                self.fault("tls.client_ca", fault);
                Vec::new()
            }
        }
    }

    /// Whether TLS can work with these: the very test that the front makes.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the list of errors is open")]
    fn credentials(&mut self, identities: &[Identity], client_ca: &[CertificateDer<'static>]) {
        // After other faults the positions would not be those of the file.
        if identities.is_empty() || !self.faults.is_empty() {
            return;
        }
        let copy = |Identity { chain, key }: &Identity| Identity {
            chain: chain.clone(),
            key: key.clone_key(),
        };
        let config = tls_rustls::Config {
            client_ca: client_ca.to_vec(),
            ..tls_rustls::Config::new(
                String::new(),
                Incarnation(0),
                identities.iter().map(copy).collect(),
            )
        };
        let Err(error) = Terminator::new(config) else { return };
        let (key, fault) = match error {
            ConfigError::Certificate(CertificateError::Key { position, source }) => (
                format!("tls.certificates[{position}]"),
                Fault::mismatch(source, "a certificate and the key that is its own"),
            ),
            ConfigError::Certificate(CertificateError::Certificate { position, source }) => (
                format!("tls.certificates[{position}].cert"),
                Fault::mismatch(source, "an X.509 certificate of version 3"),
            ),
            error @ (ConfigError::ClientCa { .. } | ConfigError::ClientVerifier(_)) => {
                ("tls.client_ca".to_owned(), Fault::other(error.to_string()))
            }
            other => ("tls".to_owned(), Fault::other(other.to_string())),
        };
        self.fault(&key, fault);
    }
}

/// The machine's name, or "node" where it has none that could be told.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "node".to_owned())
}
