//! The failure drill of a demo: a node is killed as by a crash, so that everybody
//! sees the others take over. Nodes that were not started for it have no such
//! route, and do not hear of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Site;

/// Who is to go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Victim {
    /// Its farm address, as the picture has it.
    address: String,
}

/// Has a node of the demo killed: this one or another.
pub(super) async fn kill(
    State(site): State<Arc<Site>>,
    victim: Result<Json<Victim>, JsonRejection>,
) -> Response {
    match victim {
        Ok(Json(Victim { address })) => match site.server.drill(&address).await {
            Ok(()) => StatusCode::ACCEPTED.into_response(),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
        },
        Err(rejection) => rejection.into_response(),
    }
}
