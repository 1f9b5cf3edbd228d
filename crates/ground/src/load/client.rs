//! The clients: a machine's connections, and what came of each.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::backend::Backend;
use super::channel::Channel;
use super::end::End;
use super::plan::{Header, Plan};
use super::reactor::{Order, Reactor, Wire, token_of};
use super::seat::{Account, Seat, State};

/// How long a connection may stand still before it counts as hung: longer than
/// the retransmissions that TCP makes within a pause of seconds.
pub const HUNG: Duration = Duration::from_secs(10);

/// Clients, driven by one thread. Dropped, they end, and their connections
/// break.
#[derive(Debug)]
pub struct Clients {
    reactor: Reactor,
}

/// Ids of connections of this process.
static IDS: AtomicU64 = AtomicU64::new(1);

/// What came of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Both ends have what the other has sent, byte for byte.
    Right,
    /// Something came that was not sent, or not all that was.
    Wrong(String),
    /// Nothing moved for [`HUNG`].
    Hung(String),
    /// It broke.
    Reset(String),
}

impl Clients {
    /// Starts the clients' thread.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn start() -> io::Result<Self> {
        Ok(Self { reactor: Reactor::start(None)? })
    }

    /// Connects from the machine that the calling thread is on, and begins.
    ///
    /// # Errors
    ///
    /// When the connection is not made within [`HUNG`].
    pub fn connect(&self, plan: &Plan) -> io::Result<Near> {
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let socket = TcpStream::connect_timeout(&plan.to, HUNG)?;
        let channel = Channel::new(socket, &plan.security)?;
        let token = token_of(&channel);
        let end = End::client(channel, Header { id, download: plan.download }, plan.upload);
        let seat = Arc::clone(&end.seat);
        let wire = self.reactor.wire().clone();
        wire.tell(Order::Drive(Box::new(end)));
        Ok(Near { id, seat, token, wire })
    }
}

/// The client's end of a connection.
#[derive(Debug)]
pub struct Near {
    id: u64,
    seat: Arc<Seat>,
    token: u64,
    wire: Wire,
}

impl Near {
    /// The connection's number, by which the backend knows it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What it has seen.
    #[must_use]
    pub fn account(&self) -> Account {
        self.seat.account()
    }

    /// Whether what it sees becomes as wanted; not, when it ends or nothing
    /// moves in `patience`.
    pub fn until(&self, patience: Duration, wanted: impl Fn(&Account) -> bool) -> bool {
        self.seat.until(patience, wanted)
    }

    /// Watches for pauses from this moment on.
    pub fn mark(&self, at: Instant) {
        self.seat.mark(at);
    }

    /// The longest time without a byte since the mark, as the kernel says when bytes
    /// came; none was set.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.seat.pause()
    }

    /// Has it send its end, where its amount has none.
    pub fn end(&self) {
        self.tell(&self.seat.ending, true);
    }

    /// Has it read nothing, or read again.
    pub fn hold(&self, holds: bool) {
        self.tell(&self.seat.holding, holds);
    }

    /// Has it break the connection off (RST).
    pub fn abort(&self) {
        self.tell(&self.seat.aborting, true);
    }

    /// Waits until all has gone both ways, and compares.
    #[must_use]
    pub fn outcome(&self, backend: &Backend) -> Outcome {
        self.end();
        self.until(HUNG, |account| account.state != State::Going);
        let near = self.account();
        let Some(far) = backend.end(self.id, Duration::ZERO) else {
            return fate(&near)
                .unwrap_or_else(|| Outcome::Wrong("the backend has never heard of it".to_owned()));
        };
        far.until(HUNG, |account| account.state != State::Going);
        let far = far.account();
        fate(&near).or_else(|| fate(&far)).unwrap_or_else(|| compare(&near, &far))
    }

    fn tell(&self, flag: &AtomicBool, value: bool) {
        flag.store(value, Ordering::Relaxed);
        self.wire.tell(Order::Look(self.token));
    }
}

/// What became of an end that did not end as it should.
fn fate(account: &Account) -> Option<Outcome> {
    let Account { sent, received, .. } = account;
    let where_it_was = format!("{sent} bytes sent, {received} received");
    match &account.state {
        State::Ended => None,
        State::Going => Some(Outcome::Hung(where_it_was)),
        State::Wrong(place) => {
            Some(Outcome::Wrong(format!("byte {place} differs; {where_it_was}")))
        }
        State::Broken(why) => Some(Outcome::Reset(format!("{why}; {where_it_was}"))),
    }
}

fn compare(near: &Account, far: &Account) -> Outcome {
    let up = (near.sent, near.sent_hash) == (far.received, far.received_hash);
    let down = (far.sent, far.sent_hash) == (near.received, near.received_hash);
    if up && down {
        return Outcome::Right;
    }
    Outcome::Wrong(format!(
        "{} bytes sent and {} of them came; {} were answered and {} of them came",
        near.sent, far.received, far.sent, near.received
    ))
}
