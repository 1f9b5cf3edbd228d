//! The sections of a configuration, their keys and their defaults.
//!
//! What stands here in `///` is the reference that operators read: it is printed
//! with the defaults by [`super::reference`]. Only forms are judged here. Whether
//! the files that are named exist, and whether keys go together, is
//! [`super::Config`]'s to say.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tracing_subscriber::filter::{LevelFilter, Targets};

pub(crate) use super::admin::Admin;
use super::bounds;
use super::connections::Connections;
pub(crate) use super::memcached::Memcached;
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

/// Who this node is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Node {
    /// The node's name, unique in the farm. Not given: the machine's host name.
    #[schemars(extend("bounds" = bounds::name()), example = &"a")]
    pub(crate) name: Option<String>,
    /// The tier that the node is of, for those that keep what a tier keeps
    /// (`portion.of`). Not given: it is of no tier.
    #[schemars(extend("bounds" = bounds::name()), example = &"site-1")]
    pub(crate) tier: Option<String>,
}

/// How nodes find each other and what they share.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Farm {
    /// Files of farm keys, as `segue keygen` makes them, the same on every node:
    /// the first key seals, all open. Each has mode 0600 or narrower. Not given: a
    /// key in memory, for a farm of one node.
    #[schemars(extend("bounds" = bounds::keys()), example = &"farm.key")]
    pub(crate) keys: List<PathBuf>,
    /// Where other nodes reach this one by unicast: UDP for what is told, and QUIC
    /// for what is asked. With `[connections]`, TCP too.
    #[schemars(example = &"10.0.0.11:7700")]
    pub(crate) listen: Address,
    /// `farm.listen` of nodes to join the farm by: any one that lives is enough, and
    /// this node may be among them. Not given: those that the multicast group shows.
    #[schemars(example = ["10.0.0.11:7700", "10.0.0.12:7700"])]
    pub(crate) peers: List<Address>,
    /// How what a node writes travels to the others.
    pub(crate) transport: Transport,
    /// The multicast group and its port, the same on every node.
    #[schemars(extend("bounds" = "of the address family of `farm.listen`"))]
    pub(crate) group: Address,
    /// The interface of the multicast.
    #[schemars(example = &"eth0")]
    pub(crate) interface: Interface,
    /// How many networks a multicast packet may cross: 1 stays in its own.
    pub(crate) ttl: u8,
    /// For tests of the repair: the share of received multicast packets that is
    /// dropped unseen.
    #[schemars(extend("bounds" = "from 0 to 1"), example = 0.05)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    /// Once for all; who does not hear the group gets copies by unicast.
    Multicast,
    /// Once for each other node.
    Unicast,
}

/// The cache memory.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cache {
    /// How much memory records may take, with all that belongs to them. A full
    /// cache drops those that are used least.
    #[schemars(extend("bounds" = bounds::memory()), example = &"2GiB")]
    pub(crate) memory: Size,
    /// How long a look-up at other nodes takes at the most.
    #[schemars(extend("bounds" = bounds::lookup_timeout()), example = &"50ms")]
    pub(crate) lookup_timeout: Time,
}

impl Default for Cache {
    fn default() -> Self {
        Self { memory: Size(256 << 20), lookup_timeout: Time(Duration::from_millis(30)) }
    }
}

/// Which of the farm's records this node keeps.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Portion {
    /// What is kept.
    pub(crate) keep: Keep,
    /// With `keep = "share"`: how many nodes keep each record, the same on every
    /// node.
    #[schemars(extend("bounds" = bounds::replicas()), example = 3)]
    pub(crate) replicas: u8,
    /// With `keep = "of"`: the nodes and tiers whose records this one keeps.
    #[schemars(extend("bounds" = bounds::of()), example = ["b", "c"])]
    pub(crate) of: List<String>,
    /// With `keep = "share"`: how large the share is, compared with those of others.
    /// Not given: as large as `cache.memory`.
    #[schemars(extend("bounds" = "above 0"), example = 2)]
    pub(crate) weight: Option<u32>,
}

impl Default for Portion {
    fn default() -> Self {
        Self { keep: Keep::All, replicas: 2, of: List::default(), weight: None }
    }
}

/// Which of the farm's records a node keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Keep {
    /// Every record.
    All,
    /// A share, with so many replicas.
    Share,
    /// What the nodes and tiers of `portion.of` keep.
    Of,
}

/// What is above the farm and outlives it: one section for each. It has either
/// `redis` or `segue`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[schemars(extend("bounds" = bounds::upstreams()))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Upstream {
    /// An engine, Valkey or Redis, single or a Cluster. `rediss` and
    /// `rediss-cluster` speak TLS; with a password: `redis://USER:PASSWORD@HOST`.
    #[schemars(example = &"rediss://10.0.1.1:6379")]
    pub(crate) redis: Option<EngineAddress>,
    /// `farm.listen` of nodes of another farm, which has a key in common with this
    /// one.
    #[schemars(
        extend("bounds" = bounds::upstream_nodes()),
        example = ["10.0.1.1:7700", "10.0.1.2:7700"]
    )]
    pub(crate) segue: List<Address>,
    /// With `rediss`: a PEM file of the authorities that the engine's certificate
    /// must come from. Not given: those of the system.
    #[schemars(example = &"ca.pem")]
    pub(crate) ca: Option<PathBuf>,
}

/// What a write waits for before it is answered, by the kind of its record. Of
/// `auth`, `conn` and `purchase` this version accepts the defaults only.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Writes {
    /// TLS sessions.
    #[schemars(example = &"one")]
    pub(crate) tls: Wait,
    /// Who is logged in.
    pub(crate) auth: Wait,
    /// Live connections.
    pub(crate) conn: Wait,
    /// Carts, payments and addresses.
    pub(crate) purchase: Wait,
    /// What clients of the gateways write.
    #[schemars(example = &"one")]
    pub(crate) web: Wait,
    /// What holds for keys of the gateways' clients that begin alike.
    #[schemars(extend("bounds" = bounds::prefixes()))]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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

/// Where clients connect, and what they get.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tls {
    /// Where clients connect.
    #[schemars(example = ["0.0.0.0:443", "[::]:443"])]
    pub(crate) listen: List<Address>,
    /// Certificates, of which the client's name for the server (SNI) chooses, the
    /// first where none fits. The same on every node: a session resumes only under
    /// the one that it began under. Not given: a self-signed one in memory, which no
    /// other node has.
    pub(crate) certificates: Vec<Certificate>,
    /// The protocols to agree on (ALPN), most wanted first. Not given: those of the
    /// built-in pages with these, otherwise none.
    #[schemars(example = ["http/1.1"])]
    pub(crate) alpn: List<String>,
    /// A PEM file of the authorities that client certificates must come from. Not
    /// given: clients need none.
    #[schemars(example = &"client-ca.pem")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Where the plain stream goes. Not given: the built-in pages.
    #[schemars(example = &"127.0.0.1:8080")]
    pub(crate) backend: Option<Backend>,
    /// Whether the backend is told the client's address first, by PROXY protocol,
    /// version 2.
    #[schemars(example = true)]
    pub(crate) proxy_protocol: bool,
    /// How many bytes of early data (0-RTT) a resumption may bring. `0B`: none. The
    /// same on every node, and only for a backend that takes repeated requests well.
    #[schemars(extend("bounds" = bounds::early_data()), example = &"16KiB")]
    pub(crate) early_data: Size,
    /// How long the node that issued a ticket may take to say whether its early
    /// data was accepted before. Later than that it is refused.
    #[schemars(extend("bounds" = bounds::claim_timeout()), example = &"50ms")]
    pub(crate) claim_timeout: Time,
    /// TLS 1.3 tickets per handshake. 0: sessions of TLS 1.3 are not resumed.
    #[schemars(extend("bounds" = bounds::tickets()), example = 2)]
    pub(crate) tickets: u32,
    /// How long a session may be resumed since its last full handshake.
    #[schemars(extend("bounds" = bounds::lifetime()), example = &"4h")]
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

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    /// A PEM file of the chain, the server's own certificate first.
    #[schemars(example = &"cert.pem")]
    pub(crate) cert: PathBuf,
    /// A PEM file of its private key.
    #[schemars(example = &"key.pem")]
    pub(crate) key: PathBuf,
}

/// What is logged on standard error.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// How much: a level for all, and others for single parts. SIGHUP changes it.
    #[schemars(example = &"info,segue=debug")]
    pub(crate) level: Level,
    /// How a line is written.
    pub(crate) format: Format,
}

/// What is logged: a level for all, and others for single targets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Level(pub(crate) Targets);

/// What levels there are.
const LEVELS: &str = "off, error, warn, info, debug, trace, or a list as \"info,segue=debug\"";

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
            _ => Err(D::Error::invalid_value(Unexpected::Str(&text), &LEVELS)),
        }
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for Level {
    fn schema_name() -> Cow<'static, str> {
        "Level".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "form": LEVELS })
    }
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
