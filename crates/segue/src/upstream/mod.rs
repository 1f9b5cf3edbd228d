//! The tier above, where it is an engine outside of the farm: Valkey or Redis,
//! single or Cluster.
//!
//! What this node writes goes up sealed ([`proto::upstream`]); what the farm
//! does not have is looked for there, and believed only if it opens. In
//! reading order: `address` is how an engine is named; `engine` is one of
//! them, as writers and look-ups see it; `queue` holds what is to go up;
//! `work` carries it there and keeps the connection; `redis` knows the
//! engine's commands, and only that; `figures` counts. `tier` is all engines
//! together. Nothing here knows of the other nodes.

mod address;
#[cfg(feature = "redis")]
mod engine;
#[cfg(feature = "redis")]
mod figures;
#[cfg(not(feature = "redis"))]
mod none;
#[cfg(feature = "redis")]
mod queue;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod tier;
#[cfg(feature = "redis")]
mod work;

pub use address::{AddressError, UpstreamAddress};
#[cfg(not(feature = "redis"))]
pub(crate) use none::Tier;
#[cfg(feature = "redis")]
pub(crate) use tier::Tier;
