//! The carrier: a node's live connections, from the address that clients know.
//!
//! [`Carrier::start`] opens everything that is needed and leaves it to a thread
//! of its own (`driver`); what stands here is how others talk to it. In reading
//! order: `orders` what they want; `splice` and `socket` a connection that
//! is here; `greeting` what two ends agree on; `hold` packets that wait; `strays` what nobody has;
//! `place` the address; `registers` the farm's word on who owns; `figures`.

mod driver;
mod figures;
mod greeting;
mod hold;
mod orders;
mod place;
mod registers;
mod socket;
mod splice;
mod strays;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::Poll;
use parking_lot::Mutex;
use segue::Node;
use sys::address::LinkWatch;
use sys::call::CallError;
use sys::carried::{self, Room};
use sys::interface::{Interface, InterfaceError};
use sys::process;
use sys::queue::{Limits, Queue};
use sys::repair::Forge;
use sys::rules::{Connections, Guard, MARK, Rules, RulesError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use self::driver::{Driver, Parts};
use self::hold::Hold;
use self::orders::{Order, Orders};
use self::place::Place;
use self::registers::Registers;
use crate::stream;

pub use figures::Figures;
pub use orders::Handed;
pub use splice::Permit;

/// How far a peer may be ahead of what was read, and how much may be under way to
/// it. Both are below what a ledger keeps, with a record that has begun and a
/// chunk that is being read.
const ROOM: Room = Room { ahead: PROMISED as usize, unacknowledged: 2 << 20 };
/// How far past what has come a peer may have been promised room. Who was
/// promised by had read all that had come, at the most: how much of it nobody
/// else knows, as the kernel promises anew when it is read and not when that is
/// told. (What a peer sends beyond, its acknowledgements with it, would be out of
/// the window and ignored.)
const PROMISED: u32 = 700 << 10;
/// How many connections may wait in the kernel to be accepted.
const BACKLOG: i32 = 1_024;
/// How many packets may wait for a verdict, and how many bytes of them to be
/// read: what 10 Gbit/s brings in 20 milliseconds. What comes beyond is lost, and
/// sent again.
const LIMITS: Limits = Limits { packets: 16_384, bytes: 32 << 20, fail_open: false };

/// A listener whose connections are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// The address and port that clients connect to.
    pub listen: SocketAddr,
    /// Where their connections are passed on to.
    pub backend: SocketAddr,
}

/// What a carrier is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node's name.
    pub name: String,
    /// The node's own address, which streams to other nodes come from; none: the
    /// kernel chooses.
    pub own: Option<IpAddr>,
    /// The virtual address.
    pub address: IpAddr,
    /// The interface that it is on.
    pub interface: Interface,
    /// Whether what clients send is held back until another node has it, so that
    /// their connections go on when this one is gone.
    pub takeover: bool,
    /// Listeners that pass bytes on as they are.
    pub plain: Vec<Service>,
    /// Those of the TLS front, which hands connections over after the handshake.
    pub tls: Vec<Service>,
    /// A number that no other node on this machine has: of the queue and rules.
    pub node: u64,
    /// How long an understudy is waited for.
    pub hold: Duration,
    /// After how much silence another node is taken for gone.
    pub silence: Duration,
    /// The program, and its argument, that takes the address away when this
    /// process was killed or is stopped: it calls [`guard`](crate::guard) with the number
    /// of a queue, if it is given one as well. None: nobody does.
    pub guardian: Option<(PathBuf, &'static str)>,
}

/// Why there is no carrier. The node serves on without.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The interface cannot be used.
    #[error("connections.interface: {0}")]
    Interface(#[from] InterfaceError),
    /// The kernel refused something.
    #[error("{0}")]
    Call(#[from] CallError),
    /// The kernel gives no queue for packets that wait.
    #[error("connections.takeover: netfilter queue {number}: {source}{}", remedy(.source))]
    Queue {
        /// Its number.
        number: u16,
        /// What the kernel said.
        source: CallError,
    },
    /// The firewall did.
    #[error("{0}")]
    Rules(#[from] RulesError),
    /// A plain listener cannot listen.
    #[error("connections.plain: {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        source: CallError,
    },
    /// The port for streams of other nodes cannot be had.
    #[error("farm.listen: TCP {address}: {source}")]
    Streams {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A thread or what it sleeps on.
    #[error("the thread of live connections: {0}")]
    Thread(#[from] io::Error),
}

/// A node's live connections. Dropping it leaves the thread behind: end it with
/// [`Carrier::stop`].
#[derive(Debug)]
pub struct Carrier {
    orders: Orders,
    figures: Arc<Mutex<Figures>>,
    thread: JoinHandle<()>,
}

impl Carrier {
    /// Opens what is needed, and begins. Blocks for some ten milliseconds, and for half
    /// a second where another process has the queue.
    ///
    /// # Errors
    ///
    /// [`StartError`]: then nothing is left behind.
    pub fn start(config: Config, node: &Node, runtime: &Handle) -> Result<Self, StartError> {
        let interface = config.interface.index()?;
        let queue = queue_number(config.node);
        // Before the rules: if this node runs already, they are that process's.
        let hold = match config.takeover {
            true => Some(Hold::new(open_queue(queue)?)),
            false => None,
        };
        let shared = |hold: &Hold| Ok((queue, hold.queue.as_fd().try_clone_to_owned()?));
        let shared = hold.as_ref().map(shared).transpose().map_err(StartError::Thread)?;
        let rules = Rules::install(config.node, &guards(&config, queue))?;
        let listen = |service: &Service| {
            carried::listen(service.listen, BACKLOG, ROOM)
                .map(|listener| (*service, listener))
                .map_err(|source| StartError::Listen { address: service.listen, source })
        };
        let services = config.plain.iter().map(listen).collect::<Result<_, _>>()?;
        let address = node.address();
        let calls = stream::Listener::bind(address)
            .map_err(|source| StartError::Streams { address, source })?;
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), driver::WAKER)?;
        let (orders, taken) = Orders::new(waker);
        let registers = Registers::new(node.cache(), runtime.clone(), orders.clone());
        let figures = Arc::new(Mutex::new(Figures::default()));
        let parts = Parts {
            me: node.incarnation(),
            poll,
            orders: taken,
            hold,
            forge: Forge::open(MARK)?,
            place: Place::open(config.address, interface, config.guardian.clone(), shared)?,
            link: LinkWatch::of(interface)?,
            services,
            calls,
            tls: stream::Tls::new()?,
            identity: node.identity(),
            registers,
            neighbours: node.neighbours(),
            figures: Arc::clone(&figures),
            config,
        };
        let driver = Driver::new(parts, rules)?;
        let thread = std::thread::Builder::new().name("connections".to_owned());
        let thread = thread.spawn(|| {
            if let Err(error) = process::prefer_this_thread() {
                tracing::info!(%error, "on a busy machine connections may move without need");
            }
            driver.run();
        })?;
        Ok(Self { orders, figures, thread })
    }

    /// A listener at the virtual address, whether that is here or not, whose
    /// connections can be carried. It does not block.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn listen(&self, address: SocketAddr) -> Result<TcpListener, CallError> {
        carried::listen(address, BACKLOG, ROOM)
    }

    /// Whether its thread runs. Who gives a connection to one that does not, loses
    /// it.
    #[must_use]
    pub fn runs(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Goes on with a connection whose TLS handshake is done.
    pub fn carry(&self, handed: Handed) {
        self.orders.give(Order::Carry(Box::new(handed)));
    }

    /// Begins to move all connections to that node, or to the understudy: its
    /// figures say how many are left.
    pub fn drain(&self, to: Option<String>) {
        self.orders.give(Order::Drain(to));
    }

    /// What it has done, and how it stands; at most a tenth of a second old.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.figures.lock().clone()
    }

    /// Lets the address go and ends. Connections that are still here are closed
    /// without a word: an understudy goes on with those that it has.
    pub async fn stop(&self) {
        let (stopped, wait) = oneshot::channel();
        if self.orders.give(Order::Stop(stopped)) {
            // An error says that the thread has ended before.
            let _ = wait.await;
        }
    }
}

/// What is done to whose packets.
fn guards(config: &Config, queue: u16) -> Vec<Guard> {
    let queue = config.takeover.then_some(queue);
    let services = || config.plain.iter().chain(&config.tls);
    let clients = services().map(|service| Connections::To(service.listen));
    let backends: BTreeSet<SocketAddr> = services().map(|service| service.backend).collect();
    let backends = backends.into_iter().map(|to| Connections::From(config.address, to));
    clients.chain(backends).map(|connections| Guard { connections, queue }).collect()
}

/// How long the guardian of a process that was killed may still have its queue:
/// far more than it needs to pass on what waits.
const LEFT_WITHIN: Duration = Duration::from_millis(500);

fn open_queue(number: u16) -> Result<Queue, StartError> {
    let until = Instant::now() + LEFT_WITHIN;
    loop {
        match Queue::open(number, LIMITS) {
            Err(error) if is_taken(&error) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened.map_err(|source| StartError::Queue { number, source }),
        }
    }
}

/// Whether another process has it: the kernel says EPERM as well.
fn is_taken(error: &CallError) -> bool {
    error.is(libc::EBUSY) || error.is(libc::EPERM)
}

/// What is to be done where there is no queue.
fn remedy(error: &CallError) -> &'static str {
    if is_taken(error) {
        "; either this process lacks CAP_NET_ADMIN, or another one has the queue: a node of the \
         same name on this machine, which is to be stopped or given another `node.name`"
    } else {
        "; the kernel needs CONFIG_NETFILTER_NETLINK_QUEUE (`modprobe nfnetlink_queue`), or set \
         connections.takeover = false"
    }
}

/// The queue of a node: from its number, as the numbers of queues are those of
/// the whole machine.
fn queue_number(node: u64) -> u16 {
    let [high, low, ..] = node.to_le_bytes();
    u16::from_le_bytes([high, low])
}

#[cfg(test)]
mod tests;
