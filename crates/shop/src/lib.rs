//! A small storefront: catalogue, log-in, cart, address, payment and orders, all
//! of it kept by the farm.
//!
//! It owns pages, forms and what guards them, and knows the farm by
//! [`segue::state`] alone: whoever is served by one node goes on at any other,
//! logged in, with the same cart, and pays once however often a form is sent.
//! TLS and sockets are its host's business; the host puts an [`Arrival`] into
//! each request.
//!
//! It is there to be looked at. Accounts and articles stand in the code, and the
//! payment provider is a test one, unless the host has another [`Provider`].
//!
//! In reading order: `frame` what surrounds every page, `visit` who asks, and
//! `form` what is sent; `basket` what a cart comes to and `checkout` how it is
//! paid for; `accounts` and `attempts` who may log in; `handlers` what each path
//! does, and `pages` what that looks like.

mod accounts;
mod attempts;
mod basket;
mod catalogue;
mod checkout;
mod form;
mod frame;
mod handlers;
mod letters;
mod pages;
mod provider;
mod refusal;
mod visit;
mod writes;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use segue::Cache;
use segue::state::{Addresses, Carts, Payments, Sessions};

use accounts::Accounts;
use attempts::Attempts;
pub use provider::{Charge, Charging, Provider, TestProvider, Verdict};

/// How long a cart lives: longer than a session (12 hours), as a session that
/// begins takes over the cart of one that lives.
const CART_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long payments are kept, and with them the list of a user's orders: a
/// demonstration runs for less than a year.
const PAYMENT_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A storefront at one node.
#[derive(Debug, Clone)]
pub struct Shop(Arc<Inner>);

/// How a request came, as its host knows it: an extension of the request.
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    /// The client's address. Log-ins are slowed by it, if it is known.
    pub peer: Option<IpAddr>,
    /// The connection's TLS session, if the host looks at it.
    pub tls: Option<Tls>,
}

/// What the foot of each page says of a TLS session.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The node that made its full handshake.
    pub began_at: String,
    /// Whether this connection resumed it.
    pub resumed: bool,
    /// The path at which the host tells more of it.
    pub page: &'static str,
}

/// What all requests share.
#[derive(Debug)]
struct Inner {
    node: String,
    cache: Cache,
    sessions: Sessions,
    carts: Carts,
    addresses: Addresses,
    payments: Payments,
    provider: Arc<dyn Provider>,
    accounts: Accounts,
    attempts: Attempts,
}

impl Shop {
    /// A storefront at the node of that name, with the test provider.
    #[must_use]
    pub fn new(node: impl Into<String>, cache: Cache) -> Self {
        Self::with_provider(node, cache, Arc::new(TestProvider))
    }

    /// The same with another provider of payments.
    #[must_use]
    pub fn with_provider(
        node: impl Into<String>,
        cache: Cache,
        provider: Arc<dyn Provider>,
    ) -> Self {
        let mut carts = Carts::new(cache.clone());
        carts.lifetime = CART_LIFETIME;
        let mut addresses = Addresses::new(cache.clone());
        addresses.lifetime = CART_LIFETIME;
        let mut payments = Payments::new(cache.clone());
        payments.lifetime = PAYMENT_LIFETIME;
        Self(Arc::new(Inner {
            node: node.into(),
            sessions: Sessions::new(cache.clone()),
            carts,
            addresses,
            payments,
            cache,
            provider,
            accounts: Accounts::default(),
            attempts: Attempts::default(),
        }))
    }

    /// Its paths, from `/` on.
    pub fn router(&self) -> Router {
        handlers::router(Arc::clone(&self.0))
    }
}
