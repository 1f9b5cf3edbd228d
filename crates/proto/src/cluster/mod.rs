//! Who belongs to the farm, who of them is up, and who keeps what.
//!
//! It knows nodes by their incarnations, names and addresses, and nothing of
//! streams, packets or tables.
//!
//! - [`identity`]: how a node is named among the members;
//! - [`codec`]: what nodes say of each other, as bytes;
//! - [`swim`]: the machine that says it, and judges;
//! - [`slots`]: what keys are given to nodes by;
//! - [`portion`]: what a node says that it keeps;
//! - [`placement`]: who holds what, as it follows from the portions of all.

pub mod codec;
pub mod identity;
pub mod placement;
pub mod portion;
pub mod slots;
pub mod swim;
mod timers;
mod wishes;
