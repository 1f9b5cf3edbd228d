//! Live connections: what drives them.
//!
//! The machines of [`proto::connection`] say what owner and understudy tell each
//! other, and when; here are the real things that carry it. Everything belongs
//! to one thread, which waits for all of it at once with [`mio`], and nothing
//! here waits by itself: time is an argument.
//!
//! - [`carrier`]: a node's connections, and the thread that has them.
//! - [`stream`]: what two nodes tell each other, in order and encrypted.
//! - [`guard`]: what a process does that stands by for when that one is killed.

mod arrived;
pub mod carrier;
mod guard;
mod late;
pub mod stream;

pub use guard::guard;
