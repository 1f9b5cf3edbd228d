//! One end of a connection: what it sends, what has to come, and how far both
//! are.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{Context, SHA256};
use nix::sys::epoll::EpollFlags;

use super::channel::Channel;
use super::content::Content;
use super::plan::{Amount, HEADER_BYTES, Header};
use super::seat::{Hash, Seat, State};

/// How much is read or written with one call.
const CHUNK_BYTES: usize = 64 << 10;

/// How many calls one end has before it is another's turn.
const CALLS_A_TURN: usize = 4;

/// One end. It belongs to a reactor's thread.
#[derive(Debug)]
pub(super) struct End {
    channel: Channel,
    pub(super) seat: Arc<Seat>,
    /// The client's header: what is left of it to send, or has come of it.
    header: Vec<u8>,
    outgoing: Flow,
    incoming: Flow,
    amount: Amount,
    /// When the turn began that goes on.
    turn: Instant,
    /// Came, and is to be sent back.
    echo: Vec<u8>,
    role: Role,
}

/// Which end it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    /// With whether it knows yet what it is here for.
    Backend {
        told: bool,
    },
}

/// One direction.
struct Flow {
    content: Content,
    bytes: u64,
    hash: Context,
    ended: bool,
}

impl Flow {
    fn of(content: Content) -> Self {
        Self { content, bytes: 0, hash: Context::new(&SHA256), ended: false }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn end(&mut self) -> Hash {
        self.ended = true;
        self.hash.clone().finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The hash has no form to show.
        let Self { content, bytes, ended, .. } = self;
        write!(f, "{bytes} bytes of {content:?}, ended: {ended}")
    }
}

impl End {
    /// The client's end.
    pub(super) fn client(channel: Channel, header: Header, upload: Amount) -> Self {
        Self {
            header: header.encode().to_vec(),
            outgoing: Flow::of(header.upload()),
            incoming: Flow::of(header.answer()),
            ..Self::new(channel, upload, Role::Client)
        }
    }

    /// The backend's end, which does not know yet what it is here for.
    pub(super) fn backend(channel: Channel) -> Self {
        Self::new(channel, Amount::Nothing, Role::Backend { told: false })
    }

    fn new(channel: Channel, amount: Amount, role: Role) -> Self {
        Self {
            channel,
            seat: Arc::new(Seat::new()),
            header: Vec::new(),
            outgoing: Flow::of(Content::of(0)),
            incoming: Flow::of(Content::of(0)),
            amount,
            turn: Instant::now(),
            echo: Vec::new(),
            role,
        }
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Reads and writes what can be. Gives the header when it has just come.
    pub(super) fn step(&mut self) -> Option<Header> {
        if Seat::is_told(&self.seat.aborting) {
            self.break_off();
            return None;
        }
        let before = self.role;
        if let Err(error) = self.read_some().and_then(|()| self.write_some()) {
            let state = State::Broken(error.to_string());
            self.seat.change(|account| {
                if account.state == State::Going {
                    account.state = state;
                }
            });
        } else if self.outgoing.ended && self.incoming.ended && !self.channel.wants_write() {
            self.seat.change(|account| {
                if account.state == State::Going {
                    account.state = State::Ended;
                }
            });
        }
        let told = before != self.role;
        told.then(|| Header::decode(self.header[..].try_into().ok()?)).flatten()
    }

    /// What it waits for.
    pub(super) fn wants(&self) -> EpollFlags {
        let mut wants = EpollFlags::empty();
        wants.set(EpollFlags::EPOLLIN, !self.incoming.ended && self.may_read());
        wants.set(EpollFlags::EPOLLOUT, self.channel.wants_write() || self.may_write());
        wants
    }

    /// Whether nothing is left to do.
    pub(super) fn is_over(&self) -> bool {
        self.seat.account().state != State::Going
    }

    fn may_read(&self) -> bool {
        self.echo.is_empty() && !Seat::is_told(&self.seat.holding)
    }

    fn may_write(&self) -> bool {
        if self.channel.is_shaking_hands() || self.outgoing.ended {
            return false;
        }
        let client_has_header = self.role == Role::Client && !self.header.is_empty();
        client_has_header || !self.echo.is_empty() || self.allowed() > 0 || self.is_at_its_end()
    }

    /// How many bytes it may send as of now.
    fn allowed(&self) -> u64 {
        let sent = self.outgoing.bytes;
        match self.amount {
            _ if self.role == (Role::Backend { told: false }) => 0,
            Amount::Bytes(all) => all - sent,
            Amount::UntilEnd if !self.is_told_to_end() => u64::MAX,
            Amount::Turns(bytes) => {
                let turn_is_over = sent == self.incoming.bytes && sent.is_multiple_of(bytes);
                let ends = turn_is_over && self.is_told_to_end();
                let within = bytes - sent % bytes;
                if ends || (sent.is_multiple_of(bytes) && !turn_is_over) { 0 } else { within }
            }
            Amount::UntilEnd | Amount::Nothing | Amount::Echo => 0,
        }
    }

    /// Whether all has been sent that is to be.
    fn is_at_its_end(&self) -> bool {
        match self.amount {
            _ if self.role == (Role::Backend { told: false }) => self.incoming.ended,
            Amount::Bytes(all) => self.outgoing.bytes == all,
            Amount::UntilEnd | Amount::Nothing => self.is_told_to_end(),
            Amount::Turns(_) => self.is_told_to_end() && self.outgoing.bytes == self.incoming.bytes,
            Amount::Echo => self.incoming.ended && self.echo.is_empty(),
        }
    }

    /// The client is told by who watches it, the backend by the client's end.
    fn is_told_to_end(&self) -> bool {
        match self.role {
            Role::Client => Seat::is_told(&self.seat.ending),
            Role::Backend { .. } => self.incoming.ended,
        }
    }

    fn read_some(&mut self) -> io::Result<()> {
        let mut bytes = [0; CHUNK_BYTES];
        for _ in 0..CALLS_A_TURN {
            if self.incoming.ended || !self.may_read() {
                break;
            }
            let room = if self.role == (Role::Backend { told: false }) {
                &mut bytes[..HEADER_BYTES - self.header.len()]
            } else {
                &mut bytes[..]
            };
            match self.channel.read(room) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
                Ok(0) => {
                    let hash = self.incoming.end();
                    self.seat.change(|account| account.received_hash = Some(hash));
                }
                Ok(length) if self.role == (Role::Backend { told: false }) => {
                    self.header.extend_from_slice(&bytes[..length]);
                    self.take_header()?;
                }
                Ok(length) => self.take(&bytes[..length]),
            }
        }
        Ok(())
    }

    fn take_header(&mut self) -> io::Result<()> {
        let Ok(header) = self.header[..].try_into() else { return Ok(()) };
        let header = Header::decode(header).ok_or(ErrorKind::InvalidData)?;
        self.outgoing = Flow::of(header.answer());
        self.incoming = Flow::of(header.upload());
        self.amount = header.download;
        self.role = Role::Backend { told: true };
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        let (now, came) = (Instant::now(), self.channel.came());
        let wrong = self.incoming.content.differs(bytes, self.incoming.bytes);
        self.incoming.take(bytes);
        if self.amount == Amount::Echo {
            self.echo.extend_from_slice(bytes);
        }
        let turn =
            matches!(self.amount, Amount::Turns(_)) && self.incoming.bytes == self.outgoing.bytes;
        let took = now.saturating_duration_since(self.turn);
        self.turn = if turn { now } else { self.turn };
        self.seat.change(|account| {
            account.receive(bytes.len(), came);
            if let Some(place) = wrong {
                account.state = State::Wrong(place);
            }
            if turn {
                account.turns.push(took);
            }
        });
    }

    fn write_some(&mut self) -> io::Result<()> {
        let mut bytes = [0; CHUNK_BYTES];
        self.channel.flush()?;
        for _ in 0..CALLS_A_TURN {
            if !self.may_write() || self.channel.wants_write() {
                break;
            }
            if self.role == Role::Client && !self.header.is_empty() {
                match self.channel.write(&self.header) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    taken => drop(self.header.drain(..taken?)),
                }
            } else if !self.echo.is_empty() {
                match self.channel.write(&self.echo) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    taken => {
                        let sent: Vec<u8> = self.echo.drain(..taken?).collect();
                        self.sent(&sent);
                    }
                }
            } else if self.is_at_its_end() {
                let hash = self.outgoing.end();
                self.channel.close()?;
                self.seat.change(|account| account.sent_hash = Some(hash));
            } else {
                let room = self.allowed().min(CHUNK_BYTES as u64);
                let chunk = &mut bytes[..usize::try_from(room).expect("at most a chunk")];
                self.outgoing.content.fill(chunk, self.outgoing.bytes);
                match self.channel.write(chunk) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    taken => {
                        let taken = taken?;
                        self.sent(&bytes[..taken]);
                    }
                }
            }
            self.channel.flush()?;
        }
        Ok(())
    }

    fn sent(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        self.outgoing.take(bytes);
        self.seat.change(|account| account.send(bytes.len(), now));
    }

    /// Ends the connection with a reset.
    fn break_off(&self) {
        let state = match self.channel.abort() {
            Ok(()) => State::Broken("broken off, as told".to_owned()),
            Err(error) => State::Broken(error.to_string()),
        };
        self.seat.change(|account| account.state = state);
    }
}
