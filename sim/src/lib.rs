//! A simulated farm: the real machines of `proto` on a network that a seed
//! determines, beside a plain model of what they should hold.
//!
//! Time is virtual, so a run of minutes takes milliseconds, and a seed replays
//! its run exactly. In reading order:
//!
//! - [`weather`]: what a network loses, doubles and delays;
//! - [`network`]: brings packets from node to node, and is parted and cut;
//! - [`farm`]: nodes, their clocks, and the loop that lets time pass;
//! - [`keys`]: the key files that a farm goes through;
//! - [`scenario`]: what a seed does to a farm;
//! - [`shares`]: what a seed does to a farm whose nodes keep shares;
//! - [`lookups`]: what a seed does to a farm of which some nodes ask others;
//! - [`model`]: what must hold of the records, during a run and at its end;
//! - [`tombstones`]: that nothing deleted revives;
//! - [`holes`], [`nonces`], [`limits`]: what must hold of the streams, of what
//!   is sealed, and of what a node keeps;
//! - [`portions`]: portions at size, without packets;
//! - [`crowd`]: a farm of many nodes, and what multicast costs there;
//! - [`agree`]: operations that need one answer; [`linear`]: whether what they
//!   were answered is linearizable;
//! - [`connections`]: live connections, with either node killed at every step;
//! - [`decoders`]: what a peer's bytes are read by; [`clients`]: what those of
//!   other stores' clients are;
//! - [`receiving`]: one stream's receiver beside a plain set of numbers;
//! - [`target`]: a node by itself, and a member that says what it likes;
//! - [`hostile`]: packets from those who mean no good.

pub mod agree;
pub mod clients;
pub mod connections;
pub mod crowd;
pub mod decoders;
pub mod farm;
pub mod holes;
pub mod hostile;
pub mod keys;
pub mod limits;
pub mod linear;
pub mod lookups;
mod memory;
pub mod model;
pub mod network;
pub mod nonces;
pub mod portions;
pub mod receiving;
pub mod scenario;
pub mod shares;
pub mod target;
pub mod tombstones;
pub mod weather;
