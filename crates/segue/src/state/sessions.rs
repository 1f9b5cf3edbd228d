//! Logins by a random id, and all of a user's by his name.

use std::time::Duration;

use proto::record::{Deadlines, Key};
use proto::state::index::Entry;
use proto::state::{Auth, Index, StateError, StateId};
use proto::time::Wall;

use super::{Error, Of, random_id};
use crate::ack::Ack;
use crate::cache::{Cache, Edited, Found};

/// The sessions of an application's users.
///
/// A session's id is made by [`Sessions::begin`] and by nothing else, and is
/// another one after each change of rights ([`Sessions::rotate`]): who made a
/// visitor use an id that he knows has nothing of it.
///
/// A session ends by [`Sessions::end`], with all others of its user by
/// [`Sessions::end_all`], after some time without use, and at last in any case.
/// Of two servers of which one ends a session and the other one gives it another
/// id at the same moment, both may have done so; `end_all` leaves none.
#[derive(Debug, Clone)]
pub struct Sessions {
    cache: Cache,
    /// What the beginning and the end of a session wait for. With
    /// [`Ack::All`], as it is unless it is set, no live node knows less.
    pub ack: Ack,
    /// After how long without use a session ends: half an hour unless set.
    pub idle: Duration,
    /// After how long it ends in any case: twelve hours unless set.
    pub lifetime: Duration,
}

impl Sessions {
    /// Sessions in a farm's cache.
    #[must_use]
    pub const fn new(cache: Cache) -> Self {
        let (idle, lifetime) = (Duration::from_secs(30 * 60), Duration::from_secs(12 * 60 * 60));
        Self { cache, ack: Ack::All, idle, lifetime }
    }

    /// Begins a session, and gives its id.
    ///
    /// # Errors
    ///
    /// [`Error`]; after [`crate::WriteError::Unacknowledged`] the session may
    /// live, but nobody has its id.
    pub async fn begin(&self, mut auth: Auth) -> Result<StateId, Error> {
        let id = random_id()?;
        let now = self.cache.now();
        (auth.idle, auth.ends) = (self.idle, now + self.lifetime);
        let mut order = auth.order;
        self.edit_index(auth.subject(), |index| {
            order = index.next_order(now);
            index.add(Entry { order, ends: auth.ends, id }, now);
        })
        .await?;
        auth.order = order;
        let deadlines = deadlines(&auth, now);
        self.cache
            .put(&Of::Session.key(id.as_bytes()), &auth.encode(), deadlines, self.ack)
            .await?;
        Ok(id)
    }

    /// The login of a session that lives. This is no use of it: that is
    /// [`Sessions::touch`].
    pub async fn get(&self, id: &StateId) -> Option<Auth> {
        let found = self.cache.get(&Of::Session.key(id.as_bytes())).await?;
        let auth = Auth::decode(&found.value).ok()?;
        let index = self.index(auth.subject()).await;
        let has_ended = index.is_some_and(|index| index.has_ended(auth.order));
        (!has_ended).then_some(auth)
    }

    /// Notes that a session is used, which puts off its end.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when it does not live; else [`Error::Write`].
    pub async fn touch(&self, id: &StateId) -> Result<(), Error> {
        let auth = self.get(id).await.ok_or(Error::NotFound)?;
        let idle = deadlines(&auth, self.cache.now()).idle;
        self.cache.touch(&Of::Session.key(id.as_bytes()), idle, Ack::Local).await?;
        Ok(())
    }

    /// Changes a login, and gives the session another id: the old one is dead
    /// from then on.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when the session does not live, those of `change`,
    /// and as [`Sessions::begin`].
    pub async fn rotate(
        &self,
        id: &StateId,
        change: impl FnOnce(&mut Auth) -> Result<(), StateError>,
    ) -> Result<StateId, Error> {
        let mut auth = self.get(id).await.ok_or(Error::NotFound)?;
        change(&mut auth)?;
        let (new, now) = (random_id()?, self.cache.now());
        // Its place stays: whatever ends the session ends it under either id.
        let entry = Entry { order: auth.order, ends: auth.ends, id: new };
        self.edit_index(auth.subject(), |index| index.add(entry, now)).await?;
        let keys = (&Of::Session.key(id.as_bytes()), &Of::Session.key(new.as_bytes()));
        let edited = Edited { value: auth.encode(), deadlines: deadlines(&auth, now) };
        self.cache.replace(keys, &edited, self.ack).await?;
        Ok(new)
    }

    /// Ends a session. Gives whether it lived.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub async fn end(&self, id: &StateId) -> Result<bool, Error> {
        Ok(self.cache.remove(&Of::Session.key(id.as_bytes()), self.ack).await?)
    }

    /// Ends all sessions of a user, also those that other nodes are beginning.
    /// Gives how many lived. He can log in again at once.
    ///
    /// # Errors
    ///
    /// As [`Sessions::begin`].
    pub async fn end_all(&self, user: &str) -> Result<usize, Error> {
        let (now, mut ids) = (self.cache.now(), Vec::new());
        self.edit_index(user, |index| {
            ids.extend(index.sessions(now).map(|entry| entry.id));
            index.end_all(now);
        })
        .await?;
        // They are over by the index; so they are for who knows nothing of it.
        let mut lived = 0;
        for id in &ids {
            let removed = self.cache.remove(&Of::Session.key(id.as_bytes()), Ack::Local).await?;
            lived += usize::from(removed);
        }
        Ok(lived)
    }

    /// The sessions of a user that live, oldest first.
    pub async fn list(&self, user: &str) -> Vec<(StateId, Auth)> {
        let now = self.cache.now();
        let mut sessions = Vec::new();
        for entry in self.index(user).await.iter().flat_map(|index| index.sessions(now)) {
            sessions.extend(self.get(&entry.id).await.map(|auth| (entry.id, auth)));
        }
        sessions
    }

    async fn index(&self, user: &str) -> Option<Index> {
        let found = self.cache.get(&index_key(user)).await?;
        Index::decode(&found.value).ok()
    }

    async fn edit_index(&self, user: &str, change: impl FnOnce(&mut Index)) -> Result<(), Error> {
        let ends = self.cache.now() + self.lifetime;
        let edit = |found: Option<&Found>, _| {
            let decode = |found: &Found| Index::decode(&found.value);
            let index = found.map(decode).transpose().map_err(|_| Error::Unreadable)?;
            let mut index = index.unwrap_or_default();
            change(&mut index);
            // It lives as long as the session in it that lives longest.
            let ends = found.map_or(ends, |found| found.deadlines.absolute.max(ends));
            Ok(Edited { value: index.encode(), deadlines: Deadlines::at(ends) })
        };
        self.cache.edit(&index_key(user), self.ack, edit).await.map(|_| ())
    }
}

fn index_key(user: &str) -> Key {
    Of::Index.key(&Index::name(user))
}

/// When a session ends that is used now.
fn deadlines(auth: &Auth, now: Wall) -> Deadlines {
    Deadlines { idle: (now + auth.idle).min(auth.ends), absolute: auth.ends }
}
