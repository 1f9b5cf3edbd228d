//! Operations that need one answer, under everything that can go wrong.
//!
//! Real machines of `proto` in virtual time; what their clients were answered
//! is a history, and the checker of [`crate::linear`] judges it. In reading
//! order:
//!
//! - [`world`]: nodes, their clocks and the network between them;
//! - [`tamper`]: what breaks the protocol on purpose;
//! - [`clients`]: what is asked, and what was answered;
//! - [`scenario`]: what a seed does to a farm, and what must hold;
//! - [`losses`]: the same where majorities die.

pub mod clients;
pub mod losses;
pub mod scenario;
pub mod tamper;
pub mod world;
