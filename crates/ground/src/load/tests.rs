use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

const AMOUNTS: [(Amount, Amount); 7] = [
    (Amount::Bytes(0), Amount::Bytes(0)),
    (Amount::Bytes(3_000_000), Amount::Bytes(10)),
    (Amount::Bytes(10), Amount::Bytes(3_000_000)),
    (Amount::UntilEnd, Amount::UntilEnd),
    (Amount::Nothing, Amount::Nothing),
    (Amount::Bytes(100_000), Amount::Echo),
    (Amount::Turns(64), Amount::Echo),
];

fn backend() -> Backend {
    Backend::start(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
}

fn plan(backend: &Backend, upload: Amount, download: Amount) -> Plan {
    Plan { to: backend.address(), security: Security::Plain, upload, download }
}

#[test]
fn all_amounts_come_right() {
    let (backend, clients) = (backend(), Clients::start().unwrap());
    for (upload, download) in AMOUNTS {
        let near = clients.connect(&plan(&backend, upload, download)).unwrap();
        if upload == Amount::UntilEnd {
            assert!(near.until(PATIENCE, |account| account.received > 5_000_000));
        }
        if upload == Amount::Turns(64) {
            assert!(near.until(PATIENCE, |account| account.turns.len() > 10));
        }
        assert!(backend.end(near.id(), PATIENCE).is_some());
        assert_eq!(near.outcome(&backend), Outcome::Right, "{upload:?} {download:?}");
    }
}

#[test]
fn who_does_not_read_stops_the_other() {
    let (backend, clients) = (backend(), Clients::start().unwrap());
    let near = clients.connect(&plan(&backend, Amount::UntilEnd, Amount::UntilEnd)).unwrap();
    near.hold(true);
    // It goes on sending, and has been told so long before it has sent this.
    let enough = near.account().sent + (16 << 20);
    assert!(near.until(PATIENCE, |account| account.sent > enough));
    let held = near.account().received;
    assert!(near.until(PATIENCE, |account| account.sent > 2 * enough));
    assert_eq!(near.account().received, held);
    near.hold(false);
    assert_eq!(near.outcome(&backend), Outcome::Right);
}

#[test]
fn a_changed_byte_is_found() {
    let (backend, clients) = (backend(), Clients::start().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let behind = backend.address();
    let relay = thread::spawn(move || {
        let (mut client, mut server) =
            (listener.accept().unwrap().0, TcpStream::connect(behind).unwrap());
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        bytes[1_000] ^= 1;
        server.write_all(&bytes).unwrap();
        server.read_to_end(&mut Vec::new()).unwrap();
    });
    let all = Amount::Bytes(5_000);
    let near = clients.connect(&Plan { to, ..plan(&backend, all, Amount::Nothing) }).unwrap();
    let far = backend.end(near.id(), PATIENCE).unwrap();
    assert!(far.until(PATIENCE, |account| account.state == State::Wrong(1_000 - 18)));
    assert!(matches!(near.outcome(&backend), Outcome::Wrong(_)));
    relay.join().unwrap();
}

#[test]
fn a_broken_connection_is_told_from_an_end() {
    let (backend, clients) = (backend(), Clients::start().unwrap());
    let near = clients.connect(&plan(&backend, Amount::UntilEnd, Amount::UntilEnd)).unwrap();
    let far = backend.end(near.id(), PATIENCE).unwrap();
    far.abort();
    assert!(matches!(near.outcome(&backend), Outcome::Reset(_)));
}

#[test]
fn a_pause_is_measured() {
    let (backend, clients) = (backend(), Clients::start().unwrap());
    let near = clients.connect(&plan(&backend, Amount::UntilEnd, Amount::UntilEnd)).unwrap();
    assert!(near.until(PATIENCE, |account| account.received > 0));
    assert!(near.pause().is_none());
    let (begun, received) = (Instant::now(), near.account().received);
    near.mark(begun);
    assert!(near.until(PATIENCE, |account| account.received > received + 1_000_000));
    assert!(near.pause().unwrap() <= begun.elapsed());
    near.end();
    assert_eq!(near.outcome(&backend), Outcome::Right);
    // Nothing comes any more, and that is a silence as well.
    let ended = near.pause().unwrap();
    while near.pause().unwrap() < ended + Duration::from_millis(50) {
        assert!(begun.elapsed() < PATIENCE);
        thread::yield_now();
    }
}
