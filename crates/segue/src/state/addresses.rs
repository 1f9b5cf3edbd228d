//! Postal addresses, each under an id of its own.

use std::time::Duration;

use proto::record::Deadlines;
use proto::state::{Address, StateId};

use super::{Error, Of, random_id};
use crate::ack::Ack;
use crate::cache::{Cache, Edited};

/// Addresses in a farm's cache. Of two nodes that change one at once the later
/// one's stays.
///
/// ```
/// use segue::state::{Address, AddressForm, Addresses};
/// # use segue::{Config, Node};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = Node::start(Config::single("a"))?;
/// # node.ready().await;
/// let addresses = Addresses::new(node.cache());
/// let address = Address::new(&AddressForm {
///     name: "Ada Lovelace",
///     lines: &["12 St James's Square"],
///     city: "London",
///     region: "",
///     postcode: "SW1Y 4JH",
///     country: "GB",
/// })?;
/// let id = addresses.add(&address).await?;
/// assert_eq!(addresses.get(&id).await, Some(address));
/// # node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Addresses {
    cache: Cache,
    /// What a write waits for: [`Ack::All`] unless it is set.
    pub ack: Ack,
    /// How long an address is kept: thirty days unless set.
    pub lifetime: Duration,
}

impl Addresses {
    /// Addresses in a farm's cache.
    #[must_use]
    pub const fn new(cache: Cache) -> Self {
        let lifetime = Duration::from_secs(30 * 24 * 60 * 60);
        Self { cache, ack: Ack::All, lifetime }
    }

    /// Keeps an address, and gives its id.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn add(&self, address: &Address) -> Result<StateId, Error> {
        let id = random_id()?;
        let ends = Deadlines::at(self.cache.now() + self.lifetime);
        let key = Of::Address.key(id.as_bytes());
        self.cache.put(&key, &address.encode(), ends, self.ack).await?;
        Ok(id)
    }

    /// The address, if there is one.
    pub async fn get(&self, id: &StateId) -> Option<Address> {
        let found = self.cache.get(&Of::Address.key(id.as_bytes())).await?;
        Address::decode(&found.value).ok()
    }

    /// Writes another address in the place of one that is there.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when none is; else [`Error::Write`].
    pub async fn replace(&self, id: &StateId, address: &Address) -> Result<(), Error> {
        let key = Of::Address.key(id.as_bytes());
        self.cache
            .edit(&key, self.ack, |found, _| {
                let deadlines = found.ok_or(Error::NotFound)?.deadlines;
                Ok::<_, Error>(Edited { value: address.encode(), deadlines })
            })
            .await?;
        Ok(())
    }

    /// Removes an address. Gives whether there was one.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub async fn remove(&self, id: &StateId) -> Result<bool, Error> {
        Ok(self.cache.remove(&Of::Address.key(id.as_bytes()), self.ack).await?)
    }
}
