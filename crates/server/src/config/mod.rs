//! What a node is told: read, layered, judged, and everything that it names
//! loaded. No socket is opened here.
//!
//! In reading order: [`sources`] where values come from and which overrides
//! which; [`value`] what they are, with their places; [`sections`] the keys,
//! in the forms of [`units`], read by [`read`], those of live connections in
//! [`connections`], of the page of operators in [`admin`], of the gateways in
//! [`redis`] and [`memcached`], with what is [`encrypted`], and of their clients'
//! keys in [`prefixes`]; [`later`] what this version
//! refuses; [`judge`] whether it all goes together; [`fault`] what to say if
//! it does not. [`reference`] tells operators of all of the keys, with the
//! [`bounds`] that are judged.

mod admin;
mod bounds;
mod certificates;
mod connections;
mod encrypted;
mod fault;
mod judge;
mod later;
mod memcached;
mod prefixes;
mod read;
mod redis;
pub(crate) mod reference;
mod sections;
mod sources;
mod units;
mod upstream;
mod value;

#[cfg(test)]
mod tests;

use proto::keyring::Keyring;
use rustls::pki_types::CertificateDer;
use tls_rustls::Identity;

pub(crate) use connections::{Connections, Plain};
pub(crate) use fault::Faults;
pub(crate) use sections::{Format, Keep, Log, Prefix, Sections, Transport, Wait};
pub(crate) use sources::Sources;

/// A configuration that a node can run with.
#[derive(Debug)]
pub(crate) struct Config {
    /// Every key, given or default. Paths are resolved.
    pub(crate) sections: Sections,
    /// This node's name.
    pub(crate) name: String,
    /// The farm's keys. None: nobody else is to join.
    pub(crate) keyring: Option<Keyring>,
    /// Whether the key files say by which secret records are placed.
    pub(crate) tells_placement: bool,
    /// The certificates of `[tls]`. Empty: one that signs itself will do.
    pub(crate) identities: Vec<Identity>,
    /// The authorities of client certificates. Empty: clients need none.
    pub(crate) client_ca: Vec<CertificateDer<'static>>,
    /// Where clients of `[redis]` come in, and who. Empty: there are none.
    pub(crate) redis: Vec<crate::gateway::redis::Entrance>,
    /// What clients of `[memcached]` are shown. None: they speak no TLS.
    pub(crate) memcached_tls: Option<crate::gateway::Encryption>,
    /// What operators have to know. None: whoever reaches `[admin]` is one.
    pub(crate) token: Option<crate::admin::Token>,
    /// The engines of the tier above.
    pub(crate) upstreams: Vec<segue::UpstreamConfig>,
    /// What can be done as it is told, and is probably not what was meant.
    pub(crate) warnings: Vec<String>,
}

impl Config {
    /// Reads and judges what `sources` give.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, or the first thing that keeps the
    /// rest from being read.
    pub(crate) fn load(sources: &Sources) -> Result<Self, Faults> {
        let given = sources.read()?;
        let sections = read::read(&given)?;
        judge::judge(&given, sections)
    }
}
