//! Sessions of web frameworks: what a framework keeps for a visitor, as bytes
//! under a random id.
//!
//! [`WebSessions`] is what stores for frameworks are built on, and it knows of
//! none: bytes come in and go out. With the feature `tower-sessions` the library
//! has the store for axum and whatever else uses that crate, of its release
//! 0.15; with `tower-sessions-0-14` that for axum-login, which uses release
//! 0.14. The one for actix-web is the crate `segue-actix`.
//!
//! ```no_run
//! use segue::web::WebSessions;
//! use segue::{Config, Node};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::start(Config::single("a"))?;
//! node.ready().await;
//! let sessions = WebSessions::new(node.cache(), "shop")?;
//! let in_an_hour = node.cache().now() + Duration::from_secs(3_600);
//! let id = sessions.create(b"cart=mug", in_an_hour).await?;
//!
//! // At whichever node the next request is:
//! let session = sessions.load(&id).await?.expect("it has just begun");
//! assert_eq!(&**session.value, b"cart=mug");
//! sessions.save(&id, b"cart=mug,hat", in_an_hour).await?;
//!
//! // The log-out, and a request that was under way meanwhile.
//! sessions.delete(&id).await?;
//! assert!(sessions.save(&id, b"cart=mug,hat,shoe", in_an_hour).await.is_err());
//! assert!(sessions.load(&id).await?.is_none());
//! # node.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod error;
mod id;
#[cfg(feature = "tower-sessions-both")]
mod tower;

use std::time::Duration;

use proto::record::{Deadlines, Key, Kind, MAX_ID_BYTES, MAX_PAYLOAD_BYTES};
use proto::time::Wall;
use zeroize::Zeroizing;

#[cfg(feature = "tower-sessions")]
pub use self::tower::tower_sessions;
#[cfg(feature = "tower-sessions-0-14")]
pub use self::tower::tower_sessions_0_14;
pub use error::Error;
pub use id::WebId;

use crate::ack::Ack;
use crate::cache::{Cache, Edited, Found};
use crate::error::WriteError;

/// What a session's value begins with: something that no other value of a
/// record of kind `auth` begins with, so that it is never taken for one that
/// joins; and the schema.
const MARK: [u8; 3] = [0xc0, b'W', 1];
/// The mark, and then when the session was to end, in milliseconds.
const HEAD_BYTES: usize = MARK.len() + 8;
/// The first byte of a record's id: that of no login or index, which are of the
/// same kind.
const WEB: u8 = b'w';
/// The most that is kept for a session, in bytes: what a record has room for.
/// Each save sends all of it to every node.
pub const MAX_SESSION_BYTES: usize = MAX_PAYLOAD_BYTES - HEAD_BYTES;
/// The longest name of an application, in bytes: what a record's id has room for
/// beside a session's.
pub const MAX_APPLICATION_BYTES: usize = MAX_ID_BYTES - 1 - WebId::BYTES;
/// How often a new id is drawn before that is given up: if one of 2^128 was
/// there already, the generator is broken.
const DRAWS: usize = 4;

/// The web sessions of an application.
///
/// - **An id is made here**, by [`WebSessions::create`], and finds nothing
///   before: [`WebSessions::save`] begins no session.
/// - **A log-out wins.** What [`WebSessions::delete`] has ended stays ended at
///   every node, whatever is saved by requests that were under way.
/// - **What one node has written, every other one reads**, as long as `ack` is
///   [`Ack::All`]. Of two saves at once the later one stays.
/// - **A session ends** when its last save or touch has said, and at the latest
///   with its `lifetime`.
#[derive(Debug, Clone)]
pub struct WebSessions {
    cache: Cache,
    application: Box<str>,
    /// What a write waits for. With [`Ack::All`], as it is unless it is set, any
    /// live node knows of a write that was answered.
    pub ack: Ack,
    /// After how long a session ends that is used again and again: thirty days
    /// unless set. One that begins with a later end has that. A log-out is
    /// remembered for as long, in some hundred bytes.
    pub lifetime: Duration,
}

/// A session that lives.
#[derive(Clone)]
pub struct Loaded {
    /// What was saved; overwritten when it is dropped.
    pub value: Zeroizing<Vec<u8>>,
    /// When it ends, unless it is saved or touched again.
    pub ends: Wall,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("bytes", &self.value.len())
            .field("ends", &self.ends)
            .finish()
    }
}

impl WebSessions {
    /// The sessions of the application of that name in a farm's cache. No
    /// application finds what another one of the farm has begun.
    ///
    /// # Errors
    ///
    /// [`Error::Application`] when the name is empty or too long.
    pub fn new(cache: Cache, application: &str) -> Result<Self, Error> {
        let found = application.len();
        if found == 0 || found > MAX_APPLICATION_BYTES {
            return Err(Error::Application { found });
        }
        let lifetime = Duration::from_secs(30 * 24 * 60 * 60);
        Ok(Self { cache, application: application.into(), ack: Ack::All, lifetime })
    }

    /// The time of day that ends of sessions are told by.
    #[must_use]
    pub fn now(&self) -> Wall {
        self.cache.now()
    }

    /// Begins a session that ends then, and gives its id. Where that time has
    /// passed, it has ended already.
    ///
    /// # Errors
    ///
    /// [`Error`]; nobody has the id then.
    pub async fn create(&self, value: &[u8], ends: Wall) -> Result<WebId, Error> {
        let value = encode(value, ends)?;
        for _ in 0..DRAWS {
            let id = WebId::random()?;
            let (key, now) = (self.key(&id), self.now());
            if self.cache.inspect(&key, |_| ()).is_some() {
                continue;
            }
            if ends <= now {
                return Ok(id);
            }
            let absolute = ends.max(now + self.lifetime);
            let deadlines = Deadlines { idle: ends, absolute };
            self.cache.put(&key, &value, deadlines, self.ack).await?;
            return Ok(id);
        }
        Err(Error::Random)
    }

    /// The session, if it lives.
    ///
    /// # Errors
    ///
    /// [`Error::Unreadable`].
    pub async fn load(&self, id: &WebId) -> Result<Option<Loaded>, Error> {
        let found = self.cache.get(&self.key(id)).await;
        found.map(|found| decode(&found)).transpose()
    }

    /// Writes what a session that lives has become, and when it ends. Where that
    /// time has passed, it ends.
    ///
    /// # Errors
    ///
    /// [`Error::LoggedOut`] when it was deleted: whoever deleted it wants nothing
    /// of it kept, so most callers take that for done. [`Error::Gone`] when it
    /// does not live otherwise. Else [`Error`]; after
    /// [`WriteError::Unacknowledged`] it may have been written.
    pub async fn save(&self, id: &WebId, value: &[u8], ends: Wall) -> Result<(), Error> {
        let value = encode(value, ends)?;
        if ends <= self.now() {
            return self.delete(id).await.map(drop);
        }
        let edit = |found: Option<&Found>, _| {
            let absolute = found.ok_or(Error::Gone)?.deadlines.absolute;
            let deadlines = Deadlines { idle: ends.min(absolute), absolute };
            Ok(Edited { value, deadlines })
        };
        let key = self.key(id);
        match self.cache.edit(&key, self.ack, edit).await {
            Ok(_) => Ok(()),
            Err(Error::Write(WriteError::Deleted)) => Err(Error::LoggedOut),
            Err(Error::Gone) if self.cache.deleted(&key).is_some() => Err(Error::LoggedOut),
            Err(error) => Err(error),
        }
    }

    /// Has a session that lives end then, its value as it is.
    ///
    /// # Errors
    ///
    /// As [`WebSessions::save`].
    pub async fn touch(&self, id: &WebId, ends: Wall) -> Result<(), Error> {
        let key = self.key(id);
        let Some(found) = self.cache.get(&key).await else {
            let was_deleted = self.cache.deleted(&key).is_some();
            return Err(if was_deleted { Error::LoggedOut } else { Error::Gone });
        };
        // A touch only puts an end off. To bring it forward is a write.
        if ends < found.deadlines.idle {
            return self.save(id, &decode(&found)?.value, ends).await;
        }
        let idle = ends.min(found.deadlines.absolute);
        match self.cache.touch(&key, idle, self.ack).await {
            Ok(_) => Ok(()),
            Err(WriteError::NotFound) => Err(Error::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends a session for good, at every node. Gives whether it lived; to end one
    /// that does not is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub async fn delete(&self, id: &WebId) -> Result<bool, Error> {
        Ok(self.cache.remove(&self.key(id), self.ack).await?)
    }

    fn key(&self, id: &WebId) -> Key {
        let id = [&[WEB], &id.as_bytes()[..], self.application.as_bytes()].concat();
        // Kind `auth`, not `web`: ids are never given twice, so a delete is final.
        Key::new(Kind::Auth, &id).expect("the application's name was measured")
    }
}

/// A record's payload. The end stands in it so that a save that only brings it
/// forward is another value, and no touch, which could only put it off.
fn encode(value: &[u8], ends: Wall) -> Result<Zeroizing<Vec<u8>>, Error> {
    let found = value.len();
    if found > MAX_SESSION_BYTES {
        return Err(Error::TooLarge { found });
    }
    let mut payload = Zeroizing::new(Vec::with_capacity(HEAD_BYTES + found));
    payload.extend(MARK);
    payload.extend(ends.as_millis().to_be_bytes());
    payload.extend(value);
    Ok(payload)
}

fn decode(found: &Found) -> Result<Loaded, Error> {
    let value = value_of(&found.value).ok_or(Error::Unreadable)?;
    Ok(Loaded { value: Zeroizing::new(value.to_vec()), ends: found.deadlines.idle })
}

fn value_of(payload: &[u8]) -> Option<&[u8]> {
    payload.strip_prefix(&MARK)?.get(HEAD_BYTES - MARK.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_whole_or_not_at_all() {
        let payload = encode(b"cart=mug", Wall::from_millis(7)).unwrap();
        assert_eq!(value_of(&payload), Some(&b"cart=mug"[..]));
        for end in 0..HEAD_BYTES {
            assert_eq!(value_of(&payload[..end]), None);
        }
        for at in 0..MARK.len() {
            let mut other = payload.clone();
            other[at] ^= 1;
            assert_eq!(value_of(&other), None, "byte {at}");
        }
        assert!(encode(&vec![0; MAX_SESSION_BYTES], Wall::MAX).is_ok());
        let found = MAX_SESSION_BYTES + 1;
        let large = encode(&vec![0; found], Wall::MAX);
        assert!(matches!(large, Err(Error::TooLarge { found: it }) if it == found));
    }

    #[test]
    fn no_session_is_taken_for_a_value_that_joins() {
        let payload = encode(&proto::state::Index::default().encode(), Wall::MAX).unwrap();
        assert!(proto::state::Index::decode(&payload).is_err());
        assert!(proto::state::Auth::decode(&payload).is_err());
    }
}
