//! What each path does. Those that change something take a form and send the
//! browser on, so that loading a page again repeats nothing.

mod account;
mod address;
mod cart;
mod checkout;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use maud::Markup;

use crate::Inner;
use crate::frame::{around, not_found, not_so};
use crate::pages::{self, Frame, ICON, STYLE};
use crate::visit::{Visit, Who};

/// How long browsers keep the style sheet: shorter than an upgrade of a farm.
const KEPT: &str = "max-age=300";

/// All of the shop's paths.
pub(crate) fn router(shop: Arc<Inner>) -> Router {
    Router::new()
        .route("/", get(catalogue))
        .route("/style.css", get(async || fixed("text/css; charset=utf-8", STYLE)))
        .route("/icon.svg", get(async || fixed("image/svg+xml", ICON)))
        .route("/cart", get(cart::show))
        .route("/cart/add", post(cart::add))
        .route("/cart/set", post(cart::set))
        .route("/cart/remove", post(cart::remove))
        .route("/login", get(account::login).post(account::log_in))
        .route("/account", get(account::show))
        .route("/logout", post(account::log_out))
        .route("/logout-everywhere", post(account::log_out_everywhere))
        .route("/address", get(address::show).post(address::keep))
        .route("/checkout", get(checkout::show).post(checkout::pay))
        .route("/orders", get(checkout::orders))
        .route("/orders/{number}", get(checkout::order))
        .fallback(not_found)
        .method_not_allowed_fallback(not_so)
        .layer(from_fn_with_state(Arc::clone(&shop), around))
        .with_state(shop)
}

async fn catalogue(State(shop): State<Arc<Inner>>, Extension(visit): Who) -> Response {
    page(&pages::catalogue::catalogue(&frame(&shop, &visit)))
}

fn frame<'a>(shop: &'a Inner, visit: &'a Visit) -> Frame<'a> {
    Frame { shop, visit }
}

fn page(markup: &Markup) -> Response {
    axum::response::Html(markup.0.clone()).into_response()
}

fn fixed(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, KEPT)], text).into_response()
}
