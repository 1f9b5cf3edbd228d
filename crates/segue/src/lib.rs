//! One cache of session state on every server of a farm.
//!
//! A [`Node`] joins the farm and keeps a copy of its records; its [`Cache`]
//! reads and writes them. What one node writes, every other node holds a
//! moment later, so that any of them goes on with a client when one dies.
//!
//! ```no_run
//! use segue::{Ack, Config, Deadlines, Key, Kind, Node};
//! use std::time::Duration;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::start(Config::single("a"))?;
//! node.ready().await;
//! let cache = node.cache();
//! let key = Key::new(Kind::Web, b"a session id that nobody can guess")?;
//! let in_an_hour = Deadlines::at(cache.now() + Duration::from_secs(3_600));
//! cache.put(&key, b"user=7", in_an_hour, Ack::All).await?;
//! let found = cache.get(&key).await.expect("just put there");
//! assert_eq!(&*found.value, b"user=7");
//! node.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod ack;
mod asks;
mod below;
mod cache;
mod claims;
mod config;
mod driver;
mod error;
pub mod farm_tls;
mod link;
mod lookup;
mod neighbours;
mod news;
mod node;
mod one_answer;
mod peers;
mod portion;
mod register;
pub mod state;
mod status;
mod upstream;
pub mod web;
mod writes;

pub use ack::Ack;
pub use cache::{Cache, Found, Gathered, Pending, Placed, Written};
pub use claims::Claim;
pub use config::{Config, Multicast, Transport, UpstreamConfig};
pub use error::{StartError, UpstreamError, WriteError};
pub use link::Identity;
pub use neighbours::{Neighbour, Neighbours};
pub use news::{Arrived, News, Observer};
pub use node::Node;
pub use one_answer::{Lease, OneAnswerError};
pub use portion::{Keep, Portion};
pub use proto::cluster::placement::Trouble;
pub use proto::keyring::{FARM_KEY_BYTES, FarmKey, Keyring, KeyringError, RekeyError};
pub use proto::node::PortionFigures;
pub use proto::record::{
    Deadlines, IdTooLong, Key, KeyHash, Kind, MAX_ID_BYTES, MAX_PAYLOAD_BYTES, Version,
};
pub use proto::table::Stats as CacheStats;
pub use proto::time::Wall;
pub use proto::wire::header::Incarnation;
pub use register::Registers;
pub use status::{
    By, ClaimStats, Histogram, LinkStats, LookupStats, Member, MemberState, MulticastStats,
    OneAnswerStats, Rejected, Status, UpstreamState, UpstreamStatus, Warning,
};
pub use sys::interface::Interface;
pub use upstream::{AddressError, UpstreamAddress, UpstreamTarget};
