//! A shop on actix-web with the middleware of actix-session: a node goes between
//! two requests, and the visitor does not notice.

use std::rc::Rc;

use actix_http::Request;
use actix_session::config::{PersistentSession, TtlExtensionPolicy};
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, Key};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::Method;
use actix_web::{App, Error, test, web};
use segue::Node;
use tokio::sync::Notify;

use crate::nodes::farm;
use crate::store;

async fn log_in(session: Session, user: web::Path<String>) -> &'static str {
    session.renew();
    session.insert("user", user.into_inner()).unwrap();
    "welcome"
}

async fn log_out(session: Session) -> &'static str {
    session.purge();
    "bye"
}

async fn add(session: Session, item: web::Path<String>) -> &'static str {
    let mut cart: Vec<String> = session.get("cart").unwrap().unwrap_or_default();
    cart.push(item.into_inner());
    session.insert("cart", cart).unwrap();
    "added"
}

async fn look(session: Session) -> String {
    let user: Option<String> = session.get("user").unwrap();
    let cart: Option<Vec<String>> = session.get("cart").unwrap();
    format!("{}: {}", user.unwrap_or_default(), cart.unwrap_or_default().join(", "))
}

/// The application as it runs beside a node; all have one key for cookies.
async fn app(
    node: &Node,
    key: &Key,
) -> impl Service<Request, Response = ServiceResponse, Error = Error> + use<> {
    let lifecycle = PersistentSession::default()
        .session_ttl(Duration::HOUR)
        .session_ttl_extension_policy(TtlExtensionPolicy::OnEveryRequest);
    let sessions =
        SessionMiddleware::builder(store(node), key.clone()).session_lifecycle(lifecycle).build();
    let app = App::new()
        .wrap(sessions)
        .route("/", web::get().to(look))
        .route("/log-in/{user}", web::post().to(log_in))
        .route("/log-out", web::post().to(log_out))
        .route("/cart/{item}", web::post().to(add));
    test::init_service(app).await
}

/// A browser, as far as sessions need one: it keeps its cookie.
#[derive(Clone, Default)]
struct Visitor {
    cookie: Option<Cookie<'static>>,
}

impl Visitor {
    /// Asks an application, and gives what it answers.
    async fn ask(
        &mut self,
        app: &impl Service<Request, Response = ServiceResponse, Error = Error>,
        method: Method,
        path: &str,
    ) -> String {
        let mut request = test::TestRequest::with_uri(path).method(method);
        if let Some(cookie) = &self.cookie {
            request = request.cookie(cookie.clone());
        }
        let answer = test::call_service(app, request.to_request()).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        if let Some(cookie) = answer.response().cookies().next() {
            let is_removed = cookie.max_age() == Some(Duration::ZERO);
            self.cookie = (!is_removed).then(|| cookie.into_owned());
        }
        String::from_utf8(test::read_body(answer).await.to_vec()).unwrap()
    }
}

#[actix_web::test]
async fn a_visitor_goes_on_at_another_node_when_his_is_gone() {
    let [a, b, c] = farm(|config| config).await;
    let key = Key::generate();
    let (at_a, at_b, at_c) = (app(&a, &key).await, app(&b, &key).await, app(&c, &key).await);
    let mut ada = Visitor::default();
    ada.ask(&at_a, Method::POST, "/cart/mug").await;
    let mut anonymous = ada.clone();
    ada.ask(&at_a, Method::POST, "/log-in/ada").await;
    ada.ask(&at_b, Method::POST, "/cart/hat").await;
    ada.ask(&at_c, Method::POST, "/cart/shoe").await;
    assert_eq!(ada.ask(&at_a, Method::GET, "/").await, "ada: mug, hat, shoe");
    a.shutdown().await;
    assert_eq!(ada.ask(&at_b, Method::GET, "/").await, "ada: mug, hat, shoe");
    // Nobody is logged in under the key from before.
    assert_eq!(anonymous.ask(&at_b, Method::GET, "/").await, ": ");

    ada.ask(&at_b, Method::POST, "/cart/coat").await;
    b.shutdown().await;
    assert_eq!(ada.ask(&at_c, Method::GET, "/").await, "ada: mug, hat, shoe, coat");
    let mut second_tab = ada.clone();
    ada.ask(&at_c, Method::POST, "/log-out").await;
    assert_eq!(ada.cookie, None);
    assert_eq!(second_tab.ask(&at_c, Method::GET, "/").await, ": ");
}

/// Another tab's request that is under way during a log-out at another node.
#[actix_web::test]
async fn a_request_that_ends_after_the_log_out_does_not_log_in_again() {
    let [a, b] = farm(|config| config).await;
    let key = Key::generate();
    let at_a = app(&a, &key).await;
    let (begun, go_on) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
    let slow = {
        let (begun, go_on) = (Rc::clone(&begun), Rc::clone(&go_on));
        move |session: Session| {
            let (begun, go_on) = (Rc::clone(&begun), Rc::clone(&go_on));
            async move {
                session.insert("seen", true).unwrap();
                begun.notify_one();
                go_on.notified().await;
                "done"
            }
        }
    };
    let sessions = SessionMiddleware::new(store(&b), key.clone());
    let at_b = App::new()
        .wrap(sessions)
        .route("/", web::get().to(look))
        .route("/slow", web::post().to(slow));
    let at_b = test::init_service(at_b).await;
    let mut ada = Visitor::default();
    ada.ask(&at_a, Method::POST, "/log-in/ada").await;
    let (mut tab, mut watcher) = (ada.clone(), ada.clone());
    let log_out = async {
        begun.notified().await;
        ada.ask(&at_a, Method::POST, "/log-out").await;
        go_on.notify_one();
    };
    let (answer, ()) = tokio::join!(tab.ask(&at_b, Method::POST, "/slow"), log_out);
    assert_eq!(answer, "done");
    assert_eq!(tab.ask(&at_b, Method::GET, "/").await, ": ");
    assert_eq!(watcher.ask(&at_a, Method::GET, "/").await, ": ");
}
