//! Streams: what the carriers of two nodes tell each other.
//!
//! A stream is a TCP connection (`pipe`) with TLS 1.3 in it (`tls`), on which both
//! ends prove the farm's key (`proof`). Then they send frames, sealed by keys that
//! TLS has exported ([`proto::connection::sealed`]): messages, and pulses that say
//! that there is still somebody. A connection that closes is known at once, a host that is gone after [`SILENCE`]. Nothing here
//! blocks, reads a clock or knows what a message says; the owner of the
//! [`mio::Poll`] says when a socket is ready and what time it is.

mod call;
mod ended;
mod inbox;
mod listener;
mod pipe;
mod proof;
mod tls;

use std::io;
use std::time::Duration;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use proto::connection::frame;
use proto::connection::sealed::{Opener, Sealer};
use proto::keyring::FarmKey;
use proto::proof::Side;
use proto::time::{Instant, Now};
use proto::wire::Malformed;
use proto::wire::link::Introduction;
use segue::Identity;
use sys::recovery;

pub use call::Call;
pub use ended::Ended;
pub use listener::{Accepted, Listener, MOST_OF_ONE_HOST, MOST_UNPROVEN};
pub use proto::connection::frame::{FRAME_BYTES, Frame};
pub use tls::Tls;

use inbox::Inbox;
use listener::Place;
use pipe::Pipe;
use proof::Proof;
use tls::{Purpose, Session};

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
    pipe: Pipe,
    identity: Identity,
    phase: Phase,
    silence: Duration,
    /// The last time that anything was read; before the proof, when the stream
    /// began.
    heard: Instant,
}

/// How far a stream is.
#[derive(Debug)]
enum Phase {
    Unproven(Box<Unproven>),
    Proven(Box<Proven>),
}

#[derive(Debug)]
struct Unproven {
    proof: Proof,
    session: Session,
    inbox: Inbox,
    /// A called one keeps its place among those who have called.
    _place: Option<Place>,
}

#[derive(Debug)]
struct Proven {
    peer: Introduction,
    /// What both ends have proven.
    key: FarmKey,
    pulse_at: Instant,
    sealer: Sealer,
    opener: Opener,
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
        let unproven = Unproven { proof, session, inbox: Inbox::new(), _place: place };
        Self {
            pipe: Pipe::new(socket),
            identity,
            phase: Phase::Unproven(Box::new(unproven)),
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
        self.pipe.ready();
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
        let Phase::Proven(proven) = &mut self.phase else { return Ok(None) };
        let span = loop {
            if let Some(span) = proven.opener.next_frame()? {
                break span;
            }
            let len = self.pipe.read(proven.opener.room())?;
            if len == 0 {
                return Ok(None);
            }
            proven.opener.received(len);
            self.heard = now.instant;
        };
        Ok(Some(proven.opener.frame(span)))
    }

    /// Whether another frame may be pushed. It may again when
    /// [`Stream::flush`] leaves less.
    #[must_use]
    pub fn has_room(&self) -> bool {
        matches!(&self.phase, Phase::Proven(proven) if proven.sealer.has_room())
    }

    /// Has `write` append one frame: a message or a reply, with its length. It is
    /// sent by [`Stream::flush`].
    ///
    /// # Panics
    ///
    /// When there is no room, or more is appended than a frame is long.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let Phase::Proven(proven) = &mut self.phase else { panic!("the caller asks first") };
        proven.sealer.push(write);
    }

    /// Sends what the socket takes, and says whether something is left. That goes
    /// on when the socket is writable.
    pub fn flush(&mut self) -> bool {
        let proven = match &mut self.phase {
            Phase::Proven(proven) => proven,
            Phase::Unproven(unproven) => return unproven.session.send(&mut self.pipe),
        };
        proven.sealer.seal();
        while !proven.sealer.unsent().is_empty() {
            let len = self.pipe.write(proven.sealer.unsent());
            if len == 0 {
                return true;
            }
            proven.sealer.sent(len);
        }
        false
    }

    /// When [`Stream::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        match &self.phase {
            Phase::Unproven(_) => self.heard + PROOF_TIME,
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
            if proven.sealer.has_room() {
                proven.sealer.push(|out| frame::put_pulse(now.wall, out));
            }
            self.flush();
        }
        if now.instant >= self.heard + self.silence {
            // This thread may have been the one that was late: what is at the
            // socket, or was not asked for, has been said.
            self.listen(now)?;
        }
        if now.instant >= self.heard + self.silence { Err(Ended::Silent) } else { Ok(()) }
    }

    /// Who is at the other end, once it has proven that it is of the farm.
    #[must_use]
    pub const fn peer(&self) -> Option<&Introduction> {
        match &self.phase {
            Phase::Proven(proven) => Some(&proven.peer),
            Phase::Unproven(_) => None,
        }
    }

    /// Reads what is at the socket, as far as there is room for it.
    fn listen(&mut self, now: Now) -> Result<(), Ended> {
        let Phase::Proven(proven) = &mut self.phase else { return Ok(()) };
        while !proven.opener.is_full() {
            let len = self.pipe.read(proven.opener.room())?;
            if len == 0 {
                return Ok(());
            }
            proven.opener.received(len);
            self.heard = now.instant;
        }
        self.heard = now.instant;
        Ok(())
    }

    /// Goes on with the handshake and the proofs, if they are not done.
    fn prove(&mut self, now: Now) -> Result<(), Ended> {
        while let Phase::Unproven(unproven) = &mut self.phase {
            let Unproven { proof, session, inbox, .. } = &mut **unproven;
            let proven = proof.advance(session, &self.identity, inbox);
            // A refusal is to be told as well.
            session.send(&mut self.pipe);
            if let Some((peer, key)) = proven? {
                let proven = unproven.proven(peer, key, now)?;
                self.phase = Phase::Proven(Box::new(proven));
                self.heard = now.instant;
                return Ok(());
            }
            if !session.read(&mut self.pipe, inbox)? {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Unproven {
    /// What it becomes: what both ends say from here on is sealed by other keys.
    fn proven(&mut self, peer: Introduction, key: FarmKey, now: Now) -> Result<Proven, Ended> {
        if !self.inbox.held().is_empty() {
            return Err(Ended::Malformed(Malformed::Trailing("introduction")));
        }
        let secret = self.session.exported(Purpose::Records)?;
        let (unsent, came) = self.session.finish();
        let (ours, theirs) = match self.proof.side() {
            Side::Opener => (Side::Opener, Side::Called),
            Side::Called => (Side::Called, Side::Opener),
        };
        let sealer = Sealer::new(&secret, ours, &unsent);
        let opener = Opener::new(&secret, theirs, &came);
        Ok(Proven { peer, key, pulse_at: now.instant, sealer, opener })
    }
}

impl Source for Stream {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.pipe.socket.register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.pipe.socket.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.pipe.socket.deregister(registry)
    }
}

#[cfg(test)]
mod tests;
