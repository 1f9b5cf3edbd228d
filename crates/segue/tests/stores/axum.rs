//! A shop on axum with the middleware of tower-sessions: a node goes between two
//! requests, and the visitor does not notice.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use segue::Node;
use segue::web::tower_sessions::Store;
use time::Duration;
use tokio::sync::Notify;
use tower_sessions::{Expiry, Session, SessionManagerLayer};

use crate::nodes::farm;
use crate::shop;
use crate::visitor::Visitor;

async fn log_in(session: Session, Path(user): Path<String>) {
    session.cycle_id().await.unwrap();
    session.insert("user", user).await.unwrap();
}

async fn log_out(session: Session) {
    session.flush().await.unwrap();
}

async fn add(session: Session, Path(item): Path<String>) {
    let mut cart: Vec<String> = session.get("cart").await.unwrap().unwrap_or_default();
    cart.push(item);
    session.insert("cart", cart).await.unwrap();
}

async fn look(session: Session) -> String {
    let user: Option<String> = session.get("user").await.unwrap();
    let cart: Option<Vec<String>> = session.get("cart").await.unwrap();
    let (user, cart) = (user.unwrap_or_default(), cart.unwrap_or_default());
    format!("{user}: {}", cart.join(", "))
}

/// The application as it runs beside a node.
fn app(node: &Node) -> Router {
    let sessions = SessionManagerLayer::new(Store::new(shop(node)))
        .with_expiry(Expiry::OnInactivity(Duration::HOUR));
    Router::new()
        .route("/", get(look))
        .route("/log-in/{user}", post(log_in))
        .route("/log-out", post(log_out))
        .route("/cart/{item}", post(add))
        .layer(sessions)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_goes_on_at_another_node_when_his_is_gone() {
    let [a, b, c] = farm(|config| config).await;
    let apps = [&a, &b, &c].map(app);
    let mut ada = Visitor::default();
    ada.post(&apps[0], "/cart/mug").await;
    let mut anonymous = ada.clone();
    ada.post(&apps[0], "/log-in/ada").await;
    // By turns, each request at the next node.
    for (turn, item) in ["hat", "shoe", "sock", "scarf"].into_iter().enumerate() {
        ada.post(&apps[turn % 3], &format!("/cart/{item}")).await;
        assert!(ada.get(&apps[(turn + 1) % 3], "/").await.ends_with(item));
    }
    a.shutdown().await;
    assert_eq!(ada.get(&apps[1], "/").await, "ada: mug, hat, shoe, sock, scarf");
    // Nobody is logged in under the id from before.
    assert_eq!(anonymous.get(&apps[1], "/").await, ": ");

    ada.post(&apps[1], "/cart/coat").await;
    b.shutdown().await;
    assert_eq!(ada.get(&apps[2], "/").await, "ada: mug, hat, shoe, sock, scarf, coat");
    let mut second_tab = ada.clone();
    ada.post(&apps[2], "/log-out").await;
    assert_eq!(second_tab.get(&apps[2], "/").await, ": ");
}

/// A request that is under way during a log-out at another node.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_ends_after_the_log_out_does_not_log_in_again() {
    let [a, b] = farm(|config| config).await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        move |session: Session| async move {
            session.insert("seen", true).await.unwrap();
            begun.notify_one();
            go_on.notified().await;
        }
    };
    let sessions = SessionManagerLayer::new(Store::new(shop(&b)));
    let at_b = app(&b).merge(Router::new().route("/slow", post(slow)).layer(sessions));
    let at_a = app(&a);
    let mut ada = Visitor::default();
    ada.post(&at_a, "/log-in/ada").await;
    let mut tab = ada.clone();
    let mut watcher = ada.clone();
    let under_way = {
        let at_b = at_b.clone();
        tokio::spawn(async move { tab.post(&at_b, "/slow").await })
    };
    begun.notified().await;
    assert_eq!(watcher.get(&at_b, "/").await, "ada: ");
    ada.post(&at_a, "/log-out").await;
    go_on.notify_one();
    under_way.await.unwrap();
    for app in [&at_a, &at_b] {
        assert_eq!(watcher.clone().get(app, "/").await, ": ");
    }
}
