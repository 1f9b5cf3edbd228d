//! A browser, as far as sessions need one: it keeps its cookie.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{Method, Request, StatusCode};
use tower::ServiceExt;

/// More than any answer has.
const MAX_ANSWER_BYTES: usize = 1 << 16;

/// Somebody with a cookie.
#[derive(Clone, Default)]
pub(crate) struct Visitor {
    cookie: Option<String>,
}

impl Visitor {
    /// Asks an application, and gives what it answers.
    pub(crate) async fn ask(
        &mut self,
        app: &Router,
        method: Method,
        path: &str,
    ) -> (StatusCode, String) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let request = request.body(Body::empty()).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        if let Some(cookie) = answer.headers().get(SET_COOKIE) {
            let (pair, terms) = cookie.to_str().unwrap().split_once(';').unwrap();
            let is_removed = terms.contains("Max-Age=0");
            self.cookie = (!is_removed).then(|| pair.to_owned());
        }
        let status = answer.status();
        let body = to_bytes(answer.into_body(), MAX_ANSWER_BYTES).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) async fn get(&mut self, app: &Router, path: &str) -> String {
        let (status, body) = self.ask(app, Method::GET, path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub(crate) async fn post(&mut self, app: &Router, path: &str) -> String {
        let (status, body) = self.ask(app, Method::POST, path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }
}
