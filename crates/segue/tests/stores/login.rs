//! Logins by axum-login, which builds on an earlier release of tower-sessions.

use std::convert::Infallible;

use axum::Router;
use axum::extract::Path;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use axum_login::tower_sessions::SessionManagerLayer;
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend};
use segue::Node;
use segue::web::tower_sessions_0_14::Store;

use crate::nodes::farm;
use crate::shop;
use crate::visitor::Visitor;

/// Somebody whose password is his name backwards.
#[derive(Debug, Clone)]
struct User(String);

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.0.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[derive(Clone)]
struct Users;

impl AuthnBackend for Users {
    type User = User;
    type Credentials = (String, String);
    type Error = Infallible;

    async fn authenticate(
        &self,
        (name, password): (String, String),
    ) -> Result<Option<User>, Infallible> {
        let is_right = password.chars().rev().eq(name.chars());
        Ok(is_right.then_some(User(name)))
    }

    async fn get_user(&self, name: &String) -> Result<Option<User>, Infallible> {
        Ok(Some(User(name.clone())))
    }
}

async fn log_in(
    mut session: AuthSession<Users>,
    Path(credentials): Path<(String, String)>,
) -> StatusCode {
    match session.authenticate(credentials).await.unwrap() {
        Some(user) => {
            session.login(&user).await.unwrap();
            StatusCode::OK
        }
        None => StatusCode::UNAUTHORIZED,
    }
}

async fn who(session: AuthSession<Users>) -> String {
    session.user.map_or_else(|| "nobody".to_owned(), |user| user.0)
}

async fn log_out(mut session: AuthSession<Users>) {
    session.logout().await.unwrap();
}

fn app(node: &Node) -> Router {
    let sessions = SessionManagerLayer::new(Store::new(shop(node)));
    let logins = AuthManagerLayerBuilder::new(Users, sessions).build();
    Router::new()
        .route("/", get(who))
        .route("/log-in/{name}/{password}", post(log_in))
        .route("/log-out", post(log_out))
        .layer(logins)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_logged_in_at_a_node_that_is_gone_is_known_at_the_others() {
    let [a, b, c] = farm(|config| config).await;
    let apps = [&a, &b, &c].map(app);
    let mut ada = Visitor::default();
    let (refused, _) = ada.ask(&apps[0], Method::POST, "/log-in/ada/guess").await;
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
    ada.post(&apps[0], "/log-in/ada/ada").await;
    let mut bob = Visitor::default();
    bob.post(&apps[1], "/log-in/bob/bob").await;
    a.shutdown().await;
    assert_eq!(ada.get(&apps[1], "/").await, "ada");
    assert_eq!(bob.get(&apps[2], "/").await, "bob");

    let mut stolen = ada.clone();
    ada.post(&apps[1], "/log-out").await;
    b.shutdown().await;
    assert_eq!(stolen.get(&apps[2], "/").await, "nobody");
    assert_eq!(bob.get(&apps[2], "/").await, "bob");
}
