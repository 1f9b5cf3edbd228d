//! Two servers and a client on a wire, and a connection that moves between them.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::address::{Addresses, Announcer};
use crate::interface::Interface;
use crate::repair::{Buffers, Forge, Frozen, Restored, State, Thawed, look};
use crate::rules::{self, Connections, Guard, MARK, Rules};
use crate::testing::{Street, street, until};

const PORT: u16 = 7000;

const BUFFERS: Buffers = Buffers { receive: 1 << 20, send: 1 << 20 };

/// The numbers of bytes that the two sides have sent differ, and so do bytes of
/// one place.
const FROM_CLIENT: u64 = 1 << 40;

/// How long an answer may take before the question is repeated.
const AGAIN: Duration = Duration::from_millis(20);

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Farm {
    street: Street,
    servers: Vec<Server>,
    address: IpAddr,
    /// The machine that has the address.
    owner: usize,
}

struct Server {
    addresses: Addresses,
    announcer: Announcer,
    forge: Forge,
    /// Taken out before the machine goes.
    _rules: Rules,
    listener: Option<TcpListener>,
}

/// A connection, with what went over it.
pub(super) struct Carried {
    socket: Option<TcpStream>,
    frozen: Option<Frozen>,
    read: u64,
    written: u64,
    /// The client's end was read.
    ended: bool,
    /// Our own end is behind what was written.
    closed: bool,
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
    receiver: JoinHandle<u64>,
}

impl Farm {
    pub(super) const ADDRESS_V4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 100);
    const ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x100);

    pub(super) fn v4() -> Option<Self> {
        Self::new(Self::ADDRESS_V4.into())
    }

    pub(super) fn v6() -> Option<Self> {
        Self::new(Self::ADDRESS_V6.into())
    }

    fn new(address: IpAddr) -> Option<Self> {
        let street = street(2)?;
        let at = SocketAddr::new(address, PORT);
        let guards = [Guard { connections: Connections::To(at), queue: None }];
        let servers = (0..2).map(|index| {
            street.machine(index).within(|| {
                let interface = Interface::Name("eth0".into()).index().unwrap();
                Server {
                    addresses: Addresses::of(interface).unwrap(),
                    announcer: Announcer::open(interface).unwrap(),
                    forge: Forge::open(MARK).unwrap(),
                    _rules: Rules::install(index as u64, &guards).unwrap(),
                    listener: None,
                }
            })
        });
        let servers = servers.collect();
        let mut farm = Self { street, servers, address, owner: 0 };
        farm.own(0);
        let listener = farm.street.machine(0).within(|| TcpListener::bind(at)).unwrap();
        farm.servers[0].listener = Some(listener);
        Some(farm)
    }

    pub(super) fn among_clients<T>(&self, work: impl FnOnce() -> T) -> T {
        self.street.outside().within(work)
    }

    /// A client that sends and receives until it is told to end.
    pub(super) fn connect(&self) -> Carried {
        let at = SocketAddr::new(self.address, PORT);
        let client = self.among_clients(|| TcpStream::connect(at)).unwrap();
        let listener = self.servers[0].listener.as_ref().unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_write_timeout(Some(PATIENCE)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (output, stopped) = (client.try_clone().unwrap(), Arc::clone(&stop));
        Carried {
            socket: Some(socket),
            frozen: None,
            read: 0,
            written: 0,
            ended: false,
            closed: false,
            stop,
            sender: thread::spawn(move || send(output, &stopped)),
            receiver: thread::spawn(move || receive(client)),
        }
    }

    /// Lets the other machine go on with the connection.
    pub(super) fn carry(&mut self, carried: &mut Carried, state: State) {
        drop(carried.frozen.take().unwrap().close());
        let (from, to) = (self.owner, 1 - self.owner);
        let machine = self.street.machine(to);
        let restored = machine.within(|| Restored::restore(state, BUFFERS)).unwrap();
        self.servers[from].addresses.remove(self.address).unwrap();
        self.own(to);
        carried.socket = Some(self.thaw(restored, to));
    }

    fn own(&mut self, machine: usize) {
        self.owner = machine;
        let server = &self.servers[machine];
        assert!(server.addresses.add(self.address).unwrap());
        server.announcer.announce(self.address).unwrap();
    }

    fn thaw(&self, restored: Restored, to: usize) -> TcpStream {
        let forge = &self.servers[to].forge;
        match restored.thaw(forge).unwrap() {
            Thawed::Going(socket) => socket,
            Thawed::Asking(mut asking) => {
                let mut asked = Instant::now();
                until(|| {
                    if asked.elapsed() > AGAIN {
                        asking.ask(forge).unwrap();
                        asked = Instant::now();
                    }
                    asking.answered(forge).unwrap().then_some(())
                });
                self.street.machine(to).within(|| asking.finish(forge)).unwrap()
            }
        }
    }
}

impl Carried {
    /// How many bytes were written here.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// How many bytes were read and written here, as sequence numbers count.
    pub(super) fn positions(&self) -> [u32; 2] {
        [self.read, self.written].map(|count| u32::try_from(count & u64::from(u32::MAX)).unwrap())
    }

    /// Reads the connection while it goes on.
    pub(super) fn look(&self) -> State {
        look(self.socket.as_ref().unwrap()).unwrap()
    }

    pub(super) fn freeze(&mut self) -> State {
        let frozen = Frozen::freeze(self.socket.take().unwrap()).unwrap();
        self.frozen.insert(frozen).state().clone()
    }

    pub(super) fn thaw(&mut self) {
        self.socket = Some(self.frozen.take().unwrap().thaw().unwrap());
    }

    pub(super) fn client_closes(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn server_closes(&mut self) {
        self.closed = true;
        rules::let_close(self.socket.as_ref().unwrap()).unwrap();
        self.socket.as_ref().unwrap().shutdown(Shutdown::Write).unwrap();
    }

    /// Reads and writes until so many bytes more went in each direction that is
    /// open.
    pub(super) fn pump(&mut self, bytes: u64) {
        let (read, written) = (self.read + bytes, self.written + bytes);
        let done = |carried: &Self| {
            (carried.ended || carried.read >= read)
                && (carried.closed || carried.written >= written)
        };
        while !done(self) {
            self.step(true);
        }
    }

    /// Reads what comes next.
    pub(super) fn read_some(&mut self) {
        self.step(false);
    }

    /// Reads until the client's end.
    pub(super) fn pump_to_end(&mut self) {
        while !self.ended {
            self.step(false);
        }
    }

    /// Ends both directions and compares what was sent with what came.
    pub(super) fn finish(mut self) {
        self.client_closes();
        if !self.closed {
            self.pump(1_000);
            self.server_closes();
        }
        self.pump_to_end();
        assert_eq!(self.sender.join().unwrap(), self.read, "what the client sent, and what came");
        assert_eq!(self.receiver.join().unwrap(), self.written, "what was sent to the client");
    }

    fn step(&mut self, writes: bool) {
        let socket = self.socket.as_mut().unwrap();
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::POLLIN, !self.ended);
        wanted.set(PollFlags::POLLOUT, writes && !self.closed);
        let mut files = [PollFd::new(socket.as_fd(), wanted)];
        let patience = u16::try_from(PATIENCE.as_millis()).unwrap();
        assert!(poll(&mut files, PollTimeout::from(patience)).unwrap() > 0, "nothing moves");
        let mut bytes = [0; 16 << 10];
        match socket.read(&mut bytes) {
            Ok(0) => self.ended = true,
            Ok(length) => {
                compare(&bytes[..length], FROM_CLIENT + self.read);
                self.read += length as u64;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        if wanted.contains(PollFlags::POLLOUT) {
            fill(&mut bytes, self.written);
            match socket.write(&bytes) {
                Ok(length) => self.written += length as u64,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        }
    }
}

/// Sends until it is stopped, then its end; says how much it was.
fn send(mut socket: TcpStream, stopped: &AtomicBool) -> u64 {
    let (mut bytes, mut sent) = ([0; 16 << 10], 0);
    while !stopped.load(Ordering::Relaxed) {
        fill(&mut bytes, FROM_CLIENT + sent);
        sent += uninterrupted(|| socket.write(&bytes)) as u64;
    }
    socket.shutdown(Shutdown::Write).unwrap();
    sent
}

/// Receives to the end; says how much it was.
fn receive(mut socket: TcpStream) -> u64 {
    let (mut bytes, mut received) = ([0; 16 << 10], 0);
    loop {
        let length = uninterrupted(|| socket.read(&mut bytes));
        if length == 0 {
            return received;
        }
        compare(&bytes[..length], received);
        received += length as u64;
    }
}

/// Calls with a timeout end when a process is stopped and goes on (signal(7)).
fn uninterrupted(mut call: impl FnMut() -> std::io::Result<usize>) -> usize {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other.unwrap(),
        }
    }
}

/// The bytes of a stream from one place on: those of other places differ.
pub(super) fn fill(bytes: &mut [u8], from: u64) {
    for (place, byte) in (from..).zip(bytes) {
        // An odd factor of random bits, so that the upper ones mix.
        *byte = (place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8;
    }
}

fn compare(bytes: &[u8], from: u64) {
    let mut expected = vec![0; bytes.len()];
    fill(&mut expected, from);
    let wrong = bytes.iter().zip(&expected).position(|(found, expected)| found != expected);
    assert_eq!(wrong.map(|place| place as u64 + from), None, "where a byte differs");
}
