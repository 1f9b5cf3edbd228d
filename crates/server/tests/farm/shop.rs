//! The built-in shop of real nodes, by TLS: who began at a node that was killed
//! buys at the others, is asked for nothing twice, and pays once.

use std::net::SocketAddr;
use std::thread;

use form_urlencoded::Serializer;
use toml::Table;

use crate::client::Client;
use crate::http::{self, Answer};
use crate::nodes::{Farm, SERVER_NAME};

/// A browser as far as the shop needs one: a cookie, and forms that are sent as
/// the pages have them.
#[derive(Clone)]
struct Browser {
    client: Client,
    cookie: Option<String>,
}

impl Browser {
    fn new(farm: &Farm) -> Self {
        Self { client: Client::new(farm), cookie: None }
    }

    fn get(&mut self, node: SocketAddr, path: &str) -> Answer {
        self.ask_again(node, &format!("GET {path} HTTP/1.1\r\n"), "")
    }

    /// Sends a form that a page of the node has.
    fn post(&mut self, node: SocketAddr, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = field(&self.get(node, "/").body, "form").to_owned();
        let mut form = Serializer::new(String::new());
        let body = form.append_pair("form", &token).extend_pairs(fields).finish();
        let head = format!(
            "POST {path} HTTP/1.1\r\nOrigin: https://{SERVER_NAME}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n"
        );
        // An order is made once however often it is sent; what goes into the cart is
        // counted each time.
        match path {
            "/checkout" => self.ask_again(node, &head, &body),
            _ => self.ask(node, &head, &body),
        }
    }

    /// Asks, and again as often as the shop says that the farm has not answered yet:
    /// what needs one answer may wait for a node that has just died.
    fn ask_again(&mut self, node: SocketAddr, head: &str, body: &str) -> Answer {
        let mut answer = self.ask(node, head, body);
        for _ in 0..3 {
            if header(&answer, "retry-after").is_none() {
                break;
            }
            answer = self.ask(node, head, body);
        }
        answer
    }

    /// Sends a form, and follows where that leads.
    fn send(&mut self, node: SocketAddr, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.post(node, path, fields);
        let location = header(&answer, "location").map(str::to_owned);
        let location = location.unwrap_or_else(|| panic!("{}\n{}", answer.head, answer.body));
        let page = self.get(node, &location);
        assert_eq!(page.status(), "200", "{location}: {}", page.body);
        page.body
    }

    fn add(&mut self, node: SocketAddr, sku: &str, pieces: &str) -> String {
        self.send(node, "/cart/add", &[("sku", sku), ("pieces", pieces)])
    }

    fn ask(&mut self, node: SocketAddr, head: &str, body: &str) -> Answer {
        let cookie = self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}\r\n"));
        let head = format!("{head}Host: {SERVER_NAME}\r\n{}", cookie.unwrap_or_default());
        let answer = http::ask(self.client.connect(node).unwrap(), &head, body).unwrap();
        if let Some(set) = header(&answer, "set-cookie") {
            self.cookie = Some(set.split_once(';').unwrap().0.to_owned());
        }
        answer
    }
}

/// A header's value.
fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let mut pairs = answer.head.lines().filter_map(|line| line.split_once(": "));
    pairs.find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The text of the element of that id.
fn element<'a>(page: &'a str, id: &str) -> &'a str {
    let found = page.split_once(&format!("id=\"{id}\""));
    let (_, after) = found.unwrap_or_else(|| panic!("no #{id} in {page}"));
    after.split_once('>').unwrap().1.split_once('<').unwrap().0
}

/// The value of a hidden field.
fn field<'a>(page: &'a str, name: &str) -> &'a str {
    let found = page.split_once(&format!("name=\"{name}\" value=\""));
    found.unwrap_or_else(|| panic!("no {name} in {page}")).1.split_once('"').unwrap().0
}

#[test]
fn who_began_at_a_killed_node_is_asked_nothing_twice_and_pays_once() {
    let mut farm = Farm::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| farm.start(name, &Table::new()));
    for node in [&a, &b, &c] {
        node.until_status(|status| {
            status["members"].as_array().unwrap().len() == 2 && status["one_answer"]["voters"] == 3
        });
    }
    let mut ada = Browser::new(&farm);
    let login = [("name", "ada"), ("password", "analytical engine")];
    assert_eq!(element(&ada.send(a.tls(), "/login", &login), "user"), "ada");
    ada.add(a.tls(), "mug", "2");
    let address = [
        ("name", "Ada Lovelace"),
        ("street", "12 St James's Square"),
        ("city", "London"),
        ("country", "GB"),
    ];
    ada.send(a.tls(), "/address", &address);
    drop(a);

    // Nothing is waited for: b and c do not know yet that a is gone.
    let page = ada.add(b.tls(), "fork", "1");
    assert_eq!((element(&page, "node"), element(&page, "began-at")), ("b", "a"));
    assert_eq!((element(&page, "user"), element(&page, "pieces")), ("ada", "3"));
    let tabs = [(b.tls(), "drum"), (c.tls(), "record")].map(|(node, sku)| {
        let mut tab = ada.clone();
        thread::spawn(move || tab.add(node, sku, "1"))
    });
    for tab in tabs {
        tab.join().unwrap();
    }
    let checkout = ada.get(c.tls(), "/checkout").body;
    assert_eq!(element(&checkout, "pieces"), "5", "{checkout}");
    assert!(checkout.contains("12 St James's Square"), "{checkout}");

    let fields = ["order", "total"].map(|name| (name, field(&checkout, name).to_owned()));
    let paying = [b.tls(), c.tls(), b.tls(), c.tls()].map(|node| {
        let (mut tab, fields) = (ada.clone(), fields.clone());
        thread::spawn(move || {
            let [order, total] = &fields;
            let fields = [(order.0, &*order.1), (total.0, &*total.1), ("card", "tok_approved")];
            let paid = tab.send(node, "/checkout", &fields);
            element(&paid, "reference").to_owned()
        })
    });
    let references = paying.map(|paying| paying.join().unwrap());
    assert!(references.iter().all(|reference| *reference == references[0]), "{references:?}");
    for node in [b.tls(), c.tls()] {
        let orders = ada.get(node, "/orders").body;
        assert_eq!(orders.matches("href=\"/orders/").count(), 1, "{orders}");
        assert_eq!(element(&orders, "pieces"), "0", "{orders}");
    }
    let [order, _] = &fields;
    let dearer = [("order", &*order.1), ("total", "1"), ("card", "tok_approved")];
    assert_eq!(ada.post(b.tls(), "/checkout", &dearer).status(), "409");
}

/// The foot of a page tells of the TLS session, and browsers are shown it whole.
#[test]
fn the_shop_leads_to_what_is_known_of_the_connection() {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let mut ada = Browser::new(&farm);
    let page = ada.get(a.tls(), "/").body;
    assert!(page.contains("href=\"/session\""), "{page}");
    let shown = ada.ask(a.tls(), "GET /session HTTP/1.1\r\nAccept: text/html\r\n", "");
    assert!(shown.body.contains("Cipher suite"), "{}", shown.body);
    assert!(ada.get(a.tls(), "/session").body.starts_with('{'));
}
