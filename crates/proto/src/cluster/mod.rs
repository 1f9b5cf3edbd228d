//! Who of the farm keeps what.
//!
//! [`slots`] are what keys are given to nodes by. It knows nothing of packets,
//! time or tables.

pub mod slots;
