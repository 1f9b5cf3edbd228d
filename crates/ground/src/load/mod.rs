//! Load over connections: what is sent is known byte for byte at both ends.
//!
//! A client connects, by whatever is on the way, to a [`Backend`], and tells it
//! first what the connection is for ([`Plan`]). Both ends then send bytes that
//! follow from their position, check what comes, and hash both. Both are in one
//! process, whatever machine their sockets are on, and so can be compared
//! afterwards ([`Near::outcome`]). One thread drives all clients, and one the
//! backend.

mod backend;
mod channel;
mod client;
mod content;
mod end;
mod plan;
mod reactor;
mod seat;
#[cfg(test)]
mod tests;

pub use backend::{Backend, Far};
pub use client::{Clients, HUNG, Near, Outcome};
pub use plan::{Amount, Plan, Security};
pub use seat::{Account, Hash, State};
