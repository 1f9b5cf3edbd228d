//! What applications keep in the farm: sessions of users, carts, payments and
//! addresses.
//!
//! [`Sessions`] are logins by a random id: any node knows one that was begun at
//! another, and all of a user's end at once. [`Carts`] may be edited at several
//! nodes at the same time. [`Payments`] have one writer, and an idempotency key
//! that makes each happen once. [`Addresses`] are kept as they were written.
//!
//! The values themselves, and what may stand in them, are
//! [`proto::state`]'s: no card number is kept, and none is repeated in an error.
//! Ids are made here, never taken from who asks: an id that is unknown is not
//! adopted.
//!
//! ```
//! use segue::state::{Auth, Carts, Sessions};
//! use segue::{Config, Node};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::start(Config::single("a"))?;
//! node.ready().await;
//! let sessions = Sessions::new(node.cache());
//! let carts = Carts::new(node.cache());
//!
//! // Who logs in gets an id that goes into a cookie.
//! let mut auth = Auth::new("ada@example.org", "password", node.cache().now())?;
//! auth.grant("order")?;
//! auth.cart = Some(carts.begin().await?);
//! let cookie = sessions.begin(auth).await?.to_text();
//!
//! // Whichever node has the next request knows both.
//! let id = segue::state::StateId::parse(&cookie)?;
//! let auth = sessions.get(&id).await.expect("she has just logged in");
//! assert!(auth.may("order"));
//! let cart = carts.add(&auth.cart.expect("it was set"), "mug", 2).await?;
//! assert_eq!(cart.quantity("mug"), 2);
//!
//! // More rights, another id.
//! let stepped_up = sessions.rotate(&id, |auth| auth.grant("refund")).await?;
//! assert!(sessions.get(&id).await.is_none());
//! assert!(sessions.get(&stepped_up).await.is_some_and(|auth| auth.may("refund")));
//!
//! sessions.end_all("ada@example.org").await?;
//! assert!(sessions.get(&stepped_up).await.is_none());
//! node.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod addresses;
mod carts;
mod listing;
mod payments;
mod sessions;

pub use addresses::Addresses;
pub use carts::Carts;
pub use listing::{Filter, Listed, Listing};
pub use payments::{PaymentError, Payments, Request};
pub use proto::state::address::AddressForm;
pub use proto::state::auth::StepUp;
pub use proto::state::cart::Line;
pub use proto::state::index::Order;
pub use proto::state::payment::{Amount, Step};
pub use proto::state::{Address, Auth, Card, Cart, Payment, StateError, StateId, Text};
pub use sessions::Sessions;

use proto::record::{Key, Kind};

use crate::error::WriteError;

/// Why something was not done to a session, a cart or an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was given cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// It is not in the farm's caches, or not where it was to be.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// There is nothing of that id: it has ended, or never was.
    #[error("nothing lives under that id")]
    NotFound,
    /// What is there was written by a later version of Segue, or by something
    /// else.
    #[error("what is kept there is not to be read: a later version of Segue may have written it")]
    Unreadable,
    /// The operating system gave no random numbers.
    #[error("the operating system gives no random numbers")]
    Random,
}

/// What an id is of: the first byte of a record's id, so that an id of the one
/// finds nothing of the other.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Of {
    Session = b's',
    Index = b'u',
    Cart = b'c',
    Address = b'a',
    Payment = b'p',
    Lease = b'l',
}

impl Of {
    /// The key of a name.
    fn key(self, name: &[u8; 32]) -> Key {
        let kind = match self {
            Self::Session | Self::Index => Kind::Auth,
            Self::Cart | Self::Address | Self::Payment | Self::Lease => Kind::Purchase,
        };
        let mut id = [self as u8; 33];
        id[1..].copy_from_slice(name);
        Key::new(kind, &id).expect("33 bytes are an id")
    }
}

/// An id that nobody can guess.
fn random_id() -> Result<StateId, Error> {
    let mut id = [0; StateId::BYTES];
    getrandom::fill(&mut id).map_err(|_| Error::Random)?;
    Ok(StateId::new(id))
}
