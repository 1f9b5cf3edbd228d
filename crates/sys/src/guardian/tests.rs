use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::net::UdpSocket;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

use super::*;
use crate::interface::Interface;
use crate::process;
use crate::testing::{Street, street, until};

/// What the test program is to be: one of these tests is then its only one.
const ROLE: &str = "SEGUE_TEST_GUARDIAN";

const ADDRESSES: [&str; 2] = ["10.1.0.100", "fd77::100"];

fn command(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = format!("guardian::tests::as_{role}");
    command.args(["--exact", &test, "--nocapture"]).env(ROLE, role);
    command
}

fn is(role: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|value| value == role)
}

fn held() -> [Held; 2] {
    let interface = Interface::Name("eth0".into()).index().unwrap();
    ADDRESSES.map(|address| Held { address: address.parse().unwrap(), interface })
}

fn add(held: Held) {
    assert!(Addresses::of(held.interface).unwrap().add(held.address).unwrap());
}

/// Which of the addresses the machine has.
fn here(street: &Street) -> [bool; 2] {
    street.machine(0).within(|| ADDRESSES.map(|address| UdpSocket::bind((address, 0)).is_ok()))
}

/// The child of the tests below, and nothing otherwise.
#[test]
fn as_guardian() {
    if is("guardian") {
        run(io::stdin(), io::stdout()).unwrap();
    }
}

/// The parent that is killed below, and nothing otherwise: it holds all
/// addresses and says who its guardian is.
#[test]
fn as_parent() {
    if is("parent") {
        // As whoever started us may have left one.
        let stray = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        stray.set_cloexec(false).unwrap();
        let mut guardian = Guardian::spawn(command("guardian"), None).unwrap();
        for held in held() {
            guardian.hold(held).unwrap();
            add(held);
        }
        // Apart from what else is printed.
        writeln!(io::stdout(), "\nguardian {}", guardian.id()).unwrap();
        // It waits for an end that does not come.
        io::stdin().lines().for_each(drop);
    }
}

fn parent(street: &Street) -> (Child, u32) {
    let mut command = command("parent");
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut parent = street.machine(0).within(|| pipes.spawn()).unwrap();
    let said = BufReader::new(parent.stdout.take().unwrap());
    let lines = said.lines().map(|line| line.unwrap());
    let guardian =
        lines.filter_map(|line| line.strip_prefix("guardian ").map(str::to_owned)).next();
    (parent, guardian.unwrap().parse().unwrap())
}

#[test]
fn addresses_go_with_a_parent_that_is_killed() {
    let Some(street) = street(1) else { return };
    let (mut parent, guardian) = parent(&street);
    assert_eq!(here(&street), [true; 2]);
    // What a service or a terminal sends to all of it does nothing here.
    for signal in IGNORED {
        kill(Pid::from_raw(guardian.try_into().unwrap()), signal).unwrap();
    }
    // Nothing of its parent's but three files, of which one is no file, and the two
    // others once more. (While it starts, it opens others.)
    let files = || {
        let files = fs::read_dir(format!("/proc/{guardian}/fd")).unwrap();
        // One that was closed since is none.
        files.filter_map(|file| fs::read_link(file.unwrap().path()).ok()).collect::<Vec<_>>()
    };
    until(|| {
        let files = files();
        let null = files.iter().filter(|file| file.as_os_str() == "/dev/null").count();
        ((files.len(), null) == (5, 1)).then_some(())
    });

    parent.kill().unwrap();
    until(|| (here(&street) == [false; 2]).then_some(()));
    parent.wait().unwrap();
}

#[test]
fn a_parent_that_stands_still_is_not_gone() {
    let Some(street) = street(1) else { return };
    let (mut parent, guardian) = parent(&street);
    process::halt(parent.id()).unwrap();
    // The guardian is asleep, having nothing to read.
    until(|| {
        let status = fs::read_to_string(format!("/proc/{guardian}/stat")).unwrap();
        status.contains(") S ").then_some(())
    });
    assert_eq!(here(&street), [true; 2]);
    parent.kill().unwrap();
    parent.wait().unwrap();
    until(|| (here(&street) == [false; 2]).then_some(()));
}

#[test]
fn addresses_go_when_pulses_do_not_come_and_can_be_held_again() {
    let Some(street) = street(1) else { return };
    street.machine(0).within(|| {
        let mut guardian = Guardian::spawn(command("guardian"), None).unwrap();
        let held = held();
        for held in held {
            guardian.hold(held).unwrap();
            add(held);
        }
        guardian.pulse(Duration::from_millis(20)).unwrap();
        until(|| (here(&street) == [false; 2]).then_some(()));
        // It is still there, and nothing that it does comes late.
        guardian.pulse(Duration::from_secs(1_000)).unwrap();
        guardian.hold(held[0]).unwrap();
        add(held[0]);
        assert_eq!(here(&street), [true, false]);
        assert!(guardian.end().unwrap().success());
    });
    assert_eq!(here(&street), [false; 2]);
}

#[test]
fn a_guardian_that_stands_still_holds_nobody_up() {
    let mut guardian = Guardian::spawn(command("guardian"), None).unwrap();
    process::halt(guardian.id()).unwrap();
    let held = Held { address: "10.1.0.100".parse().unwrap(), interface: u32::MAX };
    // On a busy machine it may still do an order that came before it stopped.
    let stands_still = until(|| guardian.hold(held).err());
    assert_eq!(stands_still.kind(), io::ErrorKind::TimedOut);
    let full = until(|| guardian.pulse(Duration::from_secs(1)).err());
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    assert!(!guardian.dismiss().unwrap().success());
}

#[test]
fn what_is_released_stays() {
    let Some(street) = street(1) else { return };
    street.machine(0).within(|| {
        let mut guardian = Guardian::spawn(command("guardian"), None).unwrap();
        let held = held();
        for held in held {
            guardian.hold(held).unwrap();
            add(held);
        }
        guardian.release(held[1]).unwrap();
        // It was never there, or is gone already: that is no failure.
        let gone = Held { address: "10.1.0.101".parse().unwrap(), ..held[0] };
        guardian.hold(gone).unwrap();
        assert!(guardian.end().unwrap().success());
    });
    assert_eq!(here(&street), [false, true]);
}

#[test]
fn a_guardian_that_is_gone_is_noticed() {
    let mut guardian = Guardian::spawn(Command::new("true"), None).unwrap();
    until(|| guardian.is_gone().unwrap().then_some(()));
}

#[test]
fn an_order_is_read_as_it_was_written() {
    for address in ADDRESSES {
        let held = Held { address: address.parse().unwrap(), interface: 0x0102_0304 };
        assert_eq!(Held::ordered(held.order(HOLD)), (HOLD, held));
    }
    // What is no order is none, and what is cut is the end.
    let held = Held { address: "10.1.0.100".parse().unwrap(), interface: u32::MAX };
    let ((ours, mut orders), (answers, theirs)) = (io::pipe().unwrap(), io::pipe().unwrap());
    orders.write_all(&[held.order(7).as_slice(), &held.order(HOLD)[..20]].concat()).unwrap();
    drop(orders);
    run(ours, &theirs).unwrap();
    drop(theirs);
    assert_eq!(io::read_to_string(answers).unwrap(), "");
}
