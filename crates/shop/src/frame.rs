//! What surrounds every page: who asks is found out once, what is refused gets a
//! page, and every answer has the headers that keep it to itself.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use crate::pages::{self, Frame};
use crate::refusal::Refusal;
use crate::visit::{Visit, set_cookie};
use crate::{Arrival, Inner};

/// How long an answer may take: a payment waits for the lease of a server that
/// died ([`crate::checkout`]), and nothing waits longer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Nothing is loaded but the style sheet and the icon, nothing runs, forms go to
/// this site only, and no page stands in another one.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// Answers a request within its frame.
pub(crate) async fn around(
    State(shop): State<Arc<Inner>>,
    mut request: Request,
    next: Next,
) -> Response {
    let arrival = request.extensions_mut().remove::<Arrival>().unwrap_or_default();
    // A request is not to be lent across an await: its body is one thread's.
    let headers = request.headers().clone();
    let visit = match Visit::of(&shop, &headers, arrival).await {
        Ok(visit) => Arc::new(visit),
        // Without random numbers there is nothing that could be answered.
        Err(refusal) => return refusal.status.into_response(),
    };
    request.extensions_mut().insert(Arc::clone(&visit));
    let late = Refusal::unanswered("It took too long. It may have been done all the same.");
    let answered = timeout(ANSWER_TIME, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_| late.into_response());
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        let page = pages::refused(&Frame { shop: &shop, visit: &visit }, &refusal);
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, html);
        *response.body_mut() = page.into_string().into();
    }
    let is_page = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if visit.is_new && is_page && !response.headers().contains_key(SET_COOKIE) {
        response.headers_mut().insert(SET_COOKIE, set_cookie(&visit.id));
    }
    keep_to_itself(response.headers_mut());
    response
}

fn keep_to_itself(headers: &mut HeaderMap) {
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // With `no-referrer` browsers would hide the origin of the shop's own forms.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
}

/// For paths that the shop does not have.
pub(crate) async fn not_found() -> Refusal {
    let text = "There is nothing at this address.";
    Refusal::new(StatusCode::NOT_FOUND, "Not found", text)
}

/// For paths that are asked in another way than they answer to.
pub(crate) async fn not_so() -> Refusal {
    let text = "This address is not asked in that way.";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Not allowed", text)
}
