//! What nobody's browser would send.

use axum::http::{Method, StatusCode};
use segue::state::{Auth, Carts, Sessions, StateId};

use crate::Farm;
use crate::browser::Browser;

#[tokio::test(flavor = "multi_thread")]
async fn absurd_quantities_and_unknown_articles_change_nothing() {
    let farm = Farm::new(1).await;
    let a = &farm.shops[0];
    let mut ada = Browser::default();
    ada.add(a, "mug", "1").await;
    let absurd = ["0", "99", "100", "10000", "-1", "+2", "1e3", "1.5", "", "٣"];
    let huge = [u64::MAX.to_string(), "9".repeat(400)];
    for pieces in absurd.into_iter().chain(huge.iter().map(String::as_str)) {
        let answer = ada.post(a, "/cart/add", &[("sku", "mug"), ("pieces", pieces)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{pieces:?}");
        if pieces != "0" && pieces != "99" {
            let answer = ada.post(a, "/cart/set", &[("sku", "mug"), ("pieces", pieces)]).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{pieces:?}");
        }
    }
    for sku in ["", "delivery", "nothing", "4111 1111 1111 1111", &"x".repeat(4_000)] {
        let answer = ada.post(a, "/cart/add", &[("sku", sku), ("pieces", "1")]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{sku}");
        assert!(!answer.text.contains("4111"));
    }
    assert_eq!(ada.get(a, "/cart").await.element("pieces"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_items_are_not_kept_and_what_is_can_be_shown() {
    let farm = Farm::new(1).await;
    let a = &farm.shops[0];
    let mut ada = Browser::default();
    ada.log_in(a).await;
    let token = ada.token(a).await;
    for item in 0..100 {
        let sku = format!("item {item}");
        let fields = [("sku", &*sku), ("pieces", "1")];
        let answer = ada.post_with(a, "/cart/add", (&token, &fields)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    // Another program of the farm fills the cart as far as it can.
    ada.add(a, "mug", "1").await;
    let id = StateId::parse(ada.cookie.as_ref().unwrap()).unwrap();
    let auth = Sessions::new(farm.nodes[0].cache()).get(&id).await.unwrap();
    let carts = Carts::new(farm.nodes[0].cache());
    let mut kept = 0;
    for item in 0..10_000 {
        let sku = format!("<script>{item}</script>");
        if carts.add(&auth.cart.unwrap(), &sku, 100_000).await.is_err() {
            break;
        }
        kept += 1;
    }
    assert!((100..=1_000).contains(&kept), "{kept} items");
    let cart = ada.get(a, "/cart").await;
    assert_eq!(cart.status, StatusCode::OK);
    assert!(!cart.text.contains("<script") && cart.text.contains("&lt;script&gt;7&lt;/script"));
    assert_eq!((cart.element("pieces"), cart.element("total")), ("1", "€\u{a0}19.80"));
    let item = [("sku", "<script>7</script>")];
    let cart = ada.submit(a, "/cart/remove", &item).await;
    assert!(!cart.text.contains("&lt;script&gt;7&lt;/script"));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_bounded_and_hold_no_card_number() {
    let farm = Farm::new(1).await;
    let a = &farm.shops[0];
    let mut ada = Browser::default();
    ada.log_in(a).await;
    let check = async |ada: &mut Browser, field: &str, value: &str, expected: StatusCode| {
        let right = [("name", "Ada"), ("street", "1"), ("city", "B"), ("country", "GB")];
        let fields = right.map(|(name, right)| (name, if name == field { value } else { right }));
        let answer = ada.post(a, "/address", &fields).await;
        assert_eq!(answer.status, expected, "{field}: {}", answer.text);
        answer.text
    };
    let large = "x".repeat(1 << 20);
    check(&mut ada, "city", &large, StatusCode::PAYLOAD_TOO_LARGE).await;
    check(&mut ada, "city", &large[..300], StatusCode::UNPROCESSABLE_ENTITY).await;
    check(&mut ada, "name", "", StatusCode::UNPROCESSABLE_ENTITY).await;
    check(&mut ada, "name", "a\u{0}b", StatusCode::UNPROCESSABLE_ENTITY).await;
    check(&mut ada, "country", "Narnia", StatusCode::UNPROCESSABLE_ENTITY).await;
    let card = "4111 1111 1111 1111";
    let text = check(&mut ada, "street", card, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert!(text.contains("looks like the number of a payment card"), "{text}");
    // Nothing of it was kept.
    assert_eq!(ada.get(a, "/address").await.text.matches("value=\"\"").count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_shown_as_texts() {
    let farm = Farm::new(1).await;
    let a = &farm.shops[0];
    let mut ada = Browser::default();
    let hostile = "\"><script>alert(1)</script><img src=x onerror='x'>&";
    // What is repeated although it is wrong.
    let answer = ada.post(a, "/login", &[("name", hostile), ("password", "x")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!answer.text.contains("<script") && !answer.text.contains("<img"));
    assert!(answer.text.contains("&lt;script&gt;"), "{}", answer.text);
    ada.log_in(a).await;
    ada.add(a, "mug", "1").await;
    let fields = ["name", "street", "more", "city", "region"].map(|name| (name, hostile));
    let rest = [("postcode", "\"><b>"), ("country", "GB")];
    let page = ada.submit(a, "/address", &[&fields[..], &rest].concat()).await;
    for page in [page, ada.get(a, "/address").await] {
        for forbidden in ["<script", "<img", "<b>"] {
            assert!(!page.text.contains(forbidden), "{}", page.text);
        }
        assert_eq!(page.text.matches("&lt;script&gt;alert(1)").count(), 5, "{}", page.text);
    }
    let fields = [("order", hostile), ("total", hostile), ("card", hostile)];
    let answer = ada.post(a, "/checkout", &fields).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    for path in ["/login?next=//evil.example", "/login?next=%22%3E%3Cscript%3E", "/%3Cscript%3E"] {
        let page = Browser::default().get(a, path).await;
        assert!(!page.text.contains("evil") && !page.text.contains("<script"), "{path}");
    }
    let fields = [("name", "grace"), ("password", "compiler"), ("next", "//evil.example")];
    let answer = Browser::default().post(a, "/login", &fields).await;
    assert_eq!(answer.location.as_deref(), Some("/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_an_attacker_chose_is_nobodys() {
    let farm = Farm::new(2).await;
    let [a, b] = &farm.shops[..] else { panic!("there are two") };
    let sessions = Sessions::new(farm.nodes[0].cache());
    // An id of his own making, and that of a session of his own.
    let made = StateId::new([7; 32]).to_text();
    let mut mallory = Browser::default();
    mallory.add(a, "drum", "1").await;
    let begun = mallory.cookie.clone().unwrap();
    for fixed in [made, begun] {
        let mut ada = Browser { cookie: Some(fixed.clone()), ..Browser::default() };
        ada.log_in(a).await;
        assert_ne!(ada.cookie.as_ref(), Some(&fixed));
        assert!(sessions.get(&StateId::parse(&fixed).unwrap()).await.is_none());
        let mut mallory = Browser { cookie: Some(fixed), ..Browser::default() };
        for shop in [a, b] {
            assert!(mallory.get(shop, "/account").await.location.is_some());
        }
    }
    // A first article begins a session under an id of the farm's.
    let made = StateId::new([8; 32]).to_text();
    let mut ada = Browser { cookie: Some(made.clone()), ..Browser::default() };
    ada.add(b, "mug", "1").await;
    assert_ne!(ada.cookie, Some(made));
    for malformed in ["", "x", &"0".repeat(63), &"g".repeat(64), "'; DROP TABLE"] {
        let mut ada = Browser { cookie: Some(malformed.to_owned()), ..Browser::default() };
        assert_eq!(ada.get(a, "/").await.status, StatusCode::OK);
        assert_ne!(ada.cookie.as_deref(), Some(malformed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_others_are_not_taken() {
    let farm = Farm::new(1).await;
    let a = &farm.shops[0];
    let mut ada = Browser::default();
    ada.log_in(a).await;
    let own = ada.token(a).await;
    let mut mallory = Browser::default();
    mallory.add(a, "mug", "1").await;
    let others = mallory.token(a).await;
    let fields = [("sku", "drum"), ("pieces", "1")];
    let add = async |browser: &mut Browser, token: &str| {
        browser.post_with(a, "/cart/add", (token, &fields)).await.status
    };
    for token in ["", "x", &others, &own[1..], &own.to_uppercase()] {
        assert_eq!(add(&mut ada, token).await, StatusCode::FORBIDDEN, "{token}");
    }
    let more = |name, value: &str| vec![(name, value.to_owned())];
    for foreign in [
        more("origin", "https://evil.example"),
        more("origin", "null"),
        more("sec-fetch-site", "cross-site"),
        more("sec-fetch-site", "same-site"),
    ] {
        let mut lured = Browser { more: foreign.clone(), ..ada.clone() };
        assert_eq!(add(&mut lured, &own).await, StatusCode::FORBIDDEN, "{foreign:?}");
    }
    let mut own_tab = Browser { more: more("sec-fetch-site", "same-origin"), ..ada.clone() };
    assert_eq!(add(&mut own_tab, &own).await, StatusCode::SEE_OTHER);
    // Everything that changes something, without a token.
    for path in [
        "/cart/set",
        "/cart/remove",
        "/login",
        "/logout",
        "/logout-everywhere",
        "/address",
        "/checkout",
    ] {
        assert_eq!(ada.post_with(a, path, ("", &[])).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let many = (0..20).map(|_| ("sku", "mug")).collect::<Vec<_>>();
    let answer = ada.post_with(a, "/cart/add", (&own, &many)).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let answer = ada.ask(a, Method::DELETE, "/cart", String::new()).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_passwords_is_slowed() {
    let farm = Farm::new(1).await;
    let a = &farm.shops[0];
    let mut mallory = Browser::default();
    let token = mallory.token(a).await;
    // All at once: while a machine is slow, the allowance grows back.
    let guesses: Vec<_> = (0..30)
        .map(|guess| {
            let (shop, token, mut mallory) = (a.clone(), token.clone(), mallory.clone());
            tokio::spawn(async move {
                let password = format!("guess {guess}");
                let fields = [("name", "ada"), ("password", &*password)];
                mallory.post_with(&shop, "/login", (&token, &fields)).await
            })
        })
        .collect();
    let mut slowed = Vec::new();
    for guess in guesses {
        let answer = guess.await.unwrap();
        match answer.status {
            StatusCode::TOO_MANY_REQUESTS => slowed.push(answer),
            status => assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY),
        }
    }
    let slowed = slowed.first().unwrap();
    assert!(slowed.headers.contains_key("retry-after") && slowed.text.contains("Try again in"));
    // Another account is not.
    let fields = [("name", "grace"), ("password", "compiler")];
    assert_eq!(mallory.post(a, "/login", &fields).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_cart_gets_one() {
    let farm = Farm::new(1).await;
    let a = &farm.shops[0];
    let sessions = Sessions::new(farm.nodes[0].cache());
    let mut auth = Auth::new("shop:ada", "password at z", farm.nodes[0].cache().now()).unwrap();
    auth.grant("order").unwrap();
    auth.cart = Some(StateId::new([3; 32]));
    let id = sessions.begin(auth).await.unwrap().to_text();
    let mut ada = Browser { cookie: Some(id.clone()), ..Browser::default() };
    let cart = ada.add(a, "mug", "1").await;
    assert_eq!((cart.element("pieces"), cart.element("began-at")), ("1", "z"));
    assert_ne!(ada.cookie, Some(id), "it is another session then");
}

/// Everybody knows this shop's passwords: they open nothing else, and what opens
/// something else is no log-in here.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_beside_the_shop_has_users_of_its_own() {
    let farm = Farm::new(1).await;
    let a = &farm.shops[0];
    let sessions = Sessions::new(farm.nodes[0].cache());
    let mut ada = Browser::default();
    ada.log_in(a).await;
    assert!(sessions.list("ada").await.is_empty());
    assert_eq!(sessions.list("shop:ada").await.len(), 1);
    let mut auth = Auth::new("ada", "password", farm.nodes[0].cache().now()).unwrap();
    auth.grant("order").unwrap();
    let id = sessions.begin(auth).await.unwrap().to_text();
    let mut other = Browser { cookie: Some(id), ..Browser::default() };
    assert_eq!(other.get(a, "/account").await.location.as_deref(), Some("/login"));
}
