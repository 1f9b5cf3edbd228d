//! Live connections: what drives them.
//!
//! The machines of [`proto::connection`] say what owner and understudy tell each
//! other, and when; here are the real things that carry it. Everything belongs
//! to one thread, which waits for all of it at once with [`mio`], and nothing
//! here waits by itself: time is an argument.
//!
//! - [`stream`]: what two nodes tell each other, in order and encrypted.

pub mod carrier;
pub mod stream;
