//! A shop on axum whose sessions tower-sessions-redis-store keeps: `shop URL`

use std::collections::HashMap;
use std::error::Error;

use axum::Router;
use axum::extract::Query;
use axum::routing::{get, post};
use fred::prelude::{ClientLike, Config, Pool, ReconnectPolicy};
use tower_sessions::cookie::time::Duration;
use tower_sessions::session::Error as SessionError;
use tower_sessions::{Expiry, Session, SessionManagerLayer};
use tower_sessions_redis_store::RedisStore;

/// What went wrong with a session is the server's fault.
type Answer = Result<String, String>;
type Parameters = Query<HashMap<String, String>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("shop URL")?;
    // Without a policy it may wait for ever for a node that was lost.
    let again = ReconnectPolicy::default();
    let pool = Pool::new(Config::from_url(&url)?, None, None, Some(again), 2)?;
    pool.init().await?;

    let sessions = SessionManagerLayer::new(RedisStore::new(pool))
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(Duration::minutes(10)));
    let shop = Router::new()
        .route("/", get(tell))
        .route("/login", post(login))
        .route("/add", post(add))
        .route("/logout", post(logout))
        .layer(sessions);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, shop).await?)
}

async fn tell(session: Session) -> Answer {
    async {
        let user: Option<String> = session.get("user").await?;
        let cart: Vec<String> = session.get("cart").await?.unwrap_or_default();
        let told = user.map(|user| format!("{user}: {}", cart.join(" ")));
        Ok(told.unwrap_or_else(|| "nobody".to_owned()))
    }
    .await
    .map_err(|error: SessionError| error.to_string())
}

async fn login(session: Session, Query(mut parameters): Parameters) -> Answer {
    let user = parameters.remove("user").unwrap_or_default();
    let said = async {
        session.cycle_id().await?;
        session.insert("user", user).await?;
        session.insert("cart", Vec::<String>::new()).await
    };
    said.await.map_err(|error: SessionError| error.to_string())?;
    tell(session).await
}

async fn add(session: Session, Query(mut parameters): Parameters) -> Answer {
    let said = async {
        let mut cart: Vec<String> = session.get("cart").await?.unwrap_or_default();
        cart.extend(parameters.remove("item"));
        session.insert("cart", cart).await
    };
    said.await.map_err(|error: SessionError| error.to_string())?;
    tell(session).await
}

async fn logout(session: Session) -> Answer {
    session.flush().await.map_err(|error| error.to_string())?;
    tell(session).await
}
