//! Tests of live connections: farms of real `segue serve` processes on machines
//! of their own ([`ground`]), which are killed and cut while bytes go over
//! them.
//!
//! - [`bed`]: what the subjects share;
//! - [`ordinary`]: the ground itself, by a front that carries nothing;
//! - [`takeover`]: servers that go away under full load;
//! - [`odd`]: odd moments for that, and odd clients;
//! - [`clients`]: real clients of real servers.

mod bed;

mod clients;
mod odd;
mod ordinary;
mod takeover;
