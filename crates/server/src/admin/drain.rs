//! `/api/drain`: a node is told to leave, and says how far it has come.
//!
//! Whoever may run commands on the machine may end the node; a page in a browser
//! there may not.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::header::{CACHE_CONTROL, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use crate::serve::Server;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller(pub(super) IpAddr);

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// The node that live connections go to; none: the one that follows.
    pub(crate) to: Option<String>,
}

/// How far a node's leave has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Whether it was told to leave.
    pub(crate) draining: bool,
    /// Connections that are still here.
    pub(crate) left: u64,
    /// Why connections could not be moved: they are served until time is up.
    pub(crate) failed: Option<String>,
}

/// Says how far it has come.
pub(super) async fn progress(State(server): State<Arc<Server>>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(server.progress()))
}

/// Has the node leave.
pub(super) async fn begin(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    order: Result<Json<Order>, JsonRejection>,
) -> Response {
    if let Err(why) = may_order(caller, &headers) {
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let Json(order) = match order {
        Ok(order) => order,
        Err(rejection) => return rejection.into_response(),
    };
    match server.drain(order.to) {
        Ok(()) => (StatusCode::ACCEPTED, Json(server.progress())).into_response(),
        Err(error) => (StatusCode::CONFLICT, format!("{error}\n")).into_response(),
    }
}

/// Whether the caller may have things done here.
///
/// # Errors
///
/// Why not.
pub(super) fn may_order(Caller(caller): Caller, headers: &HeaderMap) -> Result<(), &'static str> {
    if !caller.to_canonical().is_loopback() {
        return Err("only from this machine itself\n");
    }
    // Browsers send one of them with each such request, also where a name of
    // somebody else leads here. The type of the body, which no form has, is asked
    // for as well.
    if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Err("not from a browser\n");
    }
    Ok(())
}
