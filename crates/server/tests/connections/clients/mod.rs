//! Real clients of real servers, whose node is killed midway.
//!
//! Each client runs several times, and loses its node each time: as often as
//! `SEGUE_CLIENT_TIMES` says. What it moves has as many bytes as
//! `SEGUE_CLIENT_BYTES` says.
//!
//! - [`process`]: programs, what they are told and what they say;
//! - [`content`]: bytes that are known, and a web server that has them;
//! - the others: one kind of client each.

pub(crate) mod content;
pub(crate) mod process;

mod curl;
mod openssl;
mod psql;
mod redis;
mod ssh;
mod websocket;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ground::farm::{BACKEND, Settings};
use ground::{Farm, Network};

use crate::bed::{Bed, bed};
use crate::patience::say;

/// How often a client's node is killed, unless it is told otherwise: at either of
/// two nodes, and with what an earlier take-over has left.
const TIMES: u64 = 2;

/// How much is moved, unless it is told otherwise: several times what the buffers
/// on the way hold.
const BYTES: u64 = 32 << 20;

/// After how much silence a node is taken for gone: none of these is silent, but a
/// busy machine's may be.
const DETECT: Duration = Duration::from_secs(2);

/// The port at the virtual address of a listener without TLS.
pub(crate) const PORT: u16 = 7000;

/// How much is moved.
fn bytes() -> u64 {
    told("SEGUE_CLIENT_BYTES").unwrap_or(BYTES).next_multiple_of(content::BLOCK_BYTES)
}

fn times() -> u64 {
    told("SEGUE_CLIENT_TIMES").unwrap_or(TIMES)
}

fn told(name: &str) -> Option<u64> {
    let told = std::env::var(name).ok()?;
    Some(told.parse().unwrap_or_else(|_| panic!("{name}: found {told}, expected a number")))
}

/// An address of the machine that servers are on.
pub(crate) fn behind(port: u16) -> SocketAddr {
    (Network::address(BACKEND), port).into()
}

/// A farm before that server, by a listener with TLS and one without, if these
/// programs are installed.
pub(crate) fn before(server: SocketAddr, programs: &[&str]) -> Option<Bed> {
    if !process::are_installed(programs) {
        return None;
    }
    bed(Settings {
        behind_tls: Some(server),
        more: vec![(PORT, server)],
        detect: Some(DETECT),
        ..Settings::default()
    })
}

/// A farm under a client that is to lose its node.
struct Trial<'a> {
    farm: &'a mut Farm,
    killed: Option<u8>,
}

impl Trial<'_> {
    /// The virtual address.
    fn address(&self) -> IpAddr {
        self.farm.address()
    }

    /// Kills the node that has the client's connections, of which there are so
    /// many, as soon as another could go on with all of them.
    fn kill(&mut self, connections: u64) {
        let owner = self.farm.until_owner(|_| true).expect("a node has the address");
        self.farm.until_protected(owner, connections).expect("another follows");
        self.farm.kill(owner);
        self.killed = Some(owner);
    }
}

/// Runs a client time after time, whose node is to be killed each time.
fn check(farm: &mut Farm, mut client: impl FnMut(&mut Trial<'_>)) {
    for _ in 0..times() {
        let mut trial = Trial { farm, killed: None };
        client(&mut trial);
        let killed = trial.killed.expect("each client has its node killed");
        let owner = farm.until_owner(|_| true).expect("a node has the address");
        let all_over = |status: &serde_json::Value| status["connections"]["live"] == 0;
        farm.until_status(owner, all_over).expect("nothing is left of its connections");
        farm.restore(killed).expect("a node comes back");
    }
    say(&format!("went on {} times", times()));
}
