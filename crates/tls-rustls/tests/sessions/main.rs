//! The adapter with rustls' own client: what resumes where, and whose early data
//! would be accepted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod early;
mod pair;
mod resume;
