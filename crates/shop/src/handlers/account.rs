//! Logging in and out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use segue::state::{Auth, Cart, StateId};
use zeroize::Zeroizing;

use super::{frame, page};
use crate::attempts::Of;
use crate::basket::{ADDRESS, DELIVERY, MAX_PIECES};
use crate::form::Form;
use crate::refusal::Refusal;
use crate::visit::{ORDER, Visit, Who, see, see_forgotten, subject};
use crate::writes::{begun, made};
use crate::{Inner, catalogue, pages};

/// The longest name and password that are looked at: no account has longer ones.
const MAX_TYPED_BYTES: usize = 256;

pub(super) async fn login(
    State(shop): State<Arc<Inner>>,
    Extension(visit): Who,
    uri: Uri,
) -> Response {
    let next = uri.query().and_then(|query| query.strip_prefix("next=")).unwrap_or_default();
    page(&pages::login::login(&frame(&shop, &visit), known(next), "", None))
}

/// Where one may be sent after logging in: nowhere that a link chooses.
fn known(next: &str) -> &'static str {
    match next {
        "checkout" => "checkout",
        "orders" => "orders",
        "address" => "address",
        _ => "",
    }
}

pub(super) async fn log_in(
    State(shop): State<Arc<Inner>>,
    form: Form,
) -> Result<Response, Refusal> {
    let (name, password) = (form.text("name"), form.get("password"));
    let next = known(form.get("next"));
    let attempts = attempts(&shop, &form.visit, name)?;
    let found = if name.len() > MAX_TYPED_BYTES || password.len() > MAX_TYPED_BYTES {
        None
    } else {
        let password = Zeroizing::new(password.to_owned());
        let busy = |_| Refusal::unanswered("Too many people log in at once. Try again.");
        shop.accounts.find(name, password).await.map_err(busy)?
    };
    let Some(account) = found else {
        let wrong = "There is no account of this name and password.";
        let frame = frame(&shop, &form.visit);
        let shown = pages::login::login(&frame, next, name, Some(wrong));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&shown)).into_response());
    };
    for of in attempts {
        shop.attempts.give_back(of);
    }
    let id = begin(&shop, &form.visit, account.name).await?;
    Ok(see(&format!("/{next}"), Some(&id)))
}

/// Takes an attempt of the account's allowance, and of the address's.
fn attempts(shop: &Inner, visit: &Visit, name: &str) -> Result<Vec<Of>, Refusal> {
    let mut taken = Vec::new();
    let address = visit.arrival.peer.map(Of::address);
    for of in address.into_iter().chain([Of::account(name)]) {
        shop.attempts.take(of, Instant::now()).map_err(slowed)?;
        taken.push(of);
    }
    Ok(taken)
}

fn slowed(wait: Duration) -> Refusal {
    let seconds = wait.as_secs() + 1;
    let text = format!(
        "There were too many wrong passwords, for this account or from where you are. Try again \
         in {seconds} s."
    );
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "Not so fast", text);
    Refusal { retry_after: Some(wait), ..refusal }.on("/login", "Back to the log-in")
}

/// Begins the session of who has logged in, under an id that nobody had before;
/// the visitor's ends. Both carts become one.
async fn begin(shop: &Inner, visit: &Visit, user: &str) -> Result<StateId, Refusal> {
    let cart = joined_cart(shop, visit, user).await?;
    let method = format!("password at {}", shop.node);
    let mut auth = Auth::new(&subject(user), &method, shop.cache.now())?;
    auth.grant(ORDER)?;
    auth.cart = Some(cart);
    let id = begun(|| shop.sessions.begin(auth.clone())).await?;
    if visit.auth.is_some() {
        made(shop.sessions.end(&visit.id).await)?;
    }
    Ok(id)
}

/// The cart of the user's other sessions with the visitor's put into it, or
/// whichever of the two there is.
async fn joined_cart(shop: &Inner, visit: &Visit, user: &str) -> Result<StateId, Refusal> {
    let mut own = None;
    for (_, auth) in shop.sessions.list(&subject(user)).await {
        if let Some(cart) = auth.cart
            && let Some(found) = shop.carts.get(&cart).await
        {
            own = Some((cart, found));
            break;
        }
    }
    match (own, &visit.cart) {
        (Some((own, _)), Some((other, _))) if own == *other => Ok(own),
        (Some((own, held)), Some((other, brought))) => {
            put_in(shop, (&own, &held), brought).await?;
            // Another user's, where one has logged in twice: it is his.
            if visit.user().is_none() {
                made(shop.carts.end(other).await)?;
            }
            Ok(own)
        }
        (Some((own, _)), None) => Ok(own),
        (None, Some((other, _))) if visit.user().is_none() => Ok(*other),
        (None, _) => begun(|| shop.carts.begin()).await,
    }
}

async fn put_in(
    shop: &Inner,
    (own, held): (&StateId, &Cart),
    brought: &Cart,
) -> Result<(), Refusal> {
    for line in brought.lines() {
        let held = held.quantity(line.sku);
        if line.sku == DELIVERY && held == 0 {
            made(shop.carts.add(own, DELIVERY, 1).await)?;
            let address = (ADDRESS, line.attribute(ADDRESS));
            made(shop.carts.set_attribute(own, DELIVERY, address).await)?;
        } else if catalogue::find(line.sku).is_some() {
            let pieces = line.quantity.min(MAX_PIECES.saturating_sub(held));
            if pieces > 0 {
                made(shop.carts.add(own, line.sku, pieces).await)?;
            }
        }
    }
    Ok(())
}

pub(super) async fn show(State(shop): State<Arc<Inner>>, Extension(visit): Who) -> Response {
    let Some(user) = visit.user() else { return see("/login", None) };
    let sessions = shop.sessions.list(&subject(user)).await.len();
    page(&pages::login::account(&frame(&shop, &visit), user, sessions))
}

pub(super) async fn log_out(
    State(shop): State<Arc<Inner>>,
    form: Form,
) -> Result<Response, Refusal> {
    made(shop.sessions.end(&form.visit.id).await)?;
    if let Some(user) = form.visit.user()
        && shop.sessions.list(&subject(user)).await.is_empty()
    {
        end_cart(&shop, &form.visit).await?;
    }
    Ok(see_forgotten("/"))
}

pub(super) async fn log_out_everywhere(
    State(shop): State<Arc<Inner>>,
    form: Form,
) -> Result<Response, Refusal> {
    if let Some(user) = form.visit.user() {
        shop.sessions.end_all(&subject(user)).await?;
        end_cart(&shop, &form.visit).await?;
    }
    Ok(see_forgotten("/"))
}

/// Ends a cart that no session names any more: nobody would find it.
async fn end_cart(shop: &Inner, visit: &Visit) -> Result<(), Refusal> {
    let Some((cart, _)) = &visit.cart else { return Ok(()) };
    made(shop.carts.end(cart).await)
}
