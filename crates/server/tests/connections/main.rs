//! Tests of live connections: farms of real `segue serve` processes on machines
//! of their own ([`ground`]), which are killed and cut while bytes go over
//! them.
//!
//! - [`bed`]: what the subjects share;
//! - [`ordinary`]: the ground itself, by a front that carries nothing.

mod bed;

mod ordinary;
