//! Records in bulk: what a node fetches that no repair can bring.
//!
//! A [`puller`] asks another node for a page of records and for the page after
//! it; the [`provider`] makes each page when it is asked for. Everything is
//! driven by the puller: it sets the pace, asks again for the parts that were
//! lost, and turns elsewhere when the provider falls silent. A joining node
//! fetches its portion so, a node that missed too much of a stream the current
//! values of what it missed, and the survivors of a node what it left with
//! some of them. Records merge by version, so a page does no harm however
//! often or late it comes.

pub mod page;
pub(crate) mod parts;
pub mod provider;
pub mod puller;

#[cfg(test)]
mod tests;
