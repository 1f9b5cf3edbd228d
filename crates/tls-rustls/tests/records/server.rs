//! A server of one connection: rustls shakes hands, and [`Records`] goes on.
//!
//! It echoes what it reads. At moments that a seed gives, its owner changes: by
//! handing over, or by dying, when its understudy goes on with the same socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::Sender;

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConnection;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tls_rustls::records::{
    Epoch, Event, Extracted, Failure, Inlet, Mark, Records, Snapshot, extract,
};
use tls_rustls::{Config, HelloReader, Identity, Incarnation, Terminator};

/// What a test hears of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The client's key changed: how often it has.
    ClientKey(u32),
    Ended(Ended),
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) failure: Option<Failure>,
    pub(crate) received: Mark,
    pub(crate) sent: Mark,
    pub(crate) owners: u64,
}

/// What the server does of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// From where the moments come at which the owner changes; 0: it never does.
    pub(crate) seed: u64,
    /// Whether it changes keys itself now and then.
    pub(crate) updates: bool,
    /// It ends its direction after so many bytes; otherwise after the client.
    pub(crate) closes_after: Option<u64>,
}

/// A terminator whose connections are carried, and its certificate.
pub(crate) fn terminator(
    change: impl FnOnce(&mut Config),
) -> (Terminator, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let identity = Identity {
        chain: vec![certificate.clone()],
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    };
    let mut config = Config::new("a".to_owned(), Incarnation(1), vec![identity]);
    config.carried = true;
    change(&mut config);
    (Terminator::new(config).unwrap(), certificate)
}

/// Serves one connection in a thread of its own; says where.
pub(crate) fn serve(terminator: Terminator, plan: Plan, told: Sender<Told>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let extracted = shake_hands(&terminator, &stream);
        let mut unread = stream.try_clone().unwrap();
        let ended = Owner::new(stream, extracted, plan, told.clone()).run();
        // A test that has ended hears no more.
        let _ = told.send(Told::Ended(ended));
        // Closed with something unread, a socket resets, and the client would
        // lose what it has not read.
        let _ = unread.shutdown(Shutdown::Write);
        let _ = io::copy(&mut unread, &mut io::sink());
    });
    address
}

fn shake_hands(terminator: &Terminator, mut stream: &TcpStream) -> Extracted {
    let mut reader = HelloReader::default();
    let mut bytes = [0; 5000];
    let hello = loop {
        let len = stream.read(&mut bytes).unwrap();
        reader.buffer().extend_from_slice(&bytes[..len]);
        if let Some(hello) = reader.poll().unwrap() {
            break hello;
        }
    };
    let attempt = terminator.attempt(terminator.scope(&hello), None);
    let mut connection = ServerConnection::new(attempt.config()).unwrap();
    let (mut inlet, mut written) = (Inlet::default(), 0);
    inlet.put(&reader.into_bytes());
    while !inlet.feed(&mut connection).unwrap() {
        while connection.wants_write() {
            written += connection.write_tls(&mut stream).unwrap() as u64;
        }
        let len = stream.read(&mut bytes).unwrap();
        assert!(len > 0, "the client gave up");
        inlet.put(&bytes[..len]);
    }
    let tap = attempt.tap().unwrap();
    extract(connection, &tap, inlet, written, Epoch(1)).unwrap()
}

/// The owner of a connection, and the understudy that follows it.
struct Owner {
    stream: TcpStream,
    records: Option<Records>,
    understudy: Snapshot,
    /// The client's bytes from this position of its stream on, which the
    /// understudy has as well.
    kept: Vec<u8>,
    kept_from: u64,
    /// Up to where the owner was given them.
    given: u64,
    random: u64,
    plan: Plan,
    told: Sender<Told>,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

impl Owner {
    fn new(mut stream: TcpStream, extracted: Extracted, plan: Plan, told: Sender<Told>) -> Self {
        let Extracted { records, plaintext, unsent, unread } = extracted;
        assert!(plaintext.is_empty(), "rustls was given the handshake only");
        stream.write_all(&unsent).unwrap();
        Self {
            stream,
            understudy: sent_over(&records.snapshot()),
            kept: unread,
            kept_from: records.received().stream,
            given: records.received().stream,
            records: Some(records),
            random: plan.seed,
            plan,
            told,
            plain: Vec::new(),
            sealed: Vec::new(),
        }
    }

    fn run(mut self) -> Ended {
        let mut input = vec![0; 20_000];
        loop {
            let failure = self.take_in().err();
            if failure.is_some() || self.records().received_close() || self.is_done() {
                self.records().close();
                let event = encoded(self.records.as_mut().unwrap().flush(&mut self.sealed));
                self.tell_and_write(&[event]);
                return self.ended(failure);
            }
            match self.stream.read(&mut input) {
                Ok(len) if len > 0 => self.kept.extend_from_slice(&input[..len]),
                Ok(_) => return self.ended(None),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return self.ended(None);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Opens what is there, and echoes it.
    fn take_in(&mut self) -> Result<(), Failure> {
        while self.given < self.kept_from + self.kept.len() as u64 {
            let from = usize::try_from(self.given - self.kept_from).unwrap();
            let records = self.records.as_mut().unwrap();
            let generation = records.received().generation;
            self.plain.clear();
            let opened = records.open(&self.kept[from..], &mut self.plain);
            let mut events = vec![encoded(records.opened())];
            // Text of three pieces, so that they are seen to become one record.
            let (one, rest) = self.plain.split_at(self.plain.len() / 3);
            let (two, three) = rest.split_at(rest.len() / 2);
            if !self.plain.is_empty() {
                if self.plan.updates && records.sent().sequence > 5 {
                    records.update_keys();
                }
                events.push(encoded(records.seal(&[one, two, three], &mut self.sealed).unwrap()));
            }
            if records.received().generation > generation {
                events.push(encoded(records.flush(&mut self.sealed)));
                let _ = self.told.send(Told::ClientKey(records.received().generation));
            }
            self.given += opened.unwrap_or(0) as u64;
            self.tell_and_write(&events);
            opened?;
            self.change();
        }
        Ok(())
    }

    /// The understudy has it first, and gives the bytes that go out.
    fn tell_and_write(&mut self, events: &[Vec<u8>]) {
        let mut out = Vec::new();
        for event in events {
            let event = Event::decode(event).unwrap();
            self.understudy.apply(&event).unwrap();
            out.extend_from_slice(event.records());
        }
        assert_eq!(out, self.sealed);
        self.sealed.clear();
        // A client that is gone is seen by the next read.
        let _ = self.stream.write_all(&out);
        let safe = usize::try_from(self.understudy.resume_at() - self.kept_from).unwrap();
        self.kept.drain(..safe.min(self.kept.len()));
        self.kept_from += safe as u64;
    }

    /// Changes the owner, if it is the moment.
    fn change(&mut self) {
        if self.plan.seed == 0 {
            return;
        }
        // Knuth's multiplier, for 64 bits.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let records = self.records.take().unwrap();
        let epoch = records.epoch();
        let snapshot = match self.random >> 61 {
            0 => records.hand_over(),
            1 => sent_over(&self.understudy),
            _ => {
                self.records = Some(records);
                return;
            }
        };
        let snapshot = sent_over(&snapshot);
        self.given = snapshot.resume_at();
        let records = Records::restore(snapshot, Epoch(epoch.0 + 1)).unwrap();
        self.understudy = sent_over(&records.snapshot());
        self.records = Some(records);
    }

    const fn records(&mut self) -> &mut Records {
        self.records.as_mut().unwrap()
    }

    fn is_done(&mut self) -> bool {
        let plain = self.records().sent().plain;
        self.plan.closes_after.is_some_and(|after| plain >= after)
    }

    fn ended(self, failure: Option<Failure>) -> Ended {
        let records = self.records.unwrap();
        let (received, sent) = (records.received(), records.sent());
        Ended { failure, received, sent, owners: records.epoch().0 }
    }
}

fn sent_over(snapshot: &Snapshot) -> Snapshot {
    Snapshot::decode(&snapshot.encode()).unwrap()
}

fn encoded(event: Event<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    event.encode(&mut bytes);
    bytes
}
