//! `/api/sessions`: which sessions the node holds, and the end of one or of all
//! of a user's.
//!
//! Who users are is no business of other pages in a browser, so it is asked for
//! as things are ordered: by POST and in JSON. Sessions are named by keyed hashes
//! of their ids.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use segue::state::{Filter, Listed};
use segue::{Ack, KeyHash, Kind};
use serde::{Deserialize, Serialize};

use super::Site;
use crate::serve::Server;

/// The most sessions of an answer: what a person looks at, below what the
/// command line reads of an answer.
const MAX_LISTED: usize = 1_000;

/// Which sessions are asked for.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wanted {
    /// Those of a kind.
    pub(crate) kind: Option<String>,
    /// Those of a user.
    pub(crate) user: Option<String>,
    /// This one.
    pub(crate) id: Option<String>,
}

/// What is to end: the one or the other.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub(crate) enum End {
    /// A session.
    Id(String),
    /// All of a user's.
    User(String),
}

/// How many ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) ended: usize,
}

/// What the node holds.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Sessions {
    /// The node's time of day.
    pub(crate) now_ms: u64,
    pub(crate) sessions: Vec<Session>,
    /// Whether there are more than the answer has.
    pub(crate) more: bool,
}

/// A session.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    /// A keyed hash of its id.
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) bytes: usize,
    pub(crate) written_ms: u64,
    /// When it ends unless it is used.
    pub(crate) idle_ms: u64,
    /// When it ends in any case.
    pub(crate) ends_ms: u64,
    /// Who it is, of a login.
    pub(crate) login: Option<Login>,
}

/// What a login says.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) method: String,
    pub(crate) at_ms: u64,
    pub(crate) rights: Vec<String>,
    /// How a stronger proof was given that still counts.
    pub(crate) stepped_up: Option<String>,
}

/// Lists sessions.
pub(super) async fn list(
    State(site): State<Arc<Site>>,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Response {
    let Json(wanted) = match wanted {
        Ok(wanted) => wanted,
        Err(rejection) => return rejection.into_response(),
    };
    // It walks the whole table, which is no work for those who serve clients.
    match tokio::task::spawn_blocking(move || sessions(&site.server, &wanted)).await {
        Ok(Ok(sessions)) => ([(CACHE_CONTROL, "no-store")], Json(sessions)).into_response(),
        Ok(Err(refused)) => (StatusCode::BAD_REQUEST, refused).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Ends sessions, at every live node.
pub(super) async fn end(
    State(site): State<Arc<Site>>,
    end: Result<Json<End>, JsonRejection>,
) -> Response {
    match end {
        Ok(Json(End::User(user))) => {
            let ended = segue::state::Sessions::new(site.server.cache()).end_all(&user).await;
            answer(ended.map_err(|error| error.to_string()))
        }
        Ok(Json(End::Id(id))) => end_one(&site.server, &id).await,
        Err(rejection) => rejection.into_response(),
    }
}

async fn end_one(server: &Server, id: &str) -> Response {
    let name = match name(id) {
        Ok(name) => name,
        Err(refused) => return (StatusCode::BAD_REQUEST, refused).into_response(),
    };
    let cache = server.cache();
    let Some(key) = cache.named(name) else {
        let said =
            format!("id: found {id:?}, expected one that `segue sessions list` shows here\n");
        return (StatusCode::NOT_FOUND, said).into_response();
    };
    match key.kind() {
        Kind::Tls | Kind::Auth | Kind::Web => {
            let ended = cache.remove(&key, Ack::All).await;
            answer(ended.map(usize::from).map_err(|error| error.to_string()))
        }
        kind @ (Kind::Conn | Kind::Purchase) => {
            let said = format!(
                "id: found one of kind {:?}, expected \"tls\", \"auth\" or \"web\": no other is a \
                 session\n",
                kind.name()
            );
            (StatusCode::CONFLICT, said).into_response()
        }
    }
}

fn answer(ended: Result<usize, String>) -> Response {
    match ended {
        Ok(ended) => Json(Ended { ended }).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

fn sessions(server: &Server, wanted: &Wanted) -> Result<Sessions, String> {
    let cache = server.cache();
    let kind = wanted.kind.as_deref().map(kind).transpose()?;
    let name = wanted.id.as_deref().map(name).transpose()?;
    let listing = cache.list(Filter { kind, user: wanted.user.as_deref(), name }, MAX_LISTED);
    let now = cache.now();
    let shown = |listed: Listed| Session {
        id: format!("{:?}", listed.name),
        kind: listed.kind.name().to_owned(),
        bytes: listed.bytes,
        written_ms: listed.written.as_millis(),
        idle_ms: listed.deadlines.end().as_millis(),
        ends_ms: listed.deadlines.absolute.as_millis(),
        login: listed.auth.map(|auth| Login {
            user: auth.subject().to_owned(),
            method: auth.method().to_owned(),
            at_ms: auth.at().as_millis(),
            rights: auth.rights().map(str::to_owned).collect(),
            stepped_up: auth.stepped_up(now).map(|proof| proof.method.as_str().to_owned()),
        }),
    };
    let sessions = listing.sessions.into_iter().map(shown).collect();
    Ok(Sessions { now_ms: now.as_millis(), sessions, more: listing.more })
}

fn kind(text: &str) -> Result<Kind, String> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == text);
    kind.ok_or_else(|| {
        let kinds = Kind::ALL.map(Kind::name).join(", ");
        format!("kind: found {text:?}, expected one of {kinds}\n")
    })
}

fn name(text: &str) -> Result<KeyHash, String> {
    let is_name = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = if is_name { u64::from_str_radix(text, 16).ok() } else { None };
    name.map(KeyHash).ok_or_else(|| {
        format!(
            "id: found {text:?}, expected 16 hexadecimal digits as `segue sessions list` shows\n"
        )
    })
}
