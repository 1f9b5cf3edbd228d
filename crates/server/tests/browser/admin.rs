//! The page of a node's operators.

use toml::Table;

use crate::nodes::Farm;
use crate::window::{Colours, Screen, Window};

#[test]
fn the_page_says_who_is_there() {
    let Some(window) = Window::open(Screen::DESK) else { return };
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let _b = farm.start("b", &Table::new());
    a.until_status(|status| status["members"][0]["state"] == "alive");
    window.prefer(Colours::Dark);
    window.go(&format!("http://{}/", a.admin()));
    assert_eq!(window.text("h1"), "Node a is ready, with 1 other node");
    let elsewhere = |url: &String| !url.starts_with(&format!("http://{}/", a.admin()));
    let requests = window.requests();
    assert!(!requests.iter().any(elsewhere), "{requests:?}");
}
