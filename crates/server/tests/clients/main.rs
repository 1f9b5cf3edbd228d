//! Real clients of the gateways. Each logs in through one node, which is killed,
//! and goes on through another: still logged in, with its cart.
//!
//! The programs are in `tests/clients` of the repository; what they need,
//! `.ci/packages` installs. A test whose part is missing says so.
//!
//! - [`parts`]: what is installed, and how it is run;
//! - [`bed`]: the farm that the clients talk to;
//! - [`shops`]: web applications, each by its framework's sessions;
//! - [`libraries`]: programs that use a client library by itself;
//! - [`php`]: what PHP's session handlers do beyond that;
//! - [`apache`]: TLS sessions of httpd.

mod apache;
mod bed;
#[expect(dead_code, reason = "it is shared with the tests of the gateway")]
#[path = "../gateway/client.rs"]
mod client;
#[path = "../farm/http.rs"]
mod http;
mod libraries;
#[expect(dead_code, reason = "it is shared with the tests of the gateway")]
#[path = "../gateway/node.rs"]
mod node;
mod parts;
#[path = "../farm/patience.rs"]
mod patience;
mod php;
#[expect(dead_code, reason = "it is shared with the tests of live connections")]
#[path = "../connections/clients/process.rs"]
mod process;
mod shops;
mod visitor;
