//! What the tests of this crate share: waiting with a deadline, and sockets.

use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::batch::ReceiveBatch;
use crate::namespace::Namespace;

/// How long a test waits for what must come, in milliseconds: far longer than
/// it takes on a busy machine, as only a failing test waits that long.
const PATIENCE: u16 = 10_000;

/// Whether there is something to read within the time that tests wait.
pub(crate) fn readable(file: impl AsFd) -> bool {
    let mut files = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    poll(&mut files, PollTimeout::from(PATIENCE)).unwrap() > 0
}

/// Reads `count` packets, with their senders; fails when they do not come.
pub(crate) fn read_packets(
    batch: &mut ReceiveBatch,
    socket: &UdpSocket,
    count: usize,
) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut packets = Vec::new();
    while packets.len() < count {
        assert!(readable(socket), "{} of {count} packets came", packets.len());
        batch.receive(socket).unwrap();
        packets.extend(batch.packets().map(|packet| (packet.from, packet.bytes.to_vec())));
    }
    packets
}

/// Machines on one wire: network namespaces that are joined by a bridge. The
/// kernel takes all of it away with this value.
pub(crate) struct Street {
    outside: Namespace,
    machines: Vec<Namespace>,
}

/// A street with so many machines; nothing, with a printed reason, where one may
/// not make namespaces. With `SEGUE_REQUIRE_NETNS=1` that is a failure.
pub(crate) fn street(machines: u8) -> Option<Street> {
    let required = std::env::var_os("SEGUE_REQUIRE_NETNS").is_some_and(|value| value == "1");
    match Namespace::new() {
        Ok(outside) => Some(Street::around(outside, machines)),
        Err(error) if required => panic!("SEGUE_REQUIRE_NETNS=1, but: {error}"),
        Err(error) => {
            let mut stderr = std::io::stderr();
            writeln!(stderr, "skipped: no network namespace can be made: {error}").unwrap();
            None
        }
    }
}

impl Street {
    fn around(outside: Namespace, machines: u8) -> Self {
        outside.within(|| {
            run("ip link set lo up");
            run("ip link add bridge0 type bridge mcast_snooping 0");
            run("ip address add 10.1.0.254/24 dev bridge0");
            run("ip address add fd77::fe/64 dev bridge0 nodad");
            run("ip link set bridge0 up");
        });
        let machines = (0..machines).map(|index| attach(&outside, index)).collect();
        let street = Self { outside, machines };
        street.until_it_carries();
        street
    }

    /// Where the clients are: 10.1.0.254 and fd77::fe.
    pub(crate) fn outside(&self) -> &Namespace {
        &self.outside
    }

    /// A machine: it has 10.1.0.N+1 and fd77::N+1, on `eth0`.
    pub(crate) fn machine(&self, index: usize) -> &Namespace {
        &self.machines[index]
    }

    /// The kernel notices by and by that its links are up; packets that come
    /// earlier vanish.
    fn until_it_carries(&self) {
        for index in 0..self.machines.len() {
            until(|| {
                let shown =
                    self.outside.within(|| run(&format!("ip -details link show port{index}")));
                shown.contains("state forwarding").then_some(())
            });
            until(|| {
                let shown = self.machine(index).within(|| run("ip link show eth0"));
                shown.contains("state UP").then_some(())
            });
        }
    }
}

fn attach(outside: &Namespace, index: u8) -> Namespace {
    let machine = Namespace::new().expect("there was one already");
    let there = machine.path();
    outside.within(|| {
        run(&format!("ip link add port{index} type veth peer name eth0 netns {}", there.display()));
        run(&format!("ip link set port{index} master bridge0 up"));
    });
    machine.within(|| {
        run("ip link set lo up");
        run("ip link set eth0 up");
        run(&format!("ip address add 10.1.0.{}/24 dev eth0", index + 1));
        run(&format!("ip address add fd77::{}/64 dev eth0 nodad", index + 1));
    });
    machine
}

/// Runs a command in the calling thread's namespace, and gives what it says.
pub(crate) fn run(command: &str) -> String {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Looks again and again until there is something; fails when that takes longer
/// than tests wait.
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_millis(PATIENCE.into());
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it does not come");
        std::thread::yield_now();
    }
}
