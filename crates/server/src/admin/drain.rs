//! `/api/drain`: a node is told to leave, and says how far it has come.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Site;

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
pub(super) async fn progress(State(site): State<Arc<Site>>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(site.server.progress()))
}

/// Has the node leave.
pub(super) async fn begin(
    State(site): State<Arc<Site>>,
    order: Result<Json<Order>, JsonRejection>,
) -> Response {
    let Json(order) = match order {
        Ok(order) => order,
        Err(rejection) => return rejection.into_response(),
    };
    match site.server.drain(order.to) {
        Ok(()) => (StatusCode::ACCEPTED, Json(site.server.progress())).into_response(),
        Err(error) => (StatusCode::CONFLICT, format!("{error}\n")).into_response(),
    }
}
