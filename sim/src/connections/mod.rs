//! Live connections, with either of their two nodes killed at every step.
//!
//! The real machines of [`proto::connection`] on two nodes, between model
//! clients and model backends whose streams are known byte for byte. A step is
//! everything that a driver does by itself: one packet taken, one message sent,
//! one action done. In reading order:
//!
//! - [`peer`]: a client and a backend, and what they have come to;
//! - [`socket`]: what a kernel does with what it is given;
//! - [`register`]: where terms stand: linearizable, and answering late or never;
//! - [`fault`]: what goes wrong, and what breaks the rules on purpose;
//! - [`node`]: one node: its machines and what waits for them;
//! - [`driver`]: what a node is given, and when it looks around;
//! - [`act`]: what its machines want, one thing at a time;
//! - [`relay`]: from one end of a connection to the other;
//! - [`kernel`]: what happens to packets without a process;
//! - [`check`]: what must hold whenever a node says something;
//! - [`world`]: time, packets, the link, and the end of a run;
//! - [`befall`]: how faults come to nodes, and what is lost by them;
//! - [`scenario`]: a seed's runs, and one fault at each step of a short one.

pub mod act;
pub mod befall;
pub mod check;
pub mod driver;
pub mod fault;
pub mod kernel;
pub mod node;
pub mod peer;
pub mod register;
pub mod relay;
pub mod scenario;
pub mod socket;
pub mod world;
