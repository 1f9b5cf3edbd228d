//! Commands for people, in a terminal: real nodes, a real pseudo-terminal, and an
//! emulator that says what a person would see. A test that does not find `setsid`
//! or `stty`, which Linux systems have, says so.
//!
//! - [`terminal`]: the pseudo-terminal with a program in it;
//! - [`top`] and [`sessions`]: what `segue top` and `segue sessions` show there.
//!
//! Nodes are those of the tests of the whole (`tests/farm`).
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, there and then")]

#[path = "../farm/http.rs"]
mod http;
#[expect(dead_code, reason = "it is shared with the tests of the whole")]
#[path = "../farm/nodes.rs"]
mod nodes;
#[path = "../farm/patience.rs"]
mod patience;
#[expect(dead_code, reason = "it is shared with the tests of live connections")]
#[path = "../connections/clients/process.rs"]
mod process;
mod terminal;
#[expect(dead_code, reason = "it is shared with the tests of the whole")]
#[path = "../farm/writer.rs"]
mod writer;

mod sessions;
mod top;
