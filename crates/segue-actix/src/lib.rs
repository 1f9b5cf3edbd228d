//! Keeps the sessions of actix-web in a farm's cache: any node goes on with what
//! another one has begun.
//!
//! A crate of its own, and no feature of `segue`: nobody else builds actix.
//!
//! ```no_run
//! use actix_session::SessionMiddleware;
//! use actix_web::cookie::Key;
//! use actix_web::{App, HttpServer};
//! use segue::web::WebSessions;
//! use segue::{Config, Node};
//! use segue_actix::Store;
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = Node::start(Config::single("a"))?;
//!     node.ready().await;
//!     let store = Store::new(WebSessions::new(node.cache(), "shop")?);
//!     // Every node of the farm has the same key: it signs the cookies.
//!     let key = Key::generate();
//!     let app = move || {
//!         App::new().wrap(SessionMiddleware::new(store.clone(), key.clone()))
//!     };
//!     HttpServer::new(app).bind("127.0.0.1:8080")?.run().await?;
//!     node.shutdown().await;
//!     Ok(())
//! }
//! ```

use std::collections::{BTreeMap, HashMap};

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_web::cookie::time::Duration;
use anyhow::anyhow;
use segue::Wall;
use segue::web::{Error, Loaded, WebId, WebSessions};
use zeroize::Zeroizing;

/// What a session has for an application, as actix-session has it.
type Data = HashMap<String, String>;

/// Keeps sessions in a farm's cache.
///
/// - `save` begins a session under a key of its own making: 32 hexadecimal
///   digits, of 128 random bits. What has another shape is no session's, and
///   nothing is looked up for it.
/// - `update` writes to sessions that live, under the same key. For one that was
///   deleted it does nothing, as if it had come before; one that has ended
///   otherwise is an error. It never goes on under another key, as other stores
///   do: a request that was under way during the log-out would log in again.
/// - `update_ttl` of a session that does not live does nothing.
/// - `delete` is final, at every node, and may be repeated.
/// - A session ends with the time to live that it was last given, and with
///   [`WebSessions::lifetime`] in any case.
#[derive(Debug, Clone)]
pub struct Store(WebSessions);

impl Store {
    /// The store that keeps its sessions there.
    #[must_use]
    pub const fn new(sessions: WebSessions) -> Self {
        Self(sessions)
    }

    /// When what has so long to live ends.
    fn ends(&self, ttl: &Duration) -> Wall {
        // None and less is now.
        self.0.now() + std::time::Duration::try_from(*ttl).unwrap_or_default()
    }
}

impl SessionStore for Store {
    async fn load(&self, key: &SessionKey) -> Result<Option<Data>, LoadError> {
        let Some(id) = WebId::parse(key.as_ref()) else { return Ok(None) };
        let loaded = self.0.load(&id).await.map_err(|error| LoadError::Other(error.into()))?;
        let data = |Loaded { value, .. }: Loaded| {
            serde_json::from_slice(&value).map_err(|error| LoadError::Deserialization(error.into()))
        };
        loaded.map(data).transpose()
    }

    async fn save(&self, data: Data, ttl: &Duration) -> Result<SessionKey, SaveError> {
        let value = bytes(&data).map_err(|error| SaveError::Serialization(error.into()))?;
        let begun = self.0.create(&value, self.ends(ttl)).await;
        let id = begun.map_err(|error| SaveError::Other(error.into()))?;
        SessionKey::try_from(id.to_text()).map_err(|error| SaveError::Other(error.into()))
    }

    async fn update(
        &self,
        key: SessionKey,
        data: Data,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        let value = bytes(&data).map_err(|error| UpdateError::Serialization(error.into()))?;
        let id = WebId::parse(key.as_ref()).ok_or_else(|| {
            UpdateError::Other(anyhow!("the session's key is none of this store's"))
        })?;
        match self.0.save(&id, &value, self.ends(ttl)).await {
            Ok(()) | Err(Error::LoggedOut) => Ok(key),
            Err(error) => Err(UpdateError::Other(error.into())),
        }
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        let Some(id) = WebId::parse(key.as_ref()) else { return Ok(()) };
        match self.0.touch(&id, self.ends(ttl)).await {
            Ok(()) | Err(Error::LoggedOut | Error::Gone) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        let Some(id) = WebId::parse(key.as_ref()) else { return Ok(()) };
        Ok(self.0.delete(&id).await.map(drop)?)
    }
}

/// Data as JSON. Equal data are equal bytes.
fn bytes(data: &Data) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    let sorted: BTreeMap<_, _> = data.iter().collect();
    serde_json::to_vec(&sorted).map(Zeroizing::new)
}
