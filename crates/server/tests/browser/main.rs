//! The pages as people meet them: in a real browser, headless Chromium.
//!
//! `.ci/packages` installs it. A test that does not find it says so.
//!
//! - [`window`]: a browser's window, and what is done and seen in it;
//! - [`chromium`]: the browser's processes, from their start to their end;
//! - [`itself`]: that these two do what they are told;
//! - [`admin`]: the page of a node's operators.
//!
//! Nodes are those of the tests of the whole (`tests/farm`).
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, there and then")]

mod admin;
mod chromium;
#[expect(dead_code, reason = "it is shared with the tests of the whole")]
#[path = "../farm/client.rs"]
mod client;
#[path = "../farm/http.rs"]
mod http;
mod itself;
#[expect(dead_code, reason = "it is shared with the tests of the whole")]
#[path = "../farm/nodes.rs"]
mod nodes;
#[path = "../farm/patience.rs"]
mod patience;
#[expect(dead_code, reason = "it is shared with the tests of live connections")]
#[path = "../connections/clients/process.rs"]
mod process;
mod window;
#[expect(dead_code, reason = "it is shared with the tests of the whole")]
#[path = "../farm/writer.rs"]
mod writer;
