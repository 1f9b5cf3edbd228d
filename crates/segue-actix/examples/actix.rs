//! A shop on actix-web whose visitors keep their carts when a server goes away.
//!
//! ```sh
//! cargo run -p segue-actix --example actix -- 127.0.0.1:8001 127.0.0.1:7001
//! cargo run -p segue-actix --example actix -- 127.0.0.1:8002 127.0.0.1:7002 127.0.0.1:7001
//!
//! curl --cookie-jar cookies --cookie cookies --request POST 127.0.0.1:8001/cart/mug
//! # Stop the first one, then:
//! curl --cookie-jar cookies --cookie cookies 127.0.0.1:8002
//! ```

use std::error::Error;
use std::net::SocketAddr;

use actix_session::config::PersistentSession;
use actix_session::{Session, SessionGetError, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::cookie::time::Duration;
use actix_web::{App, HttpServer, web};
use segue::web::WebSessions;
use segue::{Config, FarmKey, Keyring, Node, Transport};
use segue_actix::Store;

/// Every server of the farm has these secrets: one for what servers say to each
/// other, one that signs cookies. Yours come from files.
const FARM_KEY: [u8; 32] = *b"an example's key is no secret...";
const COOKIE_KEY: [u8; 64] = [7; 64];

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut addresses = std::env::args().skip(1).map(|text| text.parse::<SocketAddr>());
    let (Some(http), Some(farm)) = (addresses.next(), addresses.next()) else {
        return Err("usage: actix HTTP-ADDRESS FARM-ADDRESS [PEER]...".into());
    };
    let (http, peers) = (http?, addresses.collect::<Result<_, _>>()?);

    let keys = Keyring::new(vec![FarmKey::new(FARM_KEY)])?;
    let mut config = Config::new(http.to_string(), keys);
    (config.listen, config.peers, config.transport) = (farm?, peers, Transport::Unicast);
    let node = Node::start(config)?;
    node.ready().await;

    let store = Store::new(WebSessions::new(node.cache(), "shop")?);
    let app = move || {
        let lifecycle = PersistentSession::default().session_ttl(Duration::hours(1));
        let sessions = SessionMiddleware::builder(store.clone(), Key::from(&COOKIE_KEY))
            .cookie_secure(false) // Only because this example speaks no TLS.
            .session_lifecycle(lifecycle)
            .build();
        App::new()
            .wrap(sessions)
            .route("/", web::get().to(look))
            .route("/cart/{item}", web::post().to(add))
    };
    HttpServer::new(app).workers(2).bind(http)?.run().await?;
    node.shutdown().await;
    Ok(())
}

async fn look(session: Session) -> Result<String, SessionGetError> {
    let cart: Vec<String> = session.get("cart")?.unwrap_or_default();
    Ok(format!("In your cart: {}\n", cart.join(", ")))
}

async fn add(session: Session, item: web::Path<String>) -> actix_web::Result<String> {
    let mut cart: Vec<String> = session.get("cart")?.unwrap_or_default();
    cart.push(item.into_inner());
    session.insert("cart", cart)?;
    Ok(look(session).await?)
}
