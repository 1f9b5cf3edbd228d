//! Checkout, payment and orders.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::{address, frame, page};
use crate::checkout::{self, MAX_ORDERS, Order, Outcome, key};
use crate::form::Form;
use crate::refusal::Refusal;
use crate::visit::{Who, see};
use crate::{Inner, pages};

/// What the checkout is asked with when a card was declined.
const DECLINED: &str = "declined";

pub(super) async fn show(
    State(shop): State<Arc<Inner>>,
    Extension(visit): Who,
    uri: Uri,
) -> Result<Response, Refusal> {
    let Some(user) = visit.user() else { return Ok(see("/login?next=checkout", None)) };
    let orders = checkout::orders(&shop, user).await?;
    let frame = frame(&shop, &visit);
    if let Some((number, payment)) = &orders.under_way {
        return Ok(page(&pages::checkout::under_way(&frame, *number, payment)));
    }
    if visit.basket().entries.is_empty() {
        return Ok(see("/cart", None));
    }
    let Some((_, address)) = address::kept(&shop, &visit).await else {
        return Ok(see("/address", None));
    };
    let number = orders.next.ok_or_else(|| {
        let text = format!("This account has {MAX_ORDERS} orders, and that is all it may have.");
        Refusal::new(StatusCode::CONFLICT, "No more orders", text)
    })?;
    let was_declined = uri.query() == Some(DECLINED);
    Ok(page(&pages::checkout::checkout(&frame, number, &address, was_declined)))
}

pub(super) async fn pay(State(shop): State<Arc<Inner>>, form: Form) -> Result<Response, Refusal> {
    let Some(user) = form.visit.user() else {
        return Ok(see("/login?next=checkout", None));
    };
    let unusable =
        || Refusal::unusable("The form has no order.").on("/checkout", "To the checkout");
    let number = form.number("order").and_then(|number| u32::try_from(number).ok());
    let order = Order {
        user: user.to_owned(),
        number: number.filter(|number| (1..=MAX_ORDERS).contains(number)).ok_or_else(unusable)?,
        shown_minor: form.number("total").ok_or_else(unusable)?,
        card: form.text("card").to_owned(),
        cart: form.visit.cart.as_ref().map(|(cart, _)| *cart),
    };
    let number = order.number;
    Ok(match checkout::pay(&shop, order).await? {
        Outcome::Paid => see(&format!("/orders/{number}"), None),
        Outcome::Declined => see(&format!("/checkout?{DECLINED}"), None),
    })
}

pub(super) async fn orders(
    State(shop): State<Arc<Inner>>,
    Extension(visit): Who,
) -> Result<Response, Refusal> {
    let Some(user) = visit.user() else { return Ok(see("/login?next=orders", None)) };
    let mut orders = checkout::orders(&shop, user).await?;
    orders.over.retain(|(_, payment)| checkout::outcome(payment) == Some(Outcome::Paid));
    let is_under_way = orders.under_way.is_some();
    Ok(page(&pages::orders::orders(&frame(&shop, &visit), &orders.over, is_under_way)))
}

pub(super) async fn order(
    State(shop): State<Arc<Inner>>,
    Extension(visit): Who,
    Path(number): Path<String>,
) -> Result<Response, Refusal> {
    let Some(user) = visit.user() else { return Ok(see("/login?next=orders", None)) };
    let unknown = || {
        let text = "You have paid for no order of this number.";
        Refusal::new(StatusCode::NOT_FOUND, "No such order", text).on("/orders", "Your orders")
    };
    let number: u32 = number.parse().map_err(|_| unknown())?;
    let payment = shop.payments.get(&key(user, number)).await?.ok_or_else(unknown)?;
    if checkout::outcome(&payment) != Some(Outcome::Paid) {
        return Err(unknown());
    }
    Ok(page(&pages::orders::order(&frame(&shop, &visit), number, &payment)))
}
