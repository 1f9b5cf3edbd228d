//! What applications keep: logins, carts, payments and addresses, as the
//! payloads of records of kind `auth` and `purchase`.
//!
//! Each is a plain value with a bounded encoding of its own. It knows nothing
//! of records, nodes or clocks: times come in as arguments. Of three of them
//! what two servers wrote at once is both kept, in whatever order it arrives: a
//! [`Cart`], a user's [`Index`] of sessions, and a [`Payment`], of which the one
//! that has come further stays. Of the others the later record wins.
//!
//! Nothing here has a place for a card's verification code, its track or its
//! PIN, and no text may hold a card's number ([`Text`]). `Debug` shows lengths
//! in the place of what a person has written or is called.
//!
//! ```text
//! mark(2) type(1) schema(1), then the type's own fields
//! ```
//!
//! The schema's number grows when a type's fields change. An older one is read;
//! a newer one is not, and does not join, so the nodes of a farm are upgraded
//! before anything writes it.

pub mod address;
pub mod auth;
pub mod card;
pub mod cart;
mod codec;
mod error;
mod id;
pub mod index;
mod luhn;
pub mod payment;
mod text;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

pub use address::Address;
pub use auth::Auth;
pub use card::Card;
pub use cart::Cart;
pub use error::StateError;
pub use id::StateId;
pub use index::Index;
pub use payment::Payment;
pub use text::Text;

use crate::record::Kind;

/// What every value begins with. No text does: in UTF-8 there is no such byte.
pub(crate) const MARK: [u8; 2] = [0xc0, b'S'];
/// Mark, type and schema.
pub(crate) const HEAD_BYTES: usize = 4;
/// The largest value that an application may make: 64 KiB, so that what sixteen
/// servers made at once of one cart still fits a record when it has joined.
pub const MAX_STATE_BYTES: usize = 64 << 10;

/// What a value is of. Of two that join under one key and are of different
/// types the later one in this order stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Type {
    Auth = 1,
    Index = 2,
    Cart = 3,
    Payment = 4,
    Address = 5,
}

/// What two values make.
pub(crate) enum Join {
    /// Neither joins: the order of records decides.
    Neither,
    /// The held one stays.
    Held,
    /// The incoming one takes its place.
    Incoming,
    /// What has both in it.
    Both(Zeroizing<Vec<u8>>),
}

/// A value that joins with others of its type.
#[derive(Clone, PartialEq, Eq)]
enum Joining {
    Index(Index),
    Cart(Cart),
    Payment(Payment),
}

/// Whether a payload says that it joins. It still may be malformed.
#[inline]
pub(crate) fn may_join(kind: Kind, payload: &[u8]) -> bool {
    let [MARK_0, MARK_1, of, ..] = *payload else { return false };
    match kind {
        Kind::Auth => of == Type::Index as u8,
        Kind::Purchase => of == Type::Cart as u8 || of == Type::Payment as u8,
        Kind::Tls | Kind::Conn | Kind::Web => false,
    }
}

const MARK_0: u8 = MARK[0];
const MARK_1: u8 = MARK[1];

/// Joins two values of one key.
pub(crate) fn join(kind: Kind, held: &[u8], incoming: &[u8]) -> Join {
    match (Joining::read(kind, held), Joining::read(kind, incoming)) {
        (None, None) => Join::Neither,
        (Some(_), None) => Join::Held,
        (None, Some(_)) => Join::Incoming,
        (Some(held), Some(incoming)) => held.join(incoming),
    }
}

impl Joining {
    /// The value of a payload, if it is whole and joins.
    fn read(kind: Kind, payload: &[u8]) -> Option<Self> {
        if !may_join(kind, payload) {
            return None;
        }
        if kind == Kind::Auth {
            return Index::decode(payload).ok().map(Self::Index);
        }
        if payload[MARK.len()] == Type::Cart as u8 {
            return Cart::decode(payload).ok().map(Self::Cart);
        }
        Payment::decode(payload).ok().map(Self::Payment)
    }

    fn join(self, incoming: Self) -> Join {
        match (self, incoming) {
            (Self::Index(mut held), Self::Index(incoming)) => {
                held.join(&incoming);
                Join::Both(held.encode())
            }
            (Self::Cart(mut held), Self::Cart(incoming)) => {
                held.join(&incoming);
                Join::Both(held.encode())
            }
            (Self::Payment(held), Self::Payment(incoming)) => {
                Join::Both(held.join(incoming).encode())
            }
            // The types are in their order: those that come later stay.
            (Self::Index(_), Self::Cart(_) | Self::Payment(_))
            | (Self::Cart(_), Self::Payment(_)) => Join::Incoming,
            (Self::Cart(_) | Self::Payment(_), Self::Index(_))
            | (Self::Payment(_), Self::Cart(_)) => Join::Held,
        }
    }
}
