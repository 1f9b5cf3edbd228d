//! Streams: what the carriers of two nodes tell each other.
//!
//! A stream is a TCP connection with TLS 1.3 in it (`tls`), on which both ends
//! have proven the farm's key (`proof`) and then send frames (`frame`):
//! messages, and pulses that say that there is still somebody. A connection that
//! closes is known at once, a host that is gone after [`SILENCE`]. Nothing here
//! blocks, reads a clock or knows what a message says; the owner of the
//! [`mio::Poll`] says when a socket is ready and what time it is.

mod call;
mod ended;
mod frame;
mod inbox;
mod listener;
mod outbox;
mod proof;
mod tls;

use std::io;
use std::time::Duration;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use proto::keyring::FarmKey;
use proto::time::{Instant, Now};
use proto::wire::link::Introduction;
use segue::Identity;
use sys::recovery;

pub use call::Call;
pub use ended::Ended;
pub use frame::{FRAME_BYTES, Frame};
pub use listener::{Accepted, Listener, MOST_OF_ONE_HOST, MOST_UNPROVEN};
pub use tls::Tls;

use inbox::Inbox;
use listener::Place;
use outbox::Outbox;
use proof::Proof;
use tls::Session;

/// How often either end says that it is there: ten pulses fit into
/// [`SILENCE`], so that one late thread or one lost packet is no silence.
pub const PULSE: Duration = Duration::from_millis(10);
/// After how long without a byte the other end's host is taken for gone. A lost
/// pulse is known by the acknowledgement of the next ones, and sent again well
/// before; the kernel's timer alone would take 200 ms.
pub const SILENCE: Duration = Duration::from_millis(100);
/// How long the handshakes and the proofs may take: a few round trips around the
/// world, with a loss.
pub const PROOF_TIME: Duration = Duration::from_secs(3);

/// One end of a stream.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    session: Session,
    identity: Identity,
    phase: Phase,
    inbox: Inbox,
    outbox: Outbox,
    silence: Duration,
    /// The last time that anything was read; before the proof, when the stream
    /// began.
    heard: Instant,
}

/// How far a stream is.
#[derive(Debug)]
enum Phase {
    /// A called one keeps its place among those who have called.
    Unproven {
        proof: Proof,
        _place: Option<Place>,
    },
    Proven(Proven),
}

#[derive(Debug)]
struct Proven {
    peer: Introduction,
    /// What both ends have proven.
    key: FarmKey,
    pulse_at: Instant,
}

impl Stream {
    /// Calls another node. Nothing has happened yet when this returns.
    ///
    /// # Errors
    ///
    /// When the address cannot be called at all.
    pub fn call(call: &Call, tls: &Tls, identity: Identity, now: Now) -> io::Result<Self> {
        let socket = call.connect()?;
        recovery::hasten(&socket).map_err(|error| error.source)?;
        Ok(Self::new(socket, tls.caller()?, (identity, Proof::caller()), None, now))
    }

    fn called(
        socket: TcpStream,
        (tls, identity): (&Tls, &Identity),
        place: Place,
        now: Now,
    ) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        recovery::hasten(&socket).map_err(|error| error.source)?;
        let told = (identity.clone(), Proof::called());
        Ok(Self::new(socket, tls.called()?, told, Some(place), now))
    }

    fn new(
        socket: TcpStream,
        session: Session,
        (identity, proof): (Identity, Proof),
        place: Option<Place>,
        now: Now,
    ) -> Self {
        Self {
            socket,
            session,
            identity,
            phase: Phase::Unproven { proof, _place: place },
            inbox: Inbox::unproven(),
            outbox: Outbox::default(),
            silence: SILENCE,
            heard: now.instant,
        }
    }

    /// Takes the other end for gone after another time than [`SILENCE`].
    pub const fn gone_after(&mut self, silence: Duration) {
        self.silence = silence;
    }

    /// The socket has become readable or writable: goes on with what waited for
    /// that. What has come is then to be had by [`Stream::poll_frame`].
    ///
    /// # Errors
    ///
    /// When the stream has ended.
    pub fn ready(&mut self, now: Now) -> Result<(), Ended> {
        self.session.ready();
        self.prove(now)?;
        self.flush();
        Ok(())
    }

    /// The next frame, if one is there. To be called until none is: the socket
    /// is not said to be readable again before it was read empty.
    ///
    /// # Errors
    ///
    /// When the stream has ended. What came before is given first.
    pub fn poll_frame(&mut self, now: Now) -> Result<Option<Frame<'_>>, Ended> {
        self.prove(now)?;
        if matches!(self.phase, Phase::Unproven { .. }) {
            return Ok(None);
        }
        let span = loop {
            if let Some(span) = self.inbox.next_frame().map_err(Ended::Malformed)? {
                break span;
            }
            if !self.fill(now)? {
                return Ok(None);
            }
        };
        self.session.has_read_frame();
        Ok(Some(self.inbox.frame(span)))
    }

    /// Whether another frame may be pushed. It may again when
    /// [`Stream::flush`] leaves less.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.peer().is_some() && self.outbox.has_room()
    }

    /// Has `write` append one frame: a message or a reply, with its length. It is
    /// sent by [`Stream::flush`].
    ///
    /// # Panics
    ///
    /// When there is no room, or more is appended than a frame is long.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        assert!(self.has_room(), "the caller asks first");
        self.outbox.push(write);
    }

    /// Sends what the socket takes, and says whether something is left. That goes
    /// on when the socket is writable.
    pub fn flush(&mut self) -> bool {
        self.outbox.flush(&mut self.session, &mut self.socket)
    }

    /// When [`Stream::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        match &self.phase {
            Phase::Unproven { .. } => self.heard + PROOF_TIME,
            Phase::Proven(proven) => proven.pulse_at.min(self.heard + self.silence),
        }
    }

    /// Does what time brings: sends a pulse, finds out that the other end is
    /// gone, or that the key is in the farm's ring no more.
    ///
    /// # Errors
    ///
    /// When the stream has ended.
    pub fn handle_timeout(&mut self, now: Now) -> Result<(), Ended> {
        let Phase::Proven(proven) = &mut self.phase else {
            // What came in time may not have been looked at.
            self.prove(now)?;
            let is_late = self.peer().is_none() && now.instant >= self.heard + PROOF_TIME;
            return if is_late { Err(Ended::Late) } else { Ok(()) };
        };
        if proven.pulse_at <= now.instant {
            proven.pulse_at = now.instant + PULSE;
            let keys = self.identity.keys.borrow();
            if keys.opening(proven.key.id()) != Some(&proven.key) {
                return Err(Ended::Rekeyed);
            }
            drop(keys);
            if self.outbox.has_room() {
                self.outbox.push(|out| frame::put_pulse(now.wall, out));
            }
            self.flush();
        }
        if now.instant >= self.heard + self.silence {
            // This thread may have been the one that was late: what is at the
            // socket, or was not asked for, has been said.
            while self.fill(now)? {}
            if self.inbox.is_full() {
                self.heard = now.instant;
            }
        }
        if now.instant >= self.heard + self.silence { Err(Ended::Silent) } else { Ok(()) }
    }

    /// Who is at the other end, once it has proven that it is of the farm.
    #[must_use]
    pub const fn peer(&self) -> Option<&Introduction> {
        match &self.phase {
            Phase::Proven(proven) => Some(&proven.peer),
            Phase::Unproven { .. } => None,
        }
    }

    /// Reads on, if it can; says whether anything came.
    fn fill(&mut self, now: Now) -> Result<bool, Ended> {
        let read = self.session.read(&mut self.socket, &mut self.inbox);
        let has_read = read.map_err(|ended| self.outbox.explain(ended))?;
        if has_read {
            self.heard = now.instant;
        }
        Ok(has_read)
    }

    /// Goes on with the handshake and the proofs, if they are not done.
    fn prove(&mut self, now: Now) -> Result<(), Ended> {
        while let Phase::Unproven { proof, .. } = &mut self.phase {
            let proven = proof.advance(&mut self.session, &self.identity, &mut self.inbox);
            // A refusal is to be told as well.
            self.outbox.flush(&mut self.session, &mut self.socket);
            if let Some((peer, key)) = proven? {
                self.phase = Phase::Proven(Proven { peer, key, pulse_at: now.instant });
                self.heard = now.instant;
                self.inbox.proven();
                self.outbox.proven();
                self.session.proven();
                return Ok(());
            }
            let read = self.session.read(&mut self.socket, &mut self.inbox);
            if !read.map_err(|ended| self.outbox.explain(ended))? {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Source for Stream {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.socket.register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.socket.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket.deregister(registry)
    }
}

#[cfg(test)]
mod tests;
