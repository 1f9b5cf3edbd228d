//! Orders that are sent twice, or again with something else.

use axum::http::StatusCode;
use segue::state::{Amount, Card, Payments, Request, Step};
use std::time::Duration;

use crate::Farm;
use crate::browser::{Browser, Page};

/// A customer at the checkout, and that page.
async fn at_checkout(farm: &Farm) -> (Browser, Page) {
    let mut ada = Browser::default();
    ada.log_in(&farm.shops[0]).await;
    ada.add(&farm.shops[0], "mug", "2").await;
    ada.move_in(&farm.shops[0]).await;
    let page = ada.get(&farm.shops[0], "/checkout").await;
    assert_eq!(page.hidden("total"), "3470");
    (ada, page)
}

const PAY: [(&str, &str); 3] = [("order", "1"), ("total", "3470"), ("card", "tok_approved")];

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_at_all_nodes_at_once_pays_once() {
    let farm = Farm::new(3).await;
    let (ada, page) = at_checkout(&farm).await;
    let token = page.token();
    let tabs: Vec<_> = farm
        .shops
        .iter()
        .cycle()
        .take(9)
        .map(|shop| {
            let (shop, token, mut tab) = (shop.clone(), token.clone(), ada.clone());
            tokio::spawn(async move { tab.post_with(&shop, "/checkout", (&token, &PAY)).await })
        })
        .collect();
    for tab in tabs {
        let answer = tab.await.unwrap();
        assert_eq!(answer.location.as_deref(), Some("/orders/1"), "{}", answer.text);
    }
    assert_eq!(farm.charges(), 1);
    let mut ada = ada;
    assert_eq!(ada.get(&farm.shops[2], "/cart").await.element("pieces"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_number_with_another_amount_is_refused_by_a_page_that_says_so() {
    let farm = Farm::new(3).await;
    let (mut ada, _) = at_checkout(&farm).await;
    let [a, b, c] = &farm.shops[..] else { panic!("there are three") };
    // An amount that the cart does not come to.
    let cheaper = [("order", "1"), ("total", "1"), ("card", "tok_approved")];
    let answer = ada.post(b, "/checkout", &cheaper).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.text.contains("Nothing was charged"), "{}", answer.text);
    // A number that is not due.
    let later = [("order", "7"), ("total", "3470"), ("card", "tok_approved")];
    assert_eq!(ada.post(b, "/checkout", &later).await.status, StatusCode::CONFLICT);
    assert_eq!(farm.charges(), 0);

    ada.submit(a, "/checkout", &PAY).await;
    ada.add(b, "drum", "1").await;
    let dearer = [("order", "1"), ("total", "19390"), ("card", "tok_approved")];
    let answer = ada.post(c, "/checkout", &dearer).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.text.contains("another amount"), "{}", answer.text);
    assert_eq!(farm.charges(), 1);
    assert_eq!(ada.get(c, "/cart").await.element("pieces"), "1", "the drum is still there");
    // Under its own number it is bought.
    let checkout = ada.get(c, "/checkout").await;
    let (order, total) = (checkout.hidden("order"), checkout.hidden("total"));
    assert_eq!((&*order, &*total), ("2", "19390"));
    let fields = [("order", &*order), ("total", &*total), ("card", "tok_approved")];
    assert_eq!(ada.submit(b, "/checkout", &fields).await.element("paid"), "€\u{a0}193.90");
    assert_eq!(farm.charges(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_costs_nothing_and_another_one_pays() {
    let farm = Farm::new(3).await;
    let (mut ada, _) = at_checkout(&farm).await;
    let [a, b, _] = &farm.shops[..] else { panic!("there are three") };
    let declined = [("order", "1"), ("total", "3470"), ("card", "tok_declined")];
    let page = ada.submit(a, "/checkout", &declined).await;
    assert!(page.text.contains("The card was declined"), "{}", page.text);
    assert_eq!((page.element("pieces"), &*page.hidden("order")), ("2", "2"));
    let fields = [("order", "2"), ("total", "3470"), ("card", "tok_approved")];
    ada.submit(b, "/checkout", &fields).await;
    let orders = ada.get(b, "/orders").await;
    assert!(orders.text.contains("/orders/2") && !orders.text.contains("/orders/1"));
    assert_eq!(ada.get(b, "/orders/1").await.status, StatusCode::NOT_FOUND);
}

/// A server has charged the card, and stopped.
#[tokio::test(flavor = "multi_thread")]
async fn another_node_goes_on_with_an_order_under_way() {
    let farm = Farm::new(3).await;
    let (mut ada, _) = at_checkout(&farm).await;
    let payments = Payments::new(farm.nodes[0].cache());
    let key = "shop ada 1";
    let request = Request {
        idempotency_key: key,
        amount: Amount::new(3_470, "EUR").unwrap(),
        order: "mug:2",
        card: Some(Card::token("tok_approved").unwrap()),
    };
    payments.begin(&request).await.unwrap();
    let lease = payments.lease(key, "a", Duration::from_secs(2)).await.unwrap().unwrap();
    payments.advance(key, lease, Step::Authorized, Some("test-before")).await.unwrap();

    let [_, b, _] = &farm.shops[..] else { panic!("there are three") };
    let page = ada.get(b, "/checkout").await;
    assert!(page.text.contains("Go on with order 1"), "{}", page.text);
    let fields = [("order", &*page.hidden("order")), ("total", &*page.hidden("total"))];
    let paid = ada.submit(b, "/checkout", &fields).await;
    assert_eq!(paid.element("reference"), "test-before");
    assert_eq!((farm.charges(), paid.element("pieces")), (0, "0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_pays_or_looks_who_has_not_logged_in() {
    let farm = Farm::new(3).await;
    let (mut ada, _) = at_checkout(&farm).await;
    let a = &farm.shops[0];
    ada.submit(a, "/checkout", &PAY).await;
    let mut visitor = Browser::default();
    visitor.add(a, "mug", "2").await;
    for path in ["/checkout", "/orders", "/orders/1", "/address", "/account"] {
        let answer = visitor.get(a, path).await;
        assert!(answer.location.unwrap().starts_with("/login"), "{path}");
    }
    let answer = visitor.post(a, "/checkout", &PAY).await;
    assert_eq!(answer.location.as_deref(), Some("/login?next=checkout"));
    let mut grace = Browser::default();
    let fields = [("name", "grace"), ("password", "compiler"), ("next", "orders")];
    grace.submit(a, "/login", &fields).await;
    assert_eq!(grace.get(a, "/orders/1").await.status, StatusCode::NOT_FOUND, "it is ada's");
}
