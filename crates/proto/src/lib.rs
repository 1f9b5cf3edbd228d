//! Segue's pure core: what a node knows and decides, without I/O.
//!
//! Nothing here opens a socket, reads a clock, starts a thread or asks the
//! operating system for random numbers: time ([`time::Instant`],
//! [`time::Wall`]) and seeds come in as arguments. That is what lets the
//! simulator run the very same state machines that the daemon runs.
//!
//! In reading order:
//!
//! - [`time`], [`rng`]: the two clocks and the seeded generator;
//! - [`buzhash`]: the hash that finds a record and places it in the farm;
//! - [`record`]: what a cache memory holds, and how two versions merge;
//! - [`state`]: logins, carts, payments and addresses, and which of them join;
//! - [`table`]: the cache memory itself;
//! - [`holdings`]: what a node holds, its portion and beside it;
//! - [`keyring`], [`proof`]: the farm's keys, what is derived from them, and how
//!   two nodes show each other that they have them;
//! - [`wire`], [`seal`]: what nodes say to each other, as sealed bytes;
//! - [`nak`]: the reliable multicast, one machine per stream and side;
//! - [`transfer`]: records in bulk, for what no repair can bring;
//! - [`cluster`]: who belongs to the farm, who is up, and who keeps what;
//! - [`lookup`]: finding what this node does not hold;
//! - [`upstream`]: what a record looks like in an engine outside of the farm;
//! - [`agree`]: operations that need one answer;
//! - [`connection`]: live connections, and who goes on with one;
//! - [`gateway`]: what clients of other stores say, as bytes;
//! - [`web`]: what session stores keep, and how it merges;
//! - [`node`]: all of it together, the machine that a driver runs;
//! - [`secret`]: values of sessions that several places share;
//! - [`claims`]: the tickets whose early data was accepted;
//! - [`load`]: how full things are that are bounded.

pub mod agree;
pub mod buzhash;
pub mod claims;
pub mod cluster;
pub mod connection;
pub mod gateway;
pub mod holdings;
pub mod keyring;
pub mod load;
pub mod lookup;
pub mod nak;
pub mod node;
pub mod proof;
pub mod record;
pub mod rng;
pub mod seal;
pub mod secret;
pub mod state;
pub mod table;
pub mod time;
pub mod transfer;
pub mod upstream;
pub mod web;
pub mod wire;
