//! A gateway while it runs, whatever it speaks: its doors, how they are renewed
//! and how they are closed.

use std::sync::Arc;

use tokio::sync::watch;

use super::encrypted::Encryption;
use super::listener::{self, Door, Host, Listen, StartError};

/// What all connections of a gateway share, as far as others look at it.
pub(crate) trait Service {
    /// What it counts.
    type Figures;

    /// What it has done so far.
    fn figures(&self) -> Self::Figures;
}

/// A running gateway. Dropped, it closes its connections.
#[derive(Debug)]
pub(crate) struct Gateway<S> {
    shared: Arc<S>,
    /// False once connections are to end.
    open: watch::Sender<bool>,
    addresses: Vec<String>,
    /// Where TLS is spoken.
    encrypted: Vec<(Vec<Listen>, Encryption)>,
}

impl<S: Service> Gateway<S> {
    /// Listens at every door, and serves from then on.
    ///
    /// # Errors
    ///
    /// [`StartError`] when an address cannot be listened on.
    pub(super) fn open<H: Host>(shared: Arc<S>, doors: Vec<Door<H>>) -> Result<Self, StartError> {
        let mut opened = Vec::new();
        let mut encrypted = Vec::new();
        for door in doors {
            let listeners = listener::open(&door.listen)?;
            encrypted.extend(door.tls.iter().map(|tls| (door.listen.clone(), tls.clone())));
            let door = Arc::new(door);
            opened.extend(listeners.into_iter().map(|listener| (listener, Arc::clone(&door))));
        }
        let addresses = opened.iter().map(|(listener, _)| listener.name()).collect();
        let (open, is_open) = watch::channel(true);
        for (listener, door) in opened {
            tokio::spawn(listener.serve(door, is_open.clone()));
        }
        Ok(Self { shared, open, addresses, encrypted })
    }

    /// Where it listens, with the ports that the kernel chose.
    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// What it has done so far.
    pub(crate) fn figures(&self) -> S::Figures {
        self.shared.figures()
    }

    /// Shows what was read anew to clients that come from now on, where
    /// listeners are as they were.
    pub(crate) fn renew<'e>(
        &self,
        read: impl Iterator<Item = (&'e [Listen], Option<&'e Encryption>)>,
    ) {
        for (listen, tls) in read {
            let its = self.encrypted.iter().find(|(place, _)| *place == listen);
            if let (Some((_, shown)), Some(tls)) = (its, tls) {
                shown.renew(tls);
            }
        }
    }

    /// Ends all connections, each after the commands that it is at.
    pub(crate) fn shut_down(&self) {
        self.open.send_replace(false);
    }

    /// Tells when connections are to end.
    pub(super) fn is_open(&self) -> watch::Receiver<bool> {
        self.open.subscribe()
    }
}
