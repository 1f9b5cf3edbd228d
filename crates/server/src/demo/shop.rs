//! What the demo shows of users: who has logged in, what is in the cart, where it
//! goes and that it is paid once, by the built-in shop of a farm whose first node
//! is killed meanwhile.
//!
//! The customer is a browser as far as the shop needs one: a cookie, and forms
//! that are sent as the pages have them. Each request is a connection of its own.

use anyhow::{Context, ensure};
use form_urlencoded::Serializer;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, RETRY_AFTER, SET_COOKIE};
use serde_json::json;

use super::client::{Client, Version};
use super::farm::Farm;
use super::ground::SERVER_NAME;
use super::node::{Node, Portion};
use super::steps::Steps;
use crate::http::Answer;

/// One of the shop's accounts; its log-in page has them all.
const LOGIN: [(&str, &str); 2] = [("name", "ada"), ("password", "analytical engine")];

const ADDRESS: [(&str, &str); 5] = [
    ("name", "Ada Lovelace"),
    ("street", "12 St James's Square"),
    ("city", "London"),
    ("postcode", "SW1Y 4JH"),
    ("country", "GB"),
];

/// The form of an order.
type Order<'a> = [(&'static str, &'a str); 3];

/// Plays what is about users.
///
/// # Errors
///
/// The first step that does not hold.
pub(crate) async fn play(steps: &mut Steps) -> anyhow::Result<()> {
    let mut farm = Farm::new()?;
    farm.start_many(3, Portion::All).await?;
    farm.acquainted().await?;
    farm.until(|status| status.one_answer.voters == 3).await?;
    let mut ada =
        Customer { client: Client::new(Version::Tls13, &farm.ground.authority)?, cookie: None };
    come(steps, &farm, &mut ada).await?;
    lose_the_first(steps, &mut farm, &mut ada).await?;
    let [b, c] = farm.nodes.as_slice() else { anyhow::bail!("two nodes are left") };
    fill_at_once(steps, (b, c), &mut ada).await?;
    pay(steps, (b, c), &mut ada).await?;
    leave(steps, (b, c), &mut ada).await?;
    farm.stop().await
}

/// She logs in, fills the cart and says where she lives, all at the first node.
async fn come(steps: &mut Steps, farm: &Farm, ada: &mut Customer) -> anyhow::Result<()> {
    let a = &farm.nodes[0];
    let work = async {
        let page = ada.send(a, "/login", &LOGIN).await?;
        ensure!(page.element("user")? == "ada", "{page:?}");
        Ok(((), json!({ "began_at": page.element("began-at")? })))
    };
    steps.step("C2", "ada logs in at a, by her password (argon2id)", work).await?;
    let work = async {
        let page = ada.add(a, "mug", 2).await?;
        ensure!(page.element("pieces")? == "2", "{page:?}");
        Ok(((), json!({ "pieces": 2 })))
    };
    steps.step("P1", "she puts two mugs into her cart at a", work).await?;
    let work = async {
        let page = ada.send(a, "/address", &ADDRESS).await?;
        ensure!(page.text.contains("12 St James"), "{page:?}");
        Ok(((), json!({})))
    };
    steps.step("P3", "and says at a where they are to be sent and billed to", work).await
}

async fn lose_the_first(
    steps: &mut Steps,
    farm: &mut Farm,
    ada: &mut Customer,
) -> anyhow::Result<()> {
    let first = farm.nodes.remove(0);
    let work = async {
        first.kill().await?;
        let b = &farm.nodes[0];
        let page = ada.get(b, "/account").await?;
        ensure!(page.element("user")? == "ada" && page.element("node")? == "b", "{page:?}");
        Ok(((), json!({ "began_at": page.element("began-at")?, "served_by": "b" })))
    };
    steps.step("C2", "a is killed (SIGKILL); b knows her, and asks for no password", work).await
}

/// Two tabs, two nodes.
async fn fill_at_once(
    steps: &mut Steps,
    (b, c): (&Node, &Node),
    ada: &mut Customer,
) -> anyhow::Result<()> {
    let work = async {
        let (mut one, mut other) = (ada.clone(), ada.clone());
        let (at_b, at_c) = tokio::join!(one.add(b, "fork", 1), other.add(c, "record", 3));
        at_b?;
        at_c?;
        for node in [b, c] {
            let page = ada.get(node, "/cart").await?;
            ensure!(page.element("pieces")? == "6", "{} has {page:?}", node.name);
        }
        Ok(((), json!({ "pieces": 6 })))
    };
    let step = "she adds at b and, at the same time, at c: both have all six pieces";
    steps.step("P1", step, work).await?;
    let work = async {
        let page = ada.get(c, "/checkout").await?;
        ensure!(page.text.contains("12 St James"), "{page:?}");
        Ok(((), json!({})))
    };
    steps.step("P3", "c has the address for the bill, and asks for none", work).await
}

/// An order that is sent twice, and once more with another amount.
async fn pay(steps: &mut Steps, (b, c): (&Node, &Node), ada: &mut Customer) -> anyhow::Result<()> {
    let checkout = ada.get(c, "/checkout").await?;
    let (number, total) = (checkout.field("order")?, checkout.field("total")?);
    let order: Order<'_> = [("order", number), ("total", total), ("card", "tok_approved")];
    let work = async {
        let (mut one, mut other) = (ada.clone(), ada.clone());
        let sent =
            tokio::join!(one.send(b, "/checkout", &order), other.send(c, "/checkout", &order));
        let (at_b, at_c) = (sent.0?, sent.1?);
        let reference = at_b.element("reference")?;
        ensure!(reference == at_c.element("reference")?, "{at_b:?} and {at_c:?}");
        let orders = ada.get(b, "/orders").await?;
        let count = orders.text.matches("href=\"/orders/").count();
        ensure!(count == 1, "{count} orders: {orders:?}");
        ensure!(orders.element("pieces")? == "0", "{orders:?}");
        Ok(((), json!({ "paid": at_b.element("paid")?, "reference": reference })))
    };
    let step = "she pays, and the form is sent at b and at c at once: one payment";
    steps.step("P2", step, work).await?;
    let work = async {
        let dearer: Order<'_> = [("order", number), ("total", "999"), ("card", "tok_approved")];
        let answer = ada.post(b, "/checkout", &dearer).await?;
        ensure!(answer.status == 409, "{}", answer.status);
        Ok(((), json!({ "status": 409 })))
    };
    steps.step("P2", "the same order with another amount is refused", work).await
}

async fn leave(
    steps: &mut Steps,
    (b, c): (&Node, &Node),
    ada: &mut Customer,
) -> anyhow::Result<()> {
    let work = async {
        let other_browser = ada.clone();
        ada.post(c, "/logout-everywhere", &[]).await?;
        let answer = other_browser.ask(b, Request::get("/account"), Bytes::new()).await?;
        let login = answer.headers.get(LOCATION).map(|location| location.as_bytes());
        ensure!(login == Some(b"/login"), "b answers {}", answer.status);
        Ok(((), json!({})))
    };
    let step = "she ends her sessions at c; at b nobody is logged in any more";
    steps.step("C2", step, work).await
}

/// A browser with its one cookie.
#[derive(Debug, Clone)]
struct Customer {
    client: Client,
    cookie: Option<String>,
}

/// A page of the shop.
#[derive(Debug)]
struct Page {
    text: String,
}

impl Page {
    /// The text of the element of that id.
    fn element(&self, id: &str) -> anyhow::Result<&str> {
        let after = self.after(&format!("id=\"{id}\""))?;
        let text = after.split_once('>').and_then(|(_, text)| text.split_once('<'));
        Ok(text.with_context(|| format!("#{id} has no end"))?.0)
    }

    /// The value of a hidden field.
    fn field(&self, name: &str) -> anyhow::Result<&str> {
        let after = self.after(&format!("name=\"{name}\" value=\""))?;
        Ok(after.split_once('"').with_context(|| format!("{name} has no end"))?.0)
    }

    fn after(&self, mark: &str) -> anyhow::Result<&str> {
        let parts = self.text.split_once(mark);
        Ok(parts.with_context(|| format!("no {mark} in {}", self.text))?.1)
    }
}

/// How often it is asked again. Each time has taken seconds.
const MOST_AGAIN: usize = 3;

impl Customer {
    async fn get(&mut self, node: &Node, path: &str) -> anyhow::Result<Page> {
        let answer = self.ask_again(node, || Request::get(path), &Bytes::new()).await?;
        ensure!(answer.status.is_success(), "{path} at {}: {}", node.name, answer.status);
        self.keep_cookie(&answer)?;
        Ok(Page { text: String::from_utf8(answer.body.to_vec())? })
    }

    /// Sends a form, and follows where that leads.
    async fn send(
        &mut self,
        node: &Node,
        path: &str,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Page> {
        let answer = self.post(node, path, fields).await?;
        let location = answer.headers.get(LOCATION);
        let location = location.with_context(|| {
            let text = String::from_utf8_lossy(&answer.body);
            format!("{path} at {}: {} {text}", node.name, answer.status)
        })?;
        self.get(node, location.to_str()?).await
    }

    /// Puts pieces of an article into the cart, and gives the cart's page.
    async fn add(&mut self, node: &Node, sku: &str, pieces: u32) -> anyhow::Result<Page> {
        self.send(node, "/cart/add", &[("sku", sku), ("pieces", &pieces.to_string())]).await
    }

    /// Sends a form as it stands in the node's pages.
    async fn post(
        &mut self,
        node: &Node,
        path: &str,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let page = self.get(node, "/").await?;
        let form = Serializer::new(String::new())
            .append_pair("form", page.field("form")?)
            .extend_pairs(fields)
            .finish();
        let request = || {
            Request::post(path)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(ORIGIN, format!("https://{SERVER_NAME}"))
        };
        let form = Bytes::from(form);
        // An order is made once however often it is sent; what goes into the cart is
        // counted each time.
        let answer = match path {
            "/checkout" => self.ask_again(node, request, &form).await?,
            _ => self.ask(node, request(), form).await?,
        };
        self.keep_cookie(&answer)?;
        Ok(answer)
    }

    /// Asks, and again as often as the shop says that the farm has not answered yet:
    /// what needs one answer may wait for a node that has just died.
    async fn ask_again(
        &self,
        node: &Node,
        request: impl Fn() -> hyper::http::request::Builder,
        body: &Bytes,
    ) -> anyhow::Result<Answer> {
        let mut answer = self.ask(node, request(), body.clone()).await?;
        for _ in 0..MOST_AGAIN {
            if !answer.headers.contains_key(RETRY_AFTER) {
                break;
            }
            answer = self.ask(node, request(), body.clone()).await?;
        }
        Ok(answer)
    }

    async fn ask(
        &self,
        node: &Node,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let request = match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        };
        self.client.ask(node.tls(), request, body).await
    }

    fn keep_cookie(&mut self, answer: &Answer) -> anyhow::Result<()> {
        if let Some(set) = answer.headers.get(SET_COOKIE) {
            let set = set.to_str()?;
            self.cookie = Some(set.split_once(';').map_or(set, |(cookie, _)| cookie).to_owned());
        }
        Ok(())
    }
}
