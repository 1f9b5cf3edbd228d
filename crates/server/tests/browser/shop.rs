//! The built-in shop as customers meet it: without programs, on a phone, and with
//! a server that is killed while they are at it.

use std::net::SocketAddr;

use toml::Table;

use crate::nodes::Farm;
use crate::window::{Colours, Screen, Window};

/// A page of the shop at a node.
fn at(node: SocketAddr, path: &str) -> String {
    format!("https://{node}{path}")
}

/// Waits for the answer to a form, which the browser follows to that path.
fn until_at(window: &Window, path: &str) {
    crate::patience::until(
        || window.place().ends_with(path).then_some(()),
        || format!("{} is not {path}:\n{}", window.place(), window.text("body")),
    );
}

fn log_in(window: &Window, node: SocketAddr) {
    window.go(&at(node, "/login"));
    window.write("#name", "ada");
    window.write("#password", "analytical engine");
    window.click("main button");
    until_at(window, "/");
    assert_eq!(window.text("#user"), "ada");
}

fn add(window: &Window, node: SocketAddr, sku: &str, pieces: &str) {
    window.go(&at(node, "/"));
    window.write(&format!("#pieces-{sku}"), pieces);
    window.click(&format!("li:has(#pieces-{sku}) button"));
    until_at(window, "/cart");
}

/// No page may be wider than the window, and nothing may have been complained of.
fn fits(window: &Window) {
    window.allow_programs(true);
    let overhang = "const it = document.documentElement; return it.scrollWidth - it.clientWidth";
    assert_eq!(window.run(overhang), 0, "at {}", window.place());
    window.allow_programs(false);
}

#[test]
fn a_customer_whose_server_is_killed_is_asked_nothing_twice() {
    let Some(window) = Window::open(Screen::PHONE) else { return };
    window.allow_programs(false);
    let mut farm = Farm::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| farm.start(name, &Table::new()));
    for node in [&a, &b, &c] {
        node.until_status(|status| {
            status["members"].as_array().unwrap().len() == 2 && status["one_answer"]["voters"] == 3
        });
    }
    log_in(&window, a.tls());
    fits(&window);
    add(&window, a.tls(), "mug", "2");
    assert_eq!(window.text("#node"), "a");
    fits(&window);
    window.go(&at(a.tls(), "/address"));
    fits(&window);
    for (field, text) in [
        ("#name", "Ada Lovelace"),
        ("#street", "12 St James's Square"),
        ("#city", "London"),
        ("#postcode", "SW1Y 4JH"),
    ] {
        window.write(field, text);
    }
    window.click("main button");
    until_at(&window, "/checkout");
    drop(a);

    add(&window, b.tls(), "fork", "1");
    assert_eq!((window.text("#node"), window.text("#began-at")), ("b".into(), "a".into()));
    assert_eq!((window.text("#user"), window.text("#pieces")), ("ada".into(), "3".into()));
    // Two tabs, at two nodes, each with a page from before the other's edit.
    let (first, second) = (window.tab(), window.open_tab());
    window.go(&at(c.tls(), "/"));
    window.turn_to(&first);
    window.go(&at(b.tls(), "/"));
    window.click("li:has(#pieces-drum) button");
    window.turn_to(&second);
    window.click("li:has(#pieces-record) button");
    until_at(&window, "/cart");
    window.turn_to(&first);
    until_at(&window, "/cart");
    for node in [b.tls(), c.tls()] {
        window.go(&at(node, "/cart"));
        assert_eq!(window.text("#pieces"), "5");
    }
    // Both have the same order before them, and both send it.
    for (tab, node) in [(&first, b.tls()), (&second, c.tls())] {
        window.turn_to(tab);
        window.go(&at(node, "/checkout"));
        assert!(window.text("#address").contains("12 St James's Square"));
        fits(&window);
    }
    for tab in [&first, &second] {
        window.turn_to(tab);
        window.click("main form button");
    }
    let paid = [&first, &second].map(|tab| {
        window.turn_to(tab);
        until_at(&window, "/orders/1");
        window.text("#reference")
    });
    assert_eq!(paid[0], paid[1]);
    fits(&window);
    window.go(&at(b.tls(), "/orders"));
    assert_eq!(window.text("#pieces"), "0");
    assert_eq!(window.text("ul.orders").matches("Order").count(), 1);
    let complaints = window.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[test]
fn the_shop_is_seen_in_light_and_in_dark() {
    let Some(window) = Window::open(Screen::DESK) else { return };
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let mut grounds = Vec::new();
    for (colours, name) in [(Colours::Light, "shop.png"), (Colours::Dark, "shop-dark.png")] {
        window.prefer(colours);
        window.go(&at(a.tls(), "/"));
        window.picture(name);
        grounds.push(window.run("return getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(grounds[0], grounds[1]);
    // By keyboard: the first stop leads past the navigation.
    window.press("\t");
    let focused = window.run("return document.activeElement.textContent");
    assert_eq!(focused, "Skip to the content");
    let complaints = window.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
}
