//! Carts that several nodes may edit at once.

use std::time::Duration;

use proto::record::{Deadlines, Version};
use proto::state::cart::Lane;
use proto::state::{Cart, StateError, StateId};

use super::{Error, Of, random_id};
use crate::ack::Ack;
use crate::cache::{Cache, Edited};

/// Carts in a farm's cache. Each method gives the cart as it is at this node
/// after the edit, with what is known here of other nodes' edits.
#[derive(Debug, Clone)]
pub struct Carts {
    cache: Cache,
    /// What an edit waits for. With [`Ack::All`], as it is unless it is set, no
    /// edit that was answered is lost with a node.
    pub ack: Ack,
    /// How long a cart is kept: thirty days unless set.
    pub lifetime: Duration,
}

impl Carts {
    /// Carts in a farm's cache.
    #[must_use]
    pub const fn new(cache: Cache) -> Self {
        let lifetime = Duration::from_secs(30 * 24 * 60 * 60);
        Self { cache, ack: Ack::All, lifetime }
    }

    /// Begins an empty cart, and gives its id.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn begin(&self) -> Result<StateId, Error> {
        let id = random_id()?;
        let ends = Deadlines::at(self.cache.now() + self.lifetime);
        let empty = Cart::default().encode();
        self.cache.put(&Of::Cart.key(id.as_bytes()), &empty, ends, self.ack).await?;
        Ok(id)
    }

    /// The cart, if there is one.
    pub async fn get(&self, id: &StateId) -> Option<Cart> {
        let found = self.cache.get(&Of::Cart.key(id.as_bytes())).await?;
        Cart::decode(&found.value).ok()
    }

    /// Puts pieces of an item in.
    ///
    /// # Errors
    ///
    /// [`Error::State`] when there would be too many, [`Error::NotFound`] when
    /// there is no such cart; else [`Error::Write`], and then the edit may have
    /// been made.
    pub async fn add(&self, id: &StateId, sku: &str, pieces: u64) -> Result<Cart, Error> {
        let lane = self.lane();
        self.edit(id, |cart, _| cart.add(sku, pieces, lane)).await
    }

    /// Takes pieces of an item out.
    ///
    /// # Errors
    ///
    /// [`Error::State`] when there are fewer; else as [`Carts::add`].
    pub async fn take(&self, id: &StateId, sku: &str, pieces: u64) -> Result<Cart, Error> {
        let lane = self.lane();
        self.edit(id, |cart, _| cart.take(sku, pieces, lane)).await
    }

    /// Removes an item. What another node adds of it at the same time stays.
    ///
    /// # Errors
    ///
    /// As [`Carts::add`].
    pub async fn remove(&self, id: &StateId, sku: &str) -> Result<Cart, Error> {
        self.edit(id, |cart, version| cart.remove(sku, version).map(|_| ())).await
    }

    /// Sets or, with none, removes an attribute of an item that is in the cart.
    /// Of two nodes that do so at once the later one's stays.
    ///
    /// # Errors
    ///
    /// As [`Carts::add`].
    pub async fn set_attribute(
        &self,
        id: &StateId,
        sku: &str,
        (name, value): (&str, Option<&str>),
    ) -> Result<Cart, Error> {
        self.edit(id, |cart, version| cart.set_attribute(sku, (name, value), version)).await
    }

    /// Removes all items, such as when they have been ordered.
    ///
    /// # Errors
    ///
    /// As [`Carts::add`].
    pub async fn clear(&self, id: &StateId) -> Result<Cart, Error> {
        self.edit(id, |cart, version| cart.clear(version)).await
    }

    /// Ends a cart: no edit of another node revives it.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub async fn end(&self, id: &StateId) -> Result<bool, Error> {
        Ok(self.cache.remove(&Of::Cart.key(id.as_bytes()), self.ack).await?)
    }

    async fn edit(
        &self,
        id: &StateId,
        change: impl FnOnce(&mut Cart, Version) -> Result<(), StateError>,
    ) -> Result<Cart, Error> {
        let mut edited = Cart::default();
        let key = Of::Cart.key(id.as_bytes());
        self.cache
            .edit(&key, self.ack, |found, version| {
                let found = found.ok_or(Error::NotFound)?;
                edited = Cart::decode(&found.value).map_err(|_| Error::Unreadable)?;
                change(&mut edited, version)?;
                Ok::<_, Error>(Edited { value: edited.encode(), deadlines: found.deadlines })
            })
            .await?;
        Ok(edited)
    }

    /// What this start of the node counts by.
    fn lane(&self) -> Lane {
        Lane(self.cache.shared.writer.0)
    }
}
