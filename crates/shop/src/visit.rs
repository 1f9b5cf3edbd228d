//! Who asks: what a browser's one cookie says.
//!
//! The cookie names a session of the farm, or nothing at all: a browser that has
//! none is given random bytes, which make a form's token and are never adopted as
//! a session's id. A session begins with the first thing that is to be kept, under
//! an id that the farm's library draws.

use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use segue::state::{Auth, Cart, StateId};

use crate::basket::Basket;
use crate::refusal::Refusal;
use crate::writes::begun;
use crate::{Arrival, Inner, letters};

/// The cookie. With this prefix browsers take it from this host over TLS only,
/// for all paths, and not from a neighbouring host (RFC 6265bis, section 4.1.3).
const COOKIE_NAME: &str = "__Host-shop";

/// The right of who has logged in; a visitor's session has none.
pub(crate) const ORDER: &str = "order";

/// What the names of this shop's users begin with in the farm. Its accounts are
/// everybody's, so they must not be those of another application of the farm.
const NAMESPACE: &str = "shop:";

/// An account as the farm knows it.
pub(crate) fn subject(user: &str) -> String {
    format!("{NAMESPACE}{user}")
}

/// A request's visitor.
#[derive(Debug)]
pub(crate) struct Visit {
    /// What the cookie holds, or will.
    pub(crate) id: StateId,
    /// Whether the browser has to be given it.
    pub(crate) is_new: bool,
    /// The session of that id, if it lives.
    pub(crate) auth: Option<Auth>,
    /// Its cart, if that lives.
    pub(crate) cart: Option<(StateId, Cart)>,
    pub(crate) arrival: Arrival,
}

impl Visit {
    /// Finds out who asks.
    pub(crate) async fn of(
        shop: &Inner,
        headers: &HeaderMap,
        arrival: Arrival,
    ) -> Result<Self, Refusal> {
        let given = cookie(headers);
        let id = given.map_or_else(random_id, Ok)?;
        let mut visit = Self { id, is_new: given.is_none(), auth: None, cart: None, arrival };
        if visit.is_new {
            return Ok(visit);
        }
        visit.auth = shop.sessions.get(&id).await;
        if visit.auth.is_some() {
            // It may have ended this moment; then the next request is told.
            let _ = shop.sessions.touch(&id).await;
        }
        if let Some(cart) = visit.auth.as_ref().and_then(|auth| auth.cart) {
            visit.cart = shop.carts.get(&cart).await.map(|found| (cart, found));
        }
        Ok(visit)
    }

    /// Who has logged in.
    pub(crate) fn user(&self) -> Option<&str> {
        let auth = self.auth.as_ref().filter(|auth| auth.may(ORDER))?;
        auth.subject().strip_prefix(NAMESPACE)
    }

    /// The node at which the session began.
    pub(crate) fn began_at(&self) -> Option<&str> {
        let (_, node) = self.auth.as_ref()?.method().split_once(" at ")?;
        Some(node)
    }

    /// What the cart comes to.
    pub(crate) fn basket(&self) -> Basket {
        self.cart.as_ref().map_or_else(Basket::default, |(_, cart)| Basket::of(cart))
    }

    /// What every form of this visitor has in it, and no other site knows: a tag
    /// by the cookie, which it does not tell.
    pub(crate) fn form_token(&self) -> String {
        letters::of(hmac::sign(&self.form_key(), FORM).as_ref())
    }

    /// Whether a form's token is this visitor's. Takes as long for any.
    pub(crate) fn is_own_token(&self, token: &str) -> bool {
        let tag = letters::id(token);
        tag.is_some_and(|tag| hmac::verify(&self.form_key(), FORM, tag.as_bytes()).is_ok())
    }

    fn form_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.id.as_bytes())
    }
}

/// What a form's token says.
const FORM: &[u8] = b"segue shop form";

/// Begins a visitor's session, of whom nothing is known.
pub(crate) async fn begin_visit(shop: &Inner, cart: StateId) -> Result<StateId, Refusal> {
    // A name of his own: each user's sessions are limited.
    let name = format!("{NAMESPACE}visitor {}", letters::of(random_id()?.as_bytes()));
    let mut auth = Auth::new(&name, &format!("visit at {}", shop.node), shop.cache.now())?;
    auth.cart = Some(cart);
    begun(|| shop.sessions.begin(auth.clone())).await
}

/// The visitor's cart, which begins if there is none, and the session's new id
/// where that has changed with it.
pub(crate) async fn cart(
    shop: &Inner,
    visit: &Visit,
) -> Result<(StateId, Option<StateId>), Refusal> {
    if let Some((cart, _)) = &visit.cart {
        return Ok((*cart, None));
    }
    let cart = begun(|| shop.carts.begin()).await?;
    let id = if visit.auth.is_some() {
        let set = |auth: &mut Auth| {
            auth.cart = Some(cart);
            Ok(())
        };
        shop.sessions.rotate(&visit.id, set).await?
    } else {
        begin_visit(shop, cart).await?
    };
    Ok((cart, Some(id)))
}

/// Sends a browser on by GET, with another cookie if there is one.
pub(crate) fn see(path: &str, id: Option<&StateId>) -> Response {
    let location = [(axum::http::header::LOCATION, path)];
    let mut response = (StatusCode::SEE_OTHER, location).into_response();
    if let Some(id) = id {
        response.headers_mut().insert(SET_COOKIE, set_cookie(id));
    }
    response
}

/// Sends a browser on that is to forget its cookie.
pub(crate) fn see_forgotten(path: &str) -> Response {
    let mut response = see(path, None);
    let gone = format!("{COOKIE_NAME}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax");
    let gone = HeaderValue::try_from(gone).expect("it is ASCII");
    response.headers_mut().insert(SET_COOKIE, gone);
    response
}

/// A cookie for as long as the browser runs; what it names ends before.
pub(crate) fn set_cookie(id: &StateId) -> HeaderValue {
    let text = format!("{COOKIE_NAME}={}; Path=/; Secure; HttpOnly; SameSite=Lax", id.to_text());
    let mut value = HeaderValue::try_from(text).expect("it is ASCII");
    value.set_sensitive(true);
    value
}

fn cookie(headers: &HeaderMap) -> Option<StateId> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let value = pairs
        .flat_map(|pairs| pairs.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))?;
    StateId::parse(value).ok()
}

fn random_id() -> Result<StateId, Refusal> {
    let mut id = [0; StateId::BYTES];
    getrandom::fill(&mut id).map_err(|_| Refusal::unanswered("There are no random numbers."))?;
    Ok(StateId::new(id))
}

/// As handlers are given it.
pub(crate) type Who = axum::Extension<Arc<Visit>>;
