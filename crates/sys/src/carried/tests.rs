use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::*;
use crate::address::Addresses;
use crate::interface::Interface;
use crate::process;
use crate::repair::{Flags, Forge, Forged, Frozen, Restored, State, Thawed};
use crate::rules::{Connections, Guard, MARK, Rules};
use crate::testing::{Street, readable, run, street, until};

/// 700 KiB each, which leaves of a window of 1 MiB room for what is under way.
const ROOM: Room = Room { ahead: 700 << 10, unacknowledged: 700 << 10 };

/// Windows are told in units of 2^14 bytes at most (RFC 7323, section 2.3), and
/// rounded up.
const UNIT: usize = 1 << 14;

/// A listener on machine 0 at an address that it gets afterwards, with the rules
/// that keep ends in.
struct Server {
    street: Street,
    listener: TcpListener,
    at: SocketAddr,
    _rules: Rules,
}

impl Server {
    fn new(address: &str) -> Option<Self> {
        let street = street(1)?;
        let at: SocketAddr = address.parse().unwrap();
        let guards = [Guard { connections: Connections::To(at), queue: None }];
        let (listener, rules) = street.machine(0).within(|| {
            let listener = listen(at, 16, ROOM).unwrap();
            let interface = Interface::Name("eth0".into()).index().unwrap();
            assert!(Addresses::of(interface).unwrap().add(at.ip()).unwrap());
            (listener, Rules::install(1, &guards).unwrap())
        });
        Some(Self { street, listener, at, _rules: rules })
    }

    fn v4() -> Option<Self> {
        Self::new("10.1.0.100:7000")
    }

    /// A client, and the server's end of its connection.
    fn connect(&self) -> (TcpStream, TcpStream) {
        let client = self.street.outside().within(|| TcpStream::connect(self.at)).unwrap();
        assert!(readable(&self.listener));
        (client, self.listener.accept().unwrap().0)
    }

    fn restore(&self, state: State) -> TcpStream {
        self.street.machine(0).within(|| {
            let forge = Forge::open(MARK).unwrap();
            let restored = Restored::restore(state, ROOM.buffers()).unwrap();
            match restored.thaw(&forge).unwrap() {
                Thawed::Going(socket) => socket,
                Thawed::Asking(_) => panic!("nothing was sent that could be asked about"),
            }
        })
    }
}

/// How a socket is set, as far as that can be asked for.
fn settings(socket: &TcpStream) -> (Option<Duration>, bool, usize, usize) {
    let socket = SockRef::from(socket);
    (
        socket.linger().unwrap(),
        socket.tcp_nodelay().unwrap(),
        socket.recv_buffer_size().unwrap(),
        socket.send_buffer_size().unwrap(),
    )
}

const SETTLED: (Option<Duration>, bool, usize, usize) =
    (Some(Duration::ZERO), true, ROOM.ahead, ROOM.unacknowledged);

fn check_accepted(address: &str) {
    let Some(server) = Server::new(address) else { return };
    let (_client, socket) = server.connect();
    assert_eq!(settings(&socket), SETTLED);
    let error = server.listener.accept().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn what_is_accepted_is_set_as_its_listener_is() {
    check_accepted("10.1.0.100:7000");
}

#[test]
fn what_is_accepted_by_ipv6_is_set_as_its_listener_is() {
    check_accepted("[fd77::100]:7000");
}

/// What the kernel has taken in and would still take.
fn ahead(state: &State) -> usize {
    state.incoming.unread.len() + state.windows.promised as usize
}

/// A client sends all it can, and the server reads by fits and starts.
fn check_ahead(server: &Server, mut socket: TcpStream, client: TcpStream) {
    socket.set_nonblocking(true).unwrap();
    let mut output = client;
    // It ends by the reset.
    let sender = thread::spawn(move || while output.write_all(&[7; 64 << 10]).is_ok() {});
    let mut most = 0;
    for turn in 0..60 {
        // Sometimes all that comes, so that the kernel would tune its buffer;
        // sometimes nothing until it is full.
        let mut wanted = 200_000 * (turn % 7);
        let mut bytes = [0; 32 << 10];
        while wanted > 0 {
            assert!(readable(&socket));
            wanted -= socket.read(&mut bytes).unwrap().min(wanted);
        }
        let frozen = Frozen::freeze(socket).unwrap();
        most = most.max(ahead(frozen.state()));
        socket =
            if turn % 10 == 9 { server.restore(frozen.close()) } else { frozen.thaw().unwrap() };
        settle(&socket, ROOM).unwrap();
    }
    assert!(most <= ROOM.ahead + UNIT, "{most} bytes were promised");
    assert!(most > ROOM.ahead / 4, "{most} bytes are too few for a test");
    reset(socket).unwrap();
    sender.join().unwrap();
}

#[test]
fn no_more_is_promised_than_there_is_room() {
    let Some(server) = Server::v4() else { return };
    server.street.machine(0).within(|| {
        fs::write("/proc/sys/net/ipv4/tcp_rmem", "4096 131072 67108864").unwrap();
    });
    let (client, socket) = server.connect();
    check_ahead(&server, socket, client);
    // One that was accepted by a listener which knows nothing of this.
    let own = SocketAddr::new("10.1.0.1".parse().unwrap(), 7001);
    let guards = [Guard { connections: Connections::To(own), queue: None }];
    let (listener, _rules) = server
        .street
        .machine(0)
        .within(|| (TcpListener::bind(own).unwrap(), Rules::install(2, &guards).unwrap()));
    let client = server.street.outside().within(|| TcpStream::connect(own)).unwrap();
    let (socket, _) = listener.accept().unwrap();
    assert_ne!(settings(&socket), SETTLED);
    settle(&socket, ROOM).unwrap();
    assert_eq!(settings(&socket), SETTLED);
    // What was promised before is 64 KiB: the first window of any socket.
    check_ahead(&server, socket, client);
}

fn check_own(own: &str, backend: &str) {
    let Some(street) = street(1) else { return };
    let (own, backend) = (own.parse().unwrap(), backend.parse().unwrap());
    let listener = street.outside().within(|| TcpListener::bind(backend)).unwrap();
    let begun = [0, 1].map(|_| street.machine(0).within(|| connect(own, backend, ROOM)).unwrap());
    assert_ne!(begun[0].local, begun[1].local);
    for Begun { socket, local } in begun {
        let (mut there, from) = listener.accept().unwrap();
        assert_eq!((local.ip(), local), (own, from));
        there.write_all(b"answer").unwrap();
        assert!(readable(&socket));
        assert_eq!(settings(&socket), SETTLED);
        assert_eq!(status(&socket).unwrap().stage, Stage::Established);
        assert_eq!(socket.take_error().unwrap().map(|error| error.kind()), None);
    }
}

#[test]
fn connections_of_our_own() {
    check_own("10.1.0.1", "10.1.0.254:7000");
}

#[test]
fn connections_of_our_own_by_ipv6() {
    check_own("fd77::1", "[fd77::fe]:7000");
}

#[test]
fn an_address_that_is_not_here_begins_nothing() {
    let Some(street) = street(1) else { return };
    let (own, backend) = ("10.1.0.100".parse().unwrap(), "10.1.0.254:7000".parse().unwrap());
    let error = street.machine(0).within(|| connect(own, backend, ROOM)).unwrap_err();
    assert!(error.is(libc::EADDRNOTAVAIL) && error.call == "bind", "{error}");
}

#[test]
fn an_end_and_a_reset_reach_the_peer() {
    let Some(server) = Server::v4() else { return };
    let mut byte = [0];
    let (mut client, mut socket) = server.connect();
    socket.write_all(b"!").unwrap();
    let_end(&socket).unwrap();
    drop(socket);
    assert!(readable(&client));
    assert_eq!((client.read(&mut byte).unwrap(), byte), (1, *b"!"));
    assert!(readable(&client));
    assert_eq!(client.read(&mut byte).unwrap(), 0);

    let (mut client, socket) = server.connect();
    // Somebody has a copy: that keeps nothing up.
    let copy = socket.try_clone().unwrap();
    reset(socket).unwrap();
    assert!(readable(&client));
    assert_eq!(client.read(&mut byte).unwrap_err().kind(), ErrorKind::ConnectionReset);
    drop(copy);
}

#[test]
fn a_death_within_a_half_closed_connection_says_nothing() {
    let Some(server) = Server::v4() else { return };
    let mut byte = [0];
    let (mut client, socket) = server.connect();
    let_finish(&socket).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    assert!(readable(&client));
    assert_eq!(client.read(&mut byte).unwrap(), 0, "its end is told");
    // What is not read has the kernel send a reset when the socket is closed.
    client.write_all(b"more").unwrap();
    assert!(readable(&socket));
    drop(socket);
    assert!(sockets(&server).iter().all(|line| line.contains(" 0A ")), "only the listener");
    client.write_all(b"and more").unwrap();
    assert_eq!(client.take_error().unwrap().map(|error| error.kind()), None);
}

#[test]
fn what_came_behind_a_gap_is_seen_until_the_gap_is_closed() {
    let Some(server) = Server::v4() else { return };
    let (mut client, mut socket) = server.connect();
    assert!(!may_have_gaps(&socket).unwrap());
    let (mut bytes, state) = ([0; 9], repair::look(&client).unwrap());
    // The second half comes before the first.
    let half = Forged {
        from: client.local_addr().unwrap(),
        to: server.at,
        sequence: state.outgoing.first.wrapping_add(5),
        acknowledged: state.incoming.next,
        flags: Flags::Ack,
        window: 500,
        options: &[],
        data: b"half",
    };
    server.street.outside().within(|| Forge::open(MARK).unwrap().send(&half).unwrap());
    until(|| may_have_gaps(&socket).unwrap().then_some(()));
    client.write_all(b"first").unwrap();
    until(|| socket.peek(&mut bytes).is_ok_and(|count| count == 9).then_some(()));
    assert!(may_have_gaps(&socket).unwrap(), "what is not read may be behind one");
    socket.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"firsthalf");
    assert!(!may_have_gaps(&socket).unwrap());
}

#[test]
fn how_far_a_connection_has_come() {
    let Some(server) = Server::v4() else { return };
    let stage = |socket: &TcpStream| status(socket).unwrap().stage;
    let (client, mut socket) = server.connect();
    let fresh = status(&socket).unwrap();
    assert!(fresh.stage.is_connection() && fresh.sack && fresh.timestamps);
    assert!(fresh.scales.is_some() && fresh.segment > 1_000);
    assert_eq!(status(&server.listener).unwrap().stage, Stage::Listen);

    // A client that nobody can reach acknowledges nothing.
    let bridge =
        |state| server.street.outside().within(|| run(&format!("ip link set port0 {state}")));
    bridge("down");
    socket.write_all(b"question").unwrap();
    assert_eq!(unacknowledged(&socket).unwrap(), 8);
    until(|| (status(&socket).unwrap().repeated > 0).then_some(()));
    bridge("up");
    until(|| (unacknowledged(&socket).unwrap() == 0).then_some(()));

    client.shutdown(Shutdown::Write).unwrap();
    until(|| (stage(&socket) == Stage::CloseWait).then_some(()));
    let_end(&socket).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    until(|| (stage(&socket) == Stage::Closed).then_some(()));
    assert!(!stage(&socket).is_connection());
}

/// All that this machine has of TCP at a port, as the kernel lists it.
fn sockets(server: &Server) -> Vec<String> {
    let port = format!(":{:04X}", server.at.port());
    let listed = server
        .street
        .machine(0)
        .within(|| fs::read_to_string("/proc/thread-self/net/tcp").unwrap());
    let local =
        |line: &&str| line.split_ascii_whitespace().nth(1).is_some_and(|at| at.ends_with(&port));
    listed.lines().filter(local).map(str::to_owned).collect()
}

/// A process that says back what comes over a connection, and has it and the
/// listener for itself.
fn echo(server: &mut Server, socket: TcpStream) -> Child {
    socket.set_nonblocking(false).unwrap();
    let nobody = server.street.outside().within(|| TcpListener::bind("127.0.0.1:0")).unwrap();
    let listener = std::mem::replace(&mut server.listener, nobody);
    let input = OwnedFd::from(socket.try_clone().unwrap());
    Command::new("cat")
        .stdin(input)
        .stdout(OwnedFd::from(socket))
        .stderr(Stdio::from(OwnedFd::from(listener)))
        .spawn()
        .unwrap()
}

/// A process is killed with SIGKILL while it has connections; then another
/// goes on with them.
fn check_killed(unread: &'static [u8]) {
    let Some(mut server) = Server::v4() else { return };
    let (mut client, socket) = server.connect();
    // What an understudy knows: how it began, and what went over it.
    let frozen = Frozen::freeze(socket).unwrap();
    let mut state = frozen.state().clone();
    let socket = frozen.thaw().unwrap();
    let mut child = echo(&mut server, socket);
    client.write_all(b"question").unwrap();
    let mut answer = [0; 8];
    client.read_exact(&mut answer).unwrap();
    // Another client whom nobody has accepted yet.
    let waiting = server.street.outside().within(|| TcpStream::connect(server.at)).unwrap();
    process::halt(child.id()).unwrap();
    client.write_all(unread).unwrap();
    until(|| (unacknowledged(&client).unwrap() == 0).then_some(()));
    assert_eq!(sockets(&server).len(), 3);

    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(sockets(&server), Vec::<String>::new());

    server.listener = server.street.machine(0).within(|| listen(server.at, 16, ROOM)).unwrap();
    let came = u32::try_from(8 + unread.len()).unwrap();
    state.incoming.next = state.incoming.next.wrapping_add(came);
    state.incoming.unread = unread.to_vec();
    state.outgoing.first = state.outgoing.first.wrapping_add(8);
    let mut socket = server.restore(state);
    socket.set_nonblocking(false).unwrap();
    client.write_all(b"again").unwrap();
    let mut bytes = vec![0; unread.len() + 5];
    socket.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, [unread, b"again"].concat());
    // The first that the client hears since the kill is what it is told now.
    socket.write_all(b"answered").unwrap();
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"answered");
    assert_eq!(status(&client).unwrap().stage, Stage::Established);
    assert_eq!(status(&waiting).unwrap().stage, Stage::Established);
}

#[test]
fn a_killed_process_leaves_nothing_behind() {
    check_killed(b"");
}

#[test]
fn a_killed_process_with_something_unread_leaves_nothing_behind() {
    check_killed(b"unread");
}

/// How many packets were kept in for want of their address: the kernel had no way
/// for them, or the rule has dropped them.
fn kept_in(v4: bool) -> u64 {
    let number = |words: &str, place: usize| -> u64 {
        words.split_whitespace().nth(place).unwrap().parse().unwrap()
    };
    if v4 {
        let said = run("cat /proc/net/snmp");
        let mut lines = said.lines().filter(|line| line.starts_with("Ip:"));
        let (names, counts) = (lines.next().unwrap(), lines.next().unwrap());
        let place = names.split(' ').position(|name| name == "OutNoRoutes").unwrap();
        return number(counts, place);
    }
    let said = run("ip6tables -t mangle -L -n -v -x");
    number(said.lines().find(|line| line.contains("!LOCAL")).unwrap(), 0)
}

/// Without its address nothing leaves, whether a connection was accepted here or
/// restored; with it all goes on.
fn check_silent(address: &str) {
    let Some(server) = Server::new(address) else { return };
    let (client, socket) = server.connect();
    let (other, moved) = server.connect();
    let state = Frozen::freeze(moved).unwrap().close();
    let sockets = [socket, server.restore(state)];
    let machine = server.street.machine(0);
    let interface = machine.within(|| Interface::Name("eth0".into()).index().unwrap());
    let addresses = machine.within(|| Addresses::of(interface).unwrap());
    let ip = server.at.ip();
    machine.within(|| {
        assert!(addresses.remove(ip).unwrap());
        let tables = if ip.is_ipv4() { "iptables" } else { "ip6tables" };
        run(&format!("{tables} -I OUTPUT -s {ip} -j ACCEPT"));
        for mut socket in &sockets {
            socket.write_all(b"heard later").unwrap();
        }
        // Each has tried, and tried again.
        until(|| (kept_in(ip.is_ipv4()) >= 4).then_some(()));
        let counted = run(&format!("{tables} -L OUTPUT -n -v -x"));
        let packets = counted.lines().nth(2).unwrap().split_whitespace().next().unwrap();
        assert_eq!(packets, "0", "{counted}");
        assert!(addresses.add(ip).unwrap());
    });
    for mut client in [client, other] {
        let mut heard = [0; 11];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"heard later");
    }
}

#[test]
fn without_its_address_a_socket_is_silent() {
    check_silent("10.1.0.100:7000");
}

#[test]
fn without_its_address_a_socket_of_ipv6_is_silent() {
    check_silent("[fd77::100]:7000");
}
