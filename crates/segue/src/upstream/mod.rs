//! The tier above: a node of another farm, or an engine outside of any, Valkey
//! or Redis, single or Cluster.
//!
//! What this node writes goes up; what the farm does not have is looked for
//! there. To an engine it goes sealed ([`proto::upstream`]), and what comes back
//! is believed only if it opens; to a node it goes over a link. In reading
//! order: `address` is how an engine is named, `target` how either is; `engine`
//! is one of them, as writers and look-ups see it; `source` is what this node
//! has for it, and `queue` holds what is to go up; `work` carries it there, at
//! the `pace` that the way allows, and keeps the connection, which `caller`
//! makes; `landing` is what becomes of it. `session` is such a connection,
//! `redis` one to an engine, and `node` one to a node; `figures` counts. `asked`
//! is who looks for what; `tier` is all of them together. Nothing here knows of
//! the other nodes of this farm.

mod address;
mod asked;
mod caller;
mod engine;
mod figures;
mod landing;
mod node;
mod pace;
mod queue;
#[cfg(feature = "redis")]
mod redis;
mod session;
mod source;
mod target;
mod tier;
mod work;

pub use address::{AddressError, UpstreamAddress};
pub(crate) use asked::Turn;
pub(crate) use session::patience;
pub use target::UpstreamTarget;
pub(crate) use tier::{Looked, Tier};

#[cfg(test)]
mod tests;
