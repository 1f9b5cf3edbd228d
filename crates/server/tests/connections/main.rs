//! Tests of live connections: farms of real `segue serve` processes on machines
//! of their own ([`ground`]), which are killed and cut while bytes go over
//! them.
//!
//! - [`bed`]: what the subjects share;
//! - [`ordinary`]: the ground itself, by a front that carries nothing;
//! - [`takeover`]: servers that go away under full load;
//! - [`odd`]: odd moments for that, and odd clients;
//! - [`odd_segments`]: segments as no kernel sends them, by [`hand`];
//! - [`odd_places`]: the address and backends where they should not be;
//! - [`clients`]: real clients of real servers.

mod bed;

mod clients;
mod hand;
mod odd;
mod odd_places;
mod odd_segments;
mod ordinary;
#[expect(dead_code, reason = "it is shared with the farm tests")]
#[path = "../farm/patience.rs"]
mod patience;
mod takeover;
