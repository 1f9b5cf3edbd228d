//! The TLS 1.3 record layer of a connection that can go on at another server.
//!
//! Rustls does the handshake; then its secrets are taken over ([`extract`]) and
//! [`Records`] goes on: it opens what the client sends, seals what is sent to
//! it, and answers what TLS itself asks for between (RFC 8446, sections 4.6.3,
//! 5 and 6). There is no socket and no clock here, and nothing of who decides
//! which server goes on: that comes in as an [`Epoch`].
//!
//! An understudy begins with a [`Snapshot`] and follows by [`Event`]s: how far
//! records were opened, and which records were sealed, as they are. What was
//! sent is thus sent again byte for byte. Nothing is sealed twice under one
//! number of one key, as long as what is sealed goes out only after the
//! understudy has it, and one server at most is told of an epoch:
//!
//! - [`Records`] cannot be copied, and handing over takes it;
//! - a snapshot becomes [`Records`] only under a later epoch than that of the
//!   [`Records`] that it came from, and only once.
//!
//! What is opened may be opened again, at any server: the same bytes give the
//! same plaintext.
//!
//! In reading order: `failure` what ends a connection; `keys` secrets and what
//! comes from them; `state` how far it has come; `open` and `seal` the two
//! directions; `snapshot` and `event` what an understudy has; `handshake` the
//! way from rustls to here.

mod event;
mod failure;
mod handshake;
mod keys;
mod open;
mod seal;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

pub use event::{Event, EventError};
pub use failure::{Alert, Failure};
pub use handshake::{ExtractError, Extracted, Inlet, SecretTap, extract};
pub use keys::Suite;
pub use open::MAX_OPEN_BYTES;
pub use seal::SealError;
pub use snapshot::{MAX_SNAPSHOT_BYTES, Snapshot, SnapshotError};
pub use state::Mark;

use open::Opener;
use seal::Sealer;
use state::{Phase, State, Update};

/// Which turn of a connection's owners this is, as the farm agreed on it: no
/// two servers are ever told of the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// A snapshot was to go on under an epoch that is not later than its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{asked:?} is not later than {own:?}, which the connection has had")]
pub struct Fenced {
    /// The epoch that was given.
    pub asked: Epoch,
    /// The epoch of the snapshot's owner.
    pub own: Epoch,
}

/// The record layer of one connection, at the server that owns it.
#[derive(Debug)]
pub struct Records {
    epoch: Epoch,
    state: State,
    opener: Opener,
    sealer: Sealer,
}

impl Records {
    /// Goes on with a connection, under an epoch that this server alone was
    /// told of. The client's bytes are due from [`Snapshot::resume_at`] on.
    ///
    /// # Errors
    ///
    /// [`Fenced`] unless `epoch` is later than the snapshot's own.
    pub fn restore(snapshot: Snapshot, epoch: Epoch) -> Result<Self, Fenced> {
        if epoch <= snapshot.epoch {
            return Err(Fenced { asked: epoch, own: snapshot.epoch });
        }
        Ok(Self::of(snapshot, epoch))
    }

    fn of(snapshot: Snapshot, epoch: Epoch) -> Self {
        let Snapshot { state, receiving, sending, pending, .. } = snapshot;
        let (opener, sealer) = (Opener::new(receiving, pending), Sealer::new(sending));
        Self { epoch, state, opener, sealer }
    }

    /// Takes in the next bytes of the client's, at most [`MAX_OPEN_BYTES`], and
    /// says how many; the plaintext that they complete goes onto the end of
    /// `out`, and is never longer than they and one record together. Once the
    /// client has closed, its bytes are passed over.
    ///
    /// It may have something to be sent ([`Records::wants_flush`]).
    ///
    /// # Errors
    ///
    /// [`Failure`] when the connection cannot go on. What is in `out` then is
    /// good; the alert for the client is there to be flushed.
    pub fn open(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Failure> {
        let State { received, sent } = &mut self.state;
        if received.phase == Phase::Failed {
            return Err(Failure::Over);
        }
        let generation = received.at.generation;
        let mut asks = None;
        let opened = self.opener.open(received, input, out, &mut asks);
        sent.asked &= received.at.generation == generation;
        sent.update = sent.update.or(asks);
        // A client that seals too much under one key is asked to change it.
        if received.at.sequence >= self.opener.suite().records_a_key() && !sent.asked {
            sent.update = Some(Update::Both);
            sent.asked = true;
        }
        opened.inspect_err(|failure| self.fail(*failure))
    }

    fn fail(&mut self, failure: Failure) {
        self.opener.forget();
        let State { received, sent } = &mut self.state;
        received.phase = Phase::Failed;
        sent.update = None;
        if sent.phase == Phase::Open {
            sent.alert = failure.alert();
            if sent.alert.is_none() {
                sent.phase = Phase::Failed;
            }
        }
    }

    /// Seals all of `pieces`, as if they were one, onto the end of `out`, in
    /// records of up to 16 KiB; before them what else is to be sent. What the
    /// event has is to be with the understudy before it goes to the client.
    ///
    /// # Errors
    ///
    /// [`SealError`] when the direction to the client has ended, or is about to
    /// with the next flush; `out` is as it was.
    pub fn seal<'a>(
        &mut self,
        pieces: &[&[u8]],
        out: &'a mut Vec<u8>,
    ) -> Result<Event<'a>, SealError> {
        let start = out.len();
        if self.state.sent.alert.is_some() {
            return Err(SealError::Closed);
        }
        self.sealer.seal(&mut self.state.sent, pieces, out)?;
        Ok(Event::sealed(self.state, &out[start..]))
    }

    /// Seals what TLS has to send by itself: key updates and alerts.
    pub fn flush<'a>(&mut self, out: &'a mut Vec<u8>) -> Event<'a> {
        let start = out.len();
        self.sealer.flush(&mut self.state.sent, out);
        Event::sealed(self.state, &out[start..])
    }

    /// Whether there is something to flush. A key update may wait for the next
    /// data; an alert should not.
    #[must_use]
    pub const fn wants_flush(&self) -> bool {
        self.state.sent.update.is_some() || self.state.sent.alert.is_some()
    }

    /// Ends the direction to the client, with the next flush. The other
    /// direction goes on.
    pub const fn close(&mut self) {
        let sent = &mut self.state.sent;
        if matches!(sent.phase, Phase::Open) && sent.alert.is_none() {
            sent.alert = Some(Alert::CLOSE_NOTIFY);
        }
    }

    /// Changes the keys of both directions, with the next flush.
    pub const fn update_keys(&mut self) {
        self.state.sent.update = Some(Update::Both);
        self.state.sent.asked = true;
    }

    /// How far records were opened, for the understudy. It is told once the
    /// plaintext up to there is where it survives this server, which may be
    /// later than what is sealed meanwhile. It is taken after each
    /// [`Records::open`].
    #[must_use]
    pub const fn opened(&self) -> Event<'static> {
        Event::opened(self.state)
    }

    /// How far the client's records were opened.
    #[must_use]
    pub const fn received(&self) -> Mark {
        self.state.received.at
    }

    /// How far records were sealed for the client.
    #[must_use]
    pub const fn sent(&self) -> Mark {
        self.state.sent.at
    }

    /// Whether the client has ended its direction as it should. A stream that
    /// ends otherwise was cut short.
    #[must_use]
    pub const fn received_close(&self) -> bool {
        matches!(self.state.received.phase, Phase::Closed)
    }

    /// Whether nothing can be sealed any more.
    #[must_use]
    pub const fn sent_close(&self) -> bool {
        !matches!(self.state.sent.phase, Phase::Open)
    }

    /// The epoch that it goes on under.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Lets go of memory that an idle connection has no use for.
    pub fn shrink(&mut self) {
        self.opener.shrink();
    }

    /// What an understudy begins with.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { pending: self.opener.pending().to_vec(), ..self.snapshot_of_whole_records() }
    }

    /// The same, without the beginning of a record whose rest has not come: for
    /// an understudy that has the client's bytes from the last whole record on
    /// anyway. What it becomes is due them again, from [`Records::received`] on.
    #[must_use]
    pub fn snapshot_of_whole_records(&self) -> Snapshot {
        Snapshot {
            epoch: self.epoch,
            state: self.state,
            receiving: self.opener.secret().clone(),
            sending: self.sealer.secret().clone(),
            pending: Vec::new(),
        }
    }

    /// The beginning of a record whose rest has not come.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.opener.pending()
    }

    /// What another server goes on with; nothing is sealed here any more.
    #[must_use]
    pub fn hand_over(self) -> Snapshot {
        self.snapshot()
    }
}
