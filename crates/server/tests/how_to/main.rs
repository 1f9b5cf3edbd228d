//! The how-tos of `docs/`, done as they stand there: their files are written, their
//! commands run, and the programs that they are about started with them. Somebody
//! begins at one machine, whose node is killed, and goes on at another.
//!
//! Machines are loopback addresses, each with a directory for its files; what a test
//! puts in the place of a machine's own doings is in [`machines`]. What programs
//! they need, `.ci/packages` installs. A test whose part is missing says so.
//!
//! - [`page`]: what stands on a page;
//! - [`machines`]: where it is done;
//! - [`servers`]: httpd, nginx and HAProxy, before the farm and behind it;
//! - [`applications`]: PHP, Django, Express and axum;
//! - [`quick_start`]: the page to begin with;
//! - [`links`]: that one page leads to the next.

mod applications;
#[path = "../farm/http.rs"]
mod http;
mod links;
mod machines;
mod page;
#[expect(dead_code, reason = "it is shared with the tests of the gateways' clients")]
#[path = "../clients/parts.rs"]
mod parts;
#[path = "../farm/patience.rs"]
mod patience;
#[expect(dead_code, reason = "it is shared with the tests of live connections")]
#[path = "../connections/clients/process.rs"]
mod process;
mod quick_start;
mod servers;
#[path = "../clients/visitor.rs"]
mod visitor;
