//! The gateways: session stores that stock clients of other engines speak to.
//!
//! A [`Gateway`] owns its listeners and connections, and knows the farm as a
//! [`Cache`](segue::Cache) and nothing more. [`keys`] says which record a
//! client's key is; [`store`] brings a command about on one, by the [`rules`] for it;
//! [`redis`] is
//! Redis' protocol.

mod keys;
pub(crate) mod redis;
mod rules;
mod store;

pub(crate) use redis::Gateway;
pub(crate) use rules::Rule;
