//! The sections of a configuration, their keys and their defaults.
//!
//! Only forms are judged here. Whether the files that are named exist, and
//! whether keys go together, is [`super::Config`]'s to say.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use tracing_subscriber::filter::{LevelFilter, Targets};

pub(crate) use super::admin::Admin;
use super::connections::Connections;
use super::memcached::Memcached;
pub(crate) use super::prefixes::Prefix;
pub(crate) use super::redis::Redis;
use super::units::{Address, EngineAddress, Interface, List, Size, Time};
use crate::front::Backend;

/// A whole configuration file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sections {
    pub(crate) node: Node,
    pub(crate) farm: Farm,
    pub(crate) cache: Cache,
    pub(crate) portion: Portion,
    pub(crate) upstream: Vec<Upstream>,
    pub(crate) writes: Writes,
    pub(crate) tls: Tls,
    /// None: nobody is served Redis' protocol.
    pub(crate) redis: Option<Redis>,
    /// None: nobody is served memcached's protocols.
    pub(crate) memcached: Option<Memcached>,
    /// None: connections stay at the node that accepted them.
    pub(crate) connections: Option<Connections>,
    pub(crate) admin: Admin,
    pub(crate) log: Log,
}

/// `[node]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Node {
    /// The node's name, unique in the farm. None: the machine's host name.
    pub(crate) name: Option<String>,
    /// The tier that it is of. None: it is of no tier.
    pub(crate) tier: Option<String>,
}

/// `[farm]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Farm {
    /// Key files: the first seals, all open. None: a key in memory, for a
    /// farm of one node.
    pub(crate) keys: List<PathBuf>,
    /// Where nodes reach this one by unicast.
    pub(crate) listen: Address,
    /// Nodes to join the farm by.
    pub(crate) peers: List<Address>,
    pub(crate) transport: Transport,
    /// The multicast group.
    pub(crate) group: Address,
    /// The interface of the multicast, by address, name or index.
    pub(crate) interface: Interface,
    /// How many routers a multicast packet may pass, plus one.
    pub(crate) ttl: u8,
    /// For tests of the repair: the share of received multicast packets, 0 to
    /// 1, that is dropped unseen.
    pub(crate) drop: f64,
}

impl Default for Farm {
    fn default() -> Self {
        Self {
            keys: List::default(),
            listen: Address(([127, 0, 0, 1], 7700).into()),
            peers: List::default(),
            transport: Transport::Multicast,
            group: Address(([239, 255, 77, 1], 7799).into()),
            interface: Interface(segue::Interface::Address([127, 0, 0, 1].into())),
            ttl: 1,
            drop: 0.0,
        }
    }
}

/// How a node's stream travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    Multicast,
    Unicast,
}

/// `[cache]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cache {
    /// The bound of the cache memory, everything counted.
    pub(crate) memory: Size,
    /// How long a look-up at other nodes takes at the most.
    pub(crate) lookup_timeout: Time,
}

impl Default for Cache {
    fn default() -> Self {
        Self { memory: Size(256 << 20), lookup_timeout: Time(Duration::from_millis(30)) }
    }
}

/// `[portion]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Portion {
    pub(crate) keep: Keep,
    /// With `keep = "share"`: holders per record.
    pub(crate) replicas: u8,
    /// With `keep = "of"`: the nodes and tiers whose records this one keeps.
    pub(crate) of: List<String>,
    /// With `keep = "share"`: how large the share is, compared with others'.
    /// None: as the cache's memory.
    pub(crate) weight: Option<u32>,
}

impl Default for Portion {
    fn default() -> Self {
        Self { keep: Keep::All, replicas: 2, of: List::default(), weight: None }
    }
}

/// Which of the farm's records a node keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Keep {
    All,
    Share,
    Of,
}

/// One `[[upstream]]`: a part of the tier above.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Upstream {
    /// An engine: Valkey or Redis, single or Cluster.
    pub(crate) redis: Option<EngineAddress>,
    /// Nodes of the tier above.
    pub(crate) segue: List<Address>,
    /// The authorities that the engine's certificate must come from.
    pub(crate) ca: Option<PathBuf>,
}

/// `[writes]`: what a write waits for, by the kind of its record.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Writes {
    pub(crate) tls: Wait,
    pub(crate) auth: Wait,
    pub(crate) conn: Wait,
    pub(crate) purchase: Wait,
    pub(crate) web: Wait,
    /// What holds for keys of the gateways' clients that begin alike.
    pub(crate) prefix: Vec<Prefix>,
}

impl Default for Writes {
    fn default() -> Self {
        Self {
            tls: Wait::Local,
            auth: Wait::One,
            conn: Wait::One,
            purchase: Wait::All,
            // Whoever changed a session is next seen at any node.
            web: Wait::All,
            prefix: Vec::new(),
        }
    }
}

impl Writes {
    /// Each kind's key with its value.
    pub(crate) const fn pairs(&self) -> [(&'static str, Wait); 5] {
        [
            ("writes.tls", self.tls),
            ("writes.auth", self.auth),
            ("writes.conn", self.conn),
            ("writes.purchase", self.purchase),
            ("writes.web", self.web),
        ]
    }
}

/// What a write waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wait {
    /// Nothing: it is in the node's own table.
    Local,
    /// One other holder has it.
    One,
    /// Every live holder has it.
    All,
    /// The tier above has it.
    Tier,
}

impl Wait {
    /// The word for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::One => "one",
            Self::All => "all",
            Self::Tier => "tier",
        }
    }
}

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tls {
    /// Where clients connect.
    pub(crate) listen: List<Address>,
    /// Certificates, chosen by SNI. None: a self-signed one in memory.
    pub(crate) certificates: Vec<Certificate>,
    /// The protocols to agree on (ALPN), most wanted first. None: with the
    /// built-in pages theirs, otherwise none is agreed on.
    pub(crate) alpn: List<String>,
    /// The authorities that client certificates must come from.
    pub(crate) client_ca: Option<PathBuf>,
    /// Where the plain stream goes. None: the built-in pages.
    pub(crate) backend: Option<Backend>,
    /// Whether the backend is told the client's address first.
    pub(crate) proxy_protocol: bool,
    /// How much early data a resumption may bring.
    pub(crate) early_data: Size,
    /// How long the node that issued a ticket may take to say whether its early
    /// data was accepted before.
    pub(crate) claim_timeout: Time,
    /// TLS 1.3 tickets per handshake.
    pub(crate) tickets: u32,
    /// How long a session lasts since its last full handshake.
    pub(crate) lifetime: Time,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            listen: List(vec![Address(([127, 0, 0, 1], 8443).into())]),
            certificates: Vec::new(),
            alpn: List::default(),
            client_ca: None,
            backend: None,
            proxy_protocol: false,
            early_data: Size(0),
            claim_timeout: Time(Duration::from_millis(30)),
            tickets: 1,
            lifetime: Time(Duration::from_secs(12 * 60 * 60)),
        }
    }
}

/// One element of `tls.certificates`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    /// The chain, PEM, the server's own certificate first.
    pub(crate) cert: PathBuf,
    /// Its private key, PEM.
    pub(crate) key: PathBuf,
}

/// `[log]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: Level,
    pub(crate) format: Format,
}

/// What is logged: a level for all, and others for single targets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Level(pub(crate) Targets);

impl Default for Level {
    fn default() -> Self {
        Self(Targets::new().with_default(LevelFilter::INFO))
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // `Targets` would take a misspelt level for a target's name.
        let clear = |directive: &str| {
            directive.contains('=') || directive.trim().parse::<LevelFilter>().is_ok()
        };
        match text.parse() {
            Ok(targets) if text.split(',').all(clear) => Ok(Self(targets)),
            _ => Err(D::Error::invalid_value(
                Unexpected::Str(&text),
                &"off, error, warn, info, debug, trace, or a list as \"info,segue=debug\"",
            )),
        }
    }
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}
