//! A browser, as far as this shop needs one: a cookie, and forms that are sent as
//! they stand in the page.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, StatusCode};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use shop::{Arrival, Shop};

/// The host that the shop is visited at.
const HOST: &str = "shop.example";

/// One browser, with its cookie.
#[derive(Debug, Default, Clone)]
pub(crate) struct Browser {
    pub(crate) cookie: Option<String>,
    /// Headers that it sends besides those of its own.
    pub(crate) more: Vec<(&'static str, String)>,
}

/// What it was answered, without having followed it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) text: String,
}

impl Page {
    /// The token that the page's forms have.
    pub(crate) fn token(&self) -> String {
        let (_, after) = self.text.split_once("name=\"form\" value=\"").unwrap();
        after.split_once('"').unwrap().0.to_owned()
    }

    /// The value of a hidden field.
    pub(crate) fn hidden(&self, name: &str) -> String {
        let (_, after) = self.text.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
        after.split_once('"').unwrap().0.to_owned()
    }

    /// The text of the element of that id.
    pub(crate) fn element(&self, id: &str) -> &str {
        let (_, after) = self.text.split_once(&format!("id=\"{id}\"")).unwrap();
        let (_, after) = after.split_once('>').unwrap();
        after.split_once('<').unwrap().0
    }
}

impl Browser {
    pub(crate) async fn get(&mut self, shop: &Shop, path: &str) -> Page {
        self.ask(shop, Method::GET, path, String::new()).await
    }

    /// Sends a form with the token of the page at `/`.
    pub(crate) async fn post(&mut self, shop: &Shop, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.token(shop).await;
        self.post_with(shop, path, (&token, fields)).await
    }

    /// The token of the forms that it is shown.
    pub(crate) async fn token(&mut self, shop: &Shop) -> String {
        self.get(shop, "/").await.token()
    }

    /// Sends a form with such a token.
    pub(crate) async fn post_with(
        &mut self,
        shop: &Shop,
        path: &str,
        (token, fields): (&str, &[(&str, &str)]),
    ) -> Page {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("form", token)
            .extend_pairs(fields)
            .finish();
        self.ask(shop, Method::POST, path, body).await
    }

    /// Sends a form, and follows where that leads.
    pub(crate) async fn submit(
        &mut self,
        shop: &Shop,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Page {
        let answer = self.post(shop, path, fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}: {}", answer.text);
        self.get(shop, &answer.location.unwrap()).await
    }

    pub(crate) async fn log_in(&mut self, shop: &Shop) {
        let fields = [("name", "ada"), ("password", "analytical engine")];
        assert_eq!(self.submit(shop, "/login", &fields).await.element("user"), "ada");
    }

    /// Keeps an address; every other one is a field's.
    pub(crate) async fn move_in(&mut self, shop: &Shop) {
        let fields = [
            ("name", "Ada Lovelace"),
            ("street", "12 St James's Square"),
            ("city", "London"),
            ("postcode", "SW1Y 4JH"),
            ("country", "GB"),
        ];
        let answer = self.post(shop, "/address", &fields).await;
        assert_eq!(answer.location.as_deref(), Some("/checkout"), "{}", answer.text);
    }

    pub(crate) async fn add(&mut self, shop: &Shop, sku: &str, pieces: &str) -> Page {
        self.submit(shop, "/cart/add", &[("sku", sku), ("pieces", pieces)]).await
    }

    pub(crate) async fn ask(
        &mut self,
        shop: &Shop,
        method: Method,
        path: &str,
        body: String,
    ) -> Page {
        let mut request = Request::builder().method(&method).uri(path).header("host", HOST);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("other=1; __Host-shop={cookie}"));
        }
        let own_origin = self.more.iter().all(|(name, _)| *name != "origin");
        if method == Method::POST {
            request = request.header("content-type", "application/x-www-form-urlencoded");
            if own_origin {
                request = request.header("origin", format!("https://{HOST}"));
            }
        }
        for (name, value) in &self.more {
            request = request.header(*name, value);
        }
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(Arrival::default());
        let service = TowerToHyperService::new(shop.router());
        let response = service.call(request).await.unwrap();
        self.take(response).await
    }

    async fn take(&mut self, response: Response<Body>) -> Page {
        let (head, body) = response.into_parts();
        let text = |name: &str| Some(head.headers.get(name)?.to_str().unwrap().to_owned());
        if let Some(set) = text("set-cookie") {
            let (value, terms) = set.split_once("; ").unwrap();
            for term in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(terms.contains(term), "{terms}");
            }
            let value = value.strip_prefix("__Host-shop=").unwrap();
            self.cookie = (!terms.contains("Max-Age=0")).then(|| value.to_owned());
        }
        let location = text("location");
        let bytes = to_bytes(body, 1 << 22).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Page { status: head.status, location, headers: head.headers, text }
    }
}
