//! A shop on axum whose visitors keep their carts when a server goes away.
//!
//! ```sh
//! cargo run -p segue --example axum -- 127.0.0.1:8001 127.0.0.1:7001
//! cargo run -p segue --example axum -- 127.0.0.1:8002 127.0.0.1:7002 127.0.0.1:7001
//!
//! curl --cookie-jar cookies --cookie cookies --request POST 127.0.0.1:8001/cart/mug
//! # Stop the first one, then:
//! curl --cookie-jar cookies --cookie cookies 127.0.0.1:8002
//! ```

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use segue::web::WebSessions;
use segue::web::tower_sessions::Store;
use segue::{Config, FarmKey, Keyring, Node, Transport};
use time::Duration;
use tower_sessions::session::Error as SessionError;
use tower_sessions::{Expiry, Session, SessionManagerLayer};

/// Every server of the farm has this secret. Yours comes from a file.
const FARM_KEY: [u8; 32] = *b"an example's key is no secret...";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut addresses = std::env::args().skip(1).map(|text| text.parse::<SocketAddr>());
    let (Some(http), Some(farm)) = (addresses.next(), addresses.next()) else {
        return Err("usage: axum HTTP-ADDRESS FARM-ADDRESS [PEER]...".into());
    };
    let (http, peers) = (http?, addresses.collect::<Result<_, _>>()?);

    let keys = Keyring::new(vec![FarmKey::new(FARM_KEY)])?;
    let mut config = Config::new(http.to_string(), keys);
    (config.listen, config.peers, config.transport) = (farm?, peers, Transport::Unicast);
    let node = Node::start(config)?;
    node.ready().await;

    let store = Store::new(WebSessions::new(node.cache(), "shop")?);
    let sessions = SessionManagerLayer::new(store)
        .with_secure(false) // Only because this example speaks no TLS.
        .with_expiry(Expiry::OnInactivity(Duration::hours(1)));
    let app = Router::new().route("/", get(look)).route("/cart/{item}", post(add)).layer(sessions);

    let listener = tokio::net::TcpListener::bind(http).await?;
    let stop = async {
        // Whatever comes of it, this was the wish to stop.
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    node.shutdown().await;
    Ok(())
}

async fn look(session: Session) -> Result<String, Failed> {
    let cart: Vec<String> = session.get("cart").await?.unwrap_or_default();
    Ok(format!("In your cart: {}\n", cart.join(", ")))
}

async fn add(session: Session, Path(item): Path<String>) -> Result<String, Failed> {
    let mut cart: Vec<String> = session.get("cart").await?.unwrap_or_default();
    cart.push(item);
    session.insert("cart", cart).await?;
    look(session).await
}

/// A session that cannot be read is no fault of who asks.
struct Failed(SessionError);

impl From<SessionError> for Failed {
    fn from(error: SessionError) -> Self {
        Self(error)
    }
}

impl axum::response::IntoResponse for Failed {
    fn into_response(self) -> axum::response::Response {
        (axum::http::StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}
