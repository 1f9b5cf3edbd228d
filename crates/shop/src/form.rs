//! What browsers send: forms, and only this shop's own.
//!
//! A form counts if the browser says that it comes from this site (`Origin`, and
//! `Sec-Fetch-Site` where there is one) *and* it has the token of whoever sends
//! it. It is bounded before it is read.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode, Uri};
use zeroize::Zeroizing;

use crate::Inner;
use crate::refusal::Refusal;
use crate::visit::Visit;

/// The longest form: an address of eight fields of 256 bytes, each byte as three
/// (`%41`), has 6 KiB.
const MAX_BYTES: usize = 8 << 10;

/// What is read of a longer one, and dropped, before it is refused: a browser
/// that is answered while it sends may show nothing but that the connection ended.
const MAX_DROPPED_BYTES: usize = 4 << 20;

/// The most fields: the longest form has ten.
const MAX_FIELDS: usize = 16;

/// The name of the field that has the token.
pub(crate) const TOKEN: &str = "form";

/// A form that was sent by who it says.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) visit: Arc<Visit>,
    fields: Vec<(String, Zeroizing<String>)>,
}

impl Form {
    /// A field, or nothing where it is missing: what reads it says what it lacks.
    pub(crate) fn get(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(field, _)| field == name);
        field.map_or("", |(_, value)| value.as_str())
    }

    /// A field without the blanks around it.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).trim()
    }

    /// A field that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let text = self.text(name);
        // `parse` would take a sign as well.
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    }
}

impl FromRequest<Arc<Inner>> for Form {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &Arc<Inner>) -> Result<Self, Refusal> {
        let visit = request.extensions().get::<Arc<Visit>>().cloned();
        let visit = visit.expect("the frame has found out who asks");
        let (head, body) = request.into_parts();
        let is_form = head.headers.get(CONTENT_TYPE).is_some_and(|value| {
            value.as_bytes().starts_with(b"application/x-www-form-urlencoded")
        });
        let bytes = read(body).await?;
        if !is_own_site(&head.headers, &head.uri) {
            return Err(foreign("The form was not sent from this shop's own pages."));
        }
        if !is_form {
            let title = "That is no form";
            let text = "A form of this shop was expected.";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, title, text));
        }
        let mut fields = Vec::new();
        for (name, value) in form_urlencoded::parse(&bytes).take(MAX_FIELDS + 1) {
            fields.push((name.into_owned(), Zeroizing::new(value.into_owned())));
        }
        if fields.len() > MAX_FIELDS {
            return Err(Refusal::unusable("The form has more fields than any of this shop."));
        }
        let form = Self { visit, fields };
        if !form.visit.is_own_token(form.get(TOKEN)) {
            return Err(foreign(
                "The form is from before you logged in or out, or from another window in which \
                 you did. Go back to the shop and try again: nothing was changed.",
            ));
        }
        Ok(form)
    }
}

fn foreign(text: &'static str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, "This form is not taken", text)
}

/// Whether a browser sends it from a page of the host that it goes to. Browsers
/// say `Origin` with every POST; who does not is not one, and has no cookie that
/// another site could use.
fn is_own_site(headers: &HeaderMap, uri: &Uri) -> bool {
    let fetched = headers.get("sec-fetch-site").map(|value| value.as_bytes());
    // `none` is the user's own doing, such as a page that is loaded again.
    if !fetched.is_none_or(|site| matches!(site, b"same-origin" | b"none")) {
        return false;
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(host) = uri.authority().map(|authority| authority.as_str()).or(host) else {
        return false;
    };
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let from = origin.and_then(|origin| {
        origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))
    });
    from.is_some_and(|from| from.eq_ignore_ascii_case(host))
}

/// Reads a body that is short enough.
async fn read(mut body: Body) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    let mut dropped = 0;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let broken = |_| Refusal::unusable("The form broke off.");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if dropped == 0 && bytes.len() + data.len() <= MAX_BYTES {
            bytes.extend_from_slice(&data);
        } else {
            dropped += data.len();
        }
        if dropped > MAX_DROPPED_BYTES {
            break;
        }
    }
    if dropped == 0 {
        return Ok(bytes);
    }
    let text = "No form of this shop has more than 8,192 bytes.";
    Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "That is too much", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forms_of_this_site_count() {
        let check = |headers: &[(&'static str, &str)], expected| {
            let headers = headers.iter().map(|(name, value)| {
                (axum::http::HeaderName::from_static(name), value.parse().unwrap())
            });
            let found = is_own_site(&headers.collect(), &Uri::from_static("/cart"));
            assert_eq!(found, expected);
        };
        let host = ("host", "shop.example:8443");
        let own = ("origin", "https://shop.example:8443");
        check(&[host, own], true);
        check(&[host, own, ("sec-fetch-site", "same-origin")], true);
        check(&[host, own, ("sec-fetch-site", "none")], true);
        check(&[host, own, ("sec-fetch-site", "same-site")], false);
        check(&[host, own, ("sec-fetch-site", "cross-site")], false);
        check(&[host], false);
        check(&[own], false);
        for other in ["null", "https://shop.example", "https://evil.example", "shop.example:8443"] {
            check(&[host, ("origin", other)], false);
        }
    }
}
