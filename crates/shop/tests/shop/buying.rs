//! What the shop is for.

use axum::http::StatusCode;

use crate::browser::Browser;
use crate::{Farm, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn who_began_at_a_node_that_is_gone_buys_at_the_others() {
    let mut farm = Farm::new(3).await;
    let mut ada = Browser::default();
    let a = &farm.shops[0];
    // A visitor has a cart, which stays when she logs in, and another id then.
    let cart = ada.add(a, "mug", "2").await;
    assert_eq!(cart.element("pieces"), "2");
    let visitor = ada.cookie.clone();
    ada.log_in(a).await;
    assert_ne!(ada.cookie, visitor);
    assert_eq!(ada.get(a, "/cart").await.element("pieces"), "2");
    ada.move_in(a).await;

    farm.nodes.remove(0).shutdown().await;
    farm.shops.remove(0);
    for node in &farm.nodes {
        eventually("a is gone", || node.status().one_answer.voters == 2).await;
    }
    let [b, c] = &farm.shops[..] else { panic!("two are left") };
    let page = ada.get(b, "/cart").await;
    assert_eq!((page.element("node"), page.element("began-at")), ("b", "a"));
    assert_eq!((page.element("user"), page.element("pieces")), ("ada", "2"));

    // Two tabs at once, at two nodes.
    let (mut at_b, mut at_c) = (ada.clone(), ada.clone());
    let (one, other) = tokio::join!(at_b.add(b, "fork", "1"), at_c.add(c, "record", "3"));
    assert_eq!((one.status, other.status), (StatusCode::OK, StatusCode::OK));
    let checkout = ada.get(c, "/checkout").await;
    assert_eq!(checkout.element("pieces"), "6");
    assert!(checkout.text.contains("12 St James's Square"), "{}", checkout.text);

    let (order, total) = (checkout.hidden("order"), checkout.hidden("total"));
    assert_eq!(total, (2 * 1_490 + 1_290 + 3 * 2_290 + 490).to_string());
    let fields = [("order", &*order), ("total", &*total), ("card", "tok_approved")];
    let paid = ada.submit(c, "/checkout", &fields).await;
    assert_eq!(paid.element("paid"), "€\u{a0}116.30");
    // Sent again, at the other one.
    let again = ada.submit(b, "/checkout", &fields).await;
    assert_eq!(again.element("reference"), paid.element("reference"));
    assert_eq!(farm.charges(), 1);
    assert_eq!(ada.get(b, "/cart").await.element("pieces"), "0");
    let orders = ada.get(b, "/orders").await;
    assert_eq!(orders.text.matches("/orders/").count(), 1, "{}", orders.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_change_and_articles_go() {
    let farm = Farm::new(2).await;
    let [a, b] = &farm.shops[..] else { panic!("there are two") };
    let mut ada = Browser::default();
    ada.add(a, "mug", "2").await;
    ada.add(b, "fork", "1").await;
    let set = |pieces: &'static str| [("sku", "mug"), ("pieces", pieces)];
    assert_eq!(ada.submit(b, "/cart/set", &set("7")).await.element("pieces"), "8");
    assert_eq!(ada.submit(a, "/cart/set", &set("1")).await.element("pieces"), "2");
    assert_eq!(ada.submit(b, "/cart/set", &set("0")).await.element("pieces"), "1");
    assert_eq!(ada.submit(a, "/cart/remove", &[("sku", "fork")]).await.element("pieces"), "0");
    assert!(ada.get(b, "/cart").await.text.contains("Nothing is in it yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_in_joins_carts_and_logging_out_ends_sessions() {
    let farm = Farm::new(2).await;
    let [a, b] = &farm.shops[..] else { panic!("there are two") };
    let (mut desk, mut phone) = (Browser::default(), Browser::default());
    desk.add(a, "mug", "98").await;
    desk.log_in(a).await;
    phone.add(b, "mug", "3").await;
    phone.add(b, "fork", "1").await;
    phone.log_in(b).await;
    // No more of one article than are sold, and one cart for both.
    assert_eq!(desk.get(a, "/cart").await.element("pieces"), "100");
    assert_eq!(desk.get(a, "/account").await.element("sessions"), "2");

    let stolen = phone.clone();
    assert_eq!(phone.post(b, "/logout", &[]).await.location.as_deref(), Some("/"));
    assert_eq!(phone.cookie, None);
    let mut thief = stolen;
    assert!(thief.get(a, "/account").await.location.is_some(), "the session has ended");
    assert_eq!(desk.get(b, "/account").await.element("sessions"), "1");
    phone.log_in(a).await;
    assert_eq!(phone.get(a, "/cart").await.element("pieces"), "100");

    desk.post(b, "/logout-everywhere", &[]).await;
    for (browser, shop) in [(&mut desk, a), (&mut phone, b)] {
        let login = browser.get(shop, "/checkout").await;
        assert_eq!(login.location.as_deref(), Some("/login?next=checkout"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_say_what_browsers_may_do_with_them() {
    let farm = Farm::new(1).await;
    let [a] = &farm.shops[..] else { panic!("there is one") };
    let mut ada = Browser::default();
    for path in ["/", "/login", "/cart", "/nothing"] {
        let page = ada.get(a, path).await;
        let header = |name: &str| page.headers.get(name).unwrap().to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert!(page.text.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{path}");
        for forbidden in ["<script", " style=", "<style", "javascript:"] {
            assert!(!page.text.contains(forbidden), "{path} has {forbidden}");
        }
        // Whatever is asked for has a name.
        for field in page.text.split("<input ").skip(1).map(|rest| rest.split_once('>').unwrap().0)
        {
            let id = field.split_once("id=\"").map(|(_, rest)| rest.split_once('"').unwrap().0);
            let named = id.is_some_and(|id| page.text.contains(&format!("for=\"{id}\"")));
            assert!(named || field.contains("type=\"hidden\""), "{path}: {field}");
        }
    }
    assert_eq!(ada.get(a, "/nothing").await.status, StatusCode::NOT_FOUND);
    assert_eq!(ada.get(a, "/cart/add").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let style = ada.get(a, "/style.css").await;
    assert!(style.headers["content-type"].to_str().unwrap().starts_with("text/css"));
}
