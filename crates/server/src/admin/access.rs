//! Who may look and order at the admin address. What they do there, it does not
//! know.
//!
//! - Where a token is configured, whoever asks has to know it, from wherever:
//!   tools show it (`Authorization: Bearer`), browsers a cookie that they got
//!   for it. Without one, the address is of loopback, and only its callers are
//!   answered, under a name of loopback: a page of somebody else's name that was
//!   led here is not (DNS rebinding).
//! - What a page of another origin has a browser ask is refused, reads too: they
//!   would take places of others. Only to the page itself may a link lead.
//! - What changes something, browsers say with a header that no form can send.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method};

use super::token::Token;

/// The cookie's name.
pub(super) const COOKIE_NAME: &str = "segue-admin";

/// What pages of ours send with what changes something.
const ORDER: &str = "x-segue-order";

/// What every path is that says only whether the node lives.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// What whoever logs in has to reach before, and whoever logs out by a form.
const BEFORE_LOG_IN: [&str; 3] = ["/login", "/logout", "/page.css"];

/// How long a wrong token waits for its answer, times those that wait already:
/// as Redis' clients wait for theirs.
const BACK_OFF: Duration = Duration::from_millis(250);
/// Above it operators would take it for a failure.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller(pub(super) IpAddr);

/// The rules of an admin address.
#[derive(Debug)]
pub(crate) struct Access {
    /// Where it listens.
    listen: IpAddr,
    token: Option<Token>,
    metrics_open: bool,
    /// Wrong tokens that wait for their answer.
    failing: AtomicU32,
}

/// Why nothing is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The token is asked for.
    Unknown,
    /// It was another: that waits.
    Wrong,
    /// Whoever asks is not to ask so.
    Forbidden(String),
}

impl Access {
    pub(crate) const fn new(listen: IpAddr, token: Option<Token>, metrics_open: bool) -> Self {
        Self { listen, token, metrics_open, failing: AtomicU32::new(0) }
    }

    /// The token, where there is one.
    pub(super) const fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Whether a request is to be answered.
    pub(super) fn judge(
        &self,
        caller: Caller,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        if OPEN.contains(&path) || (path == "/metrics" && self.metrics_open) {
            return Ok(());
        }
        if self.token.is_none() {
            self.known_by_its_place(caller, headers)?;
        }
        same_origin(method, path, headers)?;
        if BEFORE_LOG_IN.contains(&path) {
            return Ok(());
        }
        self.known(headers)?;
        if method == Method::POST && is_of_browser(headers) && !headers.contains_key(ORDER) {
            let said = "not from a page of another: a browser's orders have a header of ours\n";
            return Err(Refusal::Forbidden(said.to_owned()));
        }
        Ok(())
    }

    /// Waits as long as whoever was wrong has to.
    pub(super) async fn back_off(&self) {
        let waiting = self.failing.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::time::sleep((BACK_OFF * waiting).min(LONGEST_BACK_OFF)).await;
        self.failing.fetch_sub(1, Ordering::Relaxed);
    }

    fn known_by_its_place(
        &self,
        Caller(caller): Caller,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        if !caller.to_canonical().is_loopback() {
            let said = "only from this machine itself, unless admin.token_file is configured\n";
            return Err(Refusal::Forbidden(said.to_owned()));
        }
        // Every browser names the host; who does not is none.
        let Some(host) = headers.get(HOST) else { return Ok(()) };
        let host = host.to_str().unwrap_or_default();
        if self.is_ours(host) {
            return Ok(());
        }
        Err(Refusal::Forbidden(format!(
            "Host: found {host:?}, expected localhost, a loopback address or {}; other names need \
             admin.token_file\n",
            self.listen
        )))
    }

    /// Whether a name of loopback, or the address that was configured.
    fn is_ours(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match address {
            Ok(address) => address.to_canonical().is_loopback() || address == self.listen,
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Whether whoever asks knows what he has to.
    fn known(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.token else { return Ok(()) };
        if let Some(given) = headers.get(AUTHORIZATION) {
            let shown = given.as_bytes().strip_prefix(b"Bearer ");
            let is_right = shown.is_some_and(|shown| token.is(shown.trim_ascii()));
            return if is_right { Ok(()) } else { Err(Refusal::Wrong) };
        }
        let now = SystemTime::now();
        let is_logged_in = cookies(headers).any(|cookie| token.made(cookie, now));
        if is_logged_in { Ok(()) } else { Err(Refusal::Unknown) }
    }
}

/// Whether it is a page's of the same origin, or of no page.
fn same_origin(method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let host = text(HOST.as_str()).unwrap_or_default();
    let is_own = |origin: &str| origin.split_once("://").is_some_and(|(_, from)| from == host);
    let by_link = method == Method::GET
        && path == "/"
        && text("sec-fetch-mode") == Some("navigate")
        && text("sec-fetch-dest") == Some("document");
    let site_is_good = match text("sec-fetch-site") {
        None | Some("same-origin" | "none") => true,
        Some(_) => by_link,
    };
    let origin_is_good = text(ORIGIN.as_str()).is_none_or(is_own);
    if site_is_good && origin_is_good {
        return Ok(());
    }
    Err(Refusal::Forbidden("not for a page of another origin\n".to_owned()))
}

/// Browsers send one of them with each such request.
fn is_of_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site")
}

/// What the browser shows as ours.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .filter_map(|(name, value)| (name == COOKIE_NAME).then_some(value))
}

#[cfg(test)]
mod tests;
