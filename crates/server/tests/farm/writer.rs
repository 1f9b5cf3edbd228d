//! A node in the test's own process, which writes as fast as it can.
//!
//! Sessions that begin by TLS cost their clients more than the farm: what is
//! to fill the rings of the multicast is written through the library.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use segue::state::{Auth, Sessions, StateId};
use segue::{
    Ack, Deadlines, FARM_KEY_BYTES, FarmKey, Key, Keyring, Kind, MemberState, Multicast, Node,
    Transport, Written,
};
use tokio::runtime::Runtime;

use crate::nodes::Farm;
use crate::patience::{PATIENCE, until};

/// A node that keeps everything, and the runtime that its callers wait on.
pub(crate) struct Writer {
    node: Node,
    runtime: Runtime,
}

impl Writer {
    /// Starts a node of the farm, by its present key file, and waits until it
    /// is ready. It loses that share of what it receives.
    pub(crate) fn join(farm: &Farm, name: &str, drop_received: f64) -> Self {
        let group = SocketAddr::from((farm.group(), 7799));
        let config = segue::Config {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            transport: Transport::Multicast(Multicast { group, ..Multicast::default() }),
            ack_timeout: PATIENCE,
            drop_received,
            ..segue::Config::new(name, keys(farm))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let node = Node::start(config).unwrap();
        runtime.block_on(node.ready());
        Self { node, runtime }
    }

    /// Writes a record of each of these numbers.
    pub(crate) fn write(&self, numbers: Range<u64>, value: &[u8]) {
        self.runtime.block_on(async {
            for number in numbers {
                self.put(number, value, Ack::Local).await;
            }
        });
    }

    /// Writes one, and waits until every live node has it.
    pub(crate) fn write_everywhere(&self, number: u64, value: &[u8]) {
        self.runtime.block_on(self.put(number, value, Ack::All));
    }

    async fn put(&self, number: u64, value: &[u8], ack: Ack) -> Written {
        let cache = self.node.cache();
        let deadlines = Deadlines::at(cache.now() + std::time::Duration::from_secs(3_600));
        cache.put(&key(number), value, deadlines, ack).await.unwrap()
    }

    /// The value of a record that it holds.
    pub(crate) fn value(&self, number: u64) -> Option<Vec<u8>> {
        self.node.cache().peek(&key(number)).map(|found| found.value.to_vec())
    }

    /// Begins a session of a user, of which every live node knows.
    pub(crate) fn log_in(&self, user: &str) -> StateId {
        let cache = self.node.cache();
        let mut auth = Auth::new(user, "password", cache.now()).unwrap();
        auth.grant("order").unwrap();
        self.runtime.block_on(Sessions::new(cache).begin(auth)).unwrap()
    }

    /// Whether it knows a session that lives.
    pub(crate) fn knows(&self, id: &StateId) -> bool {
        self.runtime.block_on(Sessions::new(self.node.cache()).get(id)).is_some()
    }

    /// Uses the keys that the farm's file has.
    pub(crate) fn rekey(&self, farm: &Farm) {
        self.node.rekey(keys(farm)).unwrap();
    }

    /// Its figures.
    pub(crate) fn status(&self) -> segue::Status {
        self.node.status()
    }

    /// How a member is, as far as it knows.
    pub(crate) fn member(&self, name: &str) -> Option<segue::Member> {
        self.status().members.into_iter().find(|member| member.name == name)
    }

    /// Waits until it knows so many live nodes.
    pub(crate) fn until_it_knows(&self, others: usize) {
        let alive = |member: &&segue::Member| member.state == MemberState::Alive;
        let known = || self.status().members.iter().filter(alive).count() == others;
        until(|| known().then_some(()), || format!("{:?}", self.status().members));
    }
}

fn key(number: u64) -> Key {
    Key::new(Kind::Web, &number.to_be_bytes()).unwrap()
}

/// The keys of the farm's file.
fn keys(farm: &Farm) -> Keyring {
    let text = std::fs::read_to_string(farm.path("farm.key")).unwrap();
    let lines: Vec<(&str, [u8; FARM_KEY_BYTES])> = text.lines().map(line).collect();
    let keys = lines.iter().filter(|(word, _)| *word != "placement");
    let ring = Keyring::new(keys.map(|(_, secret)| FarmKey::new(*secret)).collect()).unwrap();
    match lines.iter().find(|(word, _)| *word == "placement") {
        Some((_, secret)) => ring.placed_by((*secret).into()),
        None => ring,
    }
}

/// What a line of a key file says, and of which secret.
fn line(text: &str) -> (&str, [u8; FARM_KEY_BYTES]) {
    let (word, digits) = text.split_once(' ').unwrap_or(("seals", text));
    let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
    (word, std::array::from_fn(byte))
}
