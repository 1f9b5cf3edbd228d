//! The page at `/` for people, and what belongs to it.
//!
//! What the picture shows stands in tables too, and everything in words, so that
//! the page is as true without a program as with one; it is then loaded again by
//! itself. Style and programs are files of ours at addresses of their own: the
//! policy allows no other.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, SET_COOKIE};
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::Site;
use super::access::COOKIE_NAME;
use super::picture::{Card, Picture};
use super::status::Status;
use super::summary::{headline, sections};

/// What the page may load, run and be put into.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; img-src 'self' data:; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// The files that belong to the page.
pub(super) const ASSETS: [&str; 5] = ["page.css", "page.js", "map.js", "figures.js", "sessions.js"];

const STYLE: &str = "text/css; charset=utf-8";
const PROGRAM: &str = "text/javascript; charset=utf-8";

/// The page.
pub(super) async fn page(State(site): State<Arc<Site>>) -> impl IntoResponse {
    let status = site.server.status();
    let picture = Picture::new(&status, site.server.own());
    html(text(&status, &picture, &site))
}

/// What whoever is not known sees instead.
pub(super) fn log_in(is_wrong: bool) -> Response {
    let wrong = if is_wrong { "<p role=\"alert\">That is another token.</p>" } else { "" };
    let page = include_str!("assets/login.html").replace("{wrong}", wrong);
    (StatusCode::UNAUTHORIZED, html(page)).into_response()
}

/// Takes what the form has: a token.
pub(super) async fn logged_in(State(site): State<Arc<Site>>, form: String) -> Response {
    let Some(token) = site.access.token() else { return Redirect::to("/").into_response() };
    // A token has no character that a form would write otherwise, but for these.
    let given = form.strip_prefix("token=").map(decoded).unwrap_or_default();
    if !token.is(given.trim_ascii()) {
        site.access.back_off().await;
        return log_in(true);
    }
    let (cookie, holds) = token.cookie(std::time::SystemTime::now());
    let cookie = format!(
        "{COOKIE_NAME}={cookie}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict",
        holds.as_secs()
    );
    ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

/// Forgets who is there.
pub(super) async fn logged_out() -> impl IntoResponse {
    let cookie = format!("{COOKIE_NAME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
    ([(SET_COOKIE, cookie)], Redirect::to("/"))
}

/// A file that belongs to the page.
pub(super) fn asset(name: &str) -> impl IntoResponse + use<> {
    let (kind, text) = match name {
        "page.css" => (STYLE, include_str!("assets/page.css")),
        "page.js" => (PROGRAM, include_str!("assets/page.js")),
        "map.js" => (PROGRAM, include_str!("assets/map.js")),
        "figures.js" => (PROGRAM, include_str!("assets/figures.js")),
        _ => (PROGRAM, include_str!("assets/sessions.js")),
    };
    // The next version of the program may be served at the same address.
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text)
}

fn html(text: String) -> impl IntoResponse {
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        // Without any referrer, browsers would say of a form that it is nobody's.
        (axum::http::header::REFERRER_POLICY, "same-origin"),
    ];
    (headers, Html(text))
}

fn text(status: &Status, picture: &Picture, site: &Site) -> String {
    let mut words = String::new();
    for section in sections(status) {
        let rows = section.rows.iter().map(|(name, value)| {
            format!("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value))
        });
        write!(words, "<h3>{}</h3>\n<dl>\n{}</dl>\n", section.title, rows.collect::<String>())
            .expect("writing to a string does not fail");
    }
    let log_out = match site.access.token() {
        Some(_) => include_str!("assets/logout.html"),
        None => "",
    };
    let drill = if site.server.has_drill() { " data-drill" } else { "" };
    // Each mark is looked for behind the one before, so that none is found in
    // what was put in.
    let parts = [
        ("{title}", escaped(&headline(status))),
        ("{drill}", drill.to_owned()),
        ("{name}", escaped(&status.node.name)),
        ("{logout}", log_out.to_owned()),
        ("{headline}", escaped(&headline(status))),
        ("{nodes}", nodes(picture)),
        ("{overlaps}", overlaps(picture)),
        ("{words}", words),
    ];
    let mut rest = include_str!("assets/page.html");
    let mut page = String::new();
    for (mark, text) in parts {
        let (before, behind) = rest.split_once(mark).expect("the template has it, in this order");
        page += before;
        page += &text;
        rest = behind;
    }
    page + rest
}

/// The rows of the table of nodes.
fn nodes(picture: &Picture) -> String {
    let row = |card: &Card| {
        let lag = card.lag_ms.map_or_else(String::new, |lag| format!("{lag:.1} ms"));
        let tier = if card.tier.is_empty() { "none" } else { &card.tier };
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{lag}</td>\
             <td>{}</td></tr>\n",
            escaped(&card.name),
            card.state,
            escaped(tier),
            escaped(&card.portion),
            escaped(&card.address),
        )
    };
    picture.nodes.iter().map(row).collect()
}

/// The table of who overlaps with whom: its head and its rows.
fn overlaps(picture: &Picture) -> String {
    let names = picture.nodes.iter().map(|card| escaped(&card.name));
    let heads: String = names.map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
    let mut text = format!("<thead><tr><td></td>{heads}</tr></thead>\n<tbody>\n");
    for (at, card) in picture.nodes.iter().enumerate() {
        text += &format!("<tr><th scope=\"row\">{}</th>", escaped(&card.name));
        for (other, relation) in card.overlaps.iter().enumerate() {
            text += &format!("<td>{}</td>", if at == other { "" } else { relation.word() });
        }
        text += "</tr>\n";
    }
    text + "</tbody>"
}

/// Text as HTML: members' names come from the network.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A field of a form (`application/x-www-form-urlencoded`), as bytes.
fn decoded(field: &str) -> Vec<u8> {
    let mut bytes = field.bytes();
    let mut decoded = Vec::with_capacity(field.len());
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (digit(bytes.next()), digit(bytes.next()));
                let (Some(high), Some(low)) = (high, low) else { return Vec::new() };
                u8::try_from(high * 16 + low).expect("two digits")
            }
            other => other,
        });
    }
    decoded
}
