//! What a session store's clients keep: texts, hashes, sets and sorted sets,
//! as payloads of [`Kind::Web`](crate::record::Kind::Web) records that merge
//! by their type.
//!
//! It owns what a value is, how it looks as bytes, and what two nodes' values
//! of one key merge to. Of clients' protocols it knows nothing, and nothing of
//! how nodes come to agree. In reading order: [`rank`] what orders writes;
//! [`state`] a value and its merge; [`payload`] its bytes; [`draft`] a value
//! while a command changes it, and [`memory`] how
//! long it and what is left of it are kept. Why this is sound across nodes stands in
//! `docs/gateways.md`.

pub mod draft;
pub mod memory;
pub mod payload;
pub mod rank;
pub mod state;

#[cfg(test)]
mod tests;

pub use draft::{Change, Draft, Stamp};
pub use payload::{
    Item, Plain, TEXT_OVERHEAD_BYTES, is_typed, item, merges_by_type, plain, text_payload,
};
pub use rank::Rank;
pub use state::{Beside, Content, Ends, Entry, Members, Shape, State};
