//! Connections of real clients, which go on through records of our own, and at
//! another owner whenever a test wants it: over loopback, with OpenSSL's client
//! and rustls'.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod extraction;
mod openssl;
mod rustls_client;
mod server;
