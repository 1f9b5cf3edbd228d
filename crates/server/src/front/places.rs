//! The places of a front's connections: how many there may be, and how many are
//! taken.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// A front's places.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    /// Counted apart from the free ones: whoever waits for several of a semaphore's
    /// permits has those that are there already, and they would count as taken.
    taken: Arc<watch::Sender<usize>>,
}

/// A connection's place, for as long as this is kept.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<watch::Sender<usize>>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(most: u32) -> Self {
        let free = Arc::new(Semaphore::new(most as usize));
        Self { free, taken: Arc::new(watch::Sender::new(0)) }
    }

    /// Takes a place as soon as there is one.
    pub(super) async fn take(&self) -> Place {
        let free = Arc::clone(&self.free);
        let permit = free.acquire_owned().await.expect("the semaphore is never closed");
        self.taken.send_modify(|taken| *taken += 1);
        Place { taken: Arc::clone(&self.taken), _permit: permit }
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        *self.taken.borrow()
    }

    /// Waits until none is.
    pub(super) async fn until_none_is_taken(&self) {
        let mut taken = self.taken.subscribe();
        taken.wait_for(|&taken| taken == 0).await.expect("the sender is kept here");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.send_modify(|taken| *taken -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::Places;

    #[tokio::test]
    async fn who_waits_for_the_last_to_go_takes_no_place() {
        let places = Places::new(3);
        let place = places.take().await;
        let mut waiting = pin!(places.until_none_is_taken());
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        assert_eq!(places.taken(), 1);
        drop(place);
        waiting.await;
        assert_eq!(places.taken(), 0);
    }
}
