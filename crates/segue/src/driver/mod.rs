//! The node's I/O: the loop around the core's machine.

pub(crate) mod clock;
