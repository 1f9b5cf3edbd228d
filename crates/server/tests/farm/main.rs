//! Tests of the whole: farms of real `segue serve` processes, real clients,
//! real networks.
//!
//! Each subject is a module here, so that one program is linked and what the
//! subjects share is written once. Machines with a network of their own are
//! [`ground`]'s.
//!
//! - [`nodes`]: a farm's directory and its processes;
//! - [`writer`]: a node in the test's own process, which writes;
//! - [`client`]: a customer who comes back, by TLS, to any node;
//! - [`openssl`]: a foreign one;
//! - [`engine`]: a real `redis-server`, as the library's tests have it;
//! - [`http`]: one request and its answer;
//! - [`patience`]: waiting for what must come, and telling what was seen.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, there and then")]

mod client;
#[expect(dead_code, reason = "the library's tests do more with it")]
#[path = "../../../segue/tests/upstream/engine.rs"]
mod engine;
mod http;
mod nodes;
mod openssl;
mod patience;
mod portions;
mod writer;

mod admin;
mod admin_access;
mod cli;
mod demo;
mod drain;
mod early_data;
mod keys;
mod loss;
mod members;
mod one_answer;
mod serving;
mod sessions;
mod shop;
mod stalled;
mod tiers;
mod tls_backend;
mod tls_sessions;
mod tls_terms;
mod upstream;
mod ways;
