//! A connection that moves from server to server, at any moment: by its own
//! snapshot, or by that of an understudy that followed.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// What happens next on a connection.
#[derive(Debug, Clone)]
enum Operation {
    /// The server sends this much, in pieces.
    Send(Vec<usize>),
    /// The client sends this much, in pieces.
    Receive(Vec<usize>),
    /// This much of what the client sent arrives.
    Arrive(usize),
    ServerUpdates,
    ClientUpdates,
    Flush,
    /// The owner hands over.
    HandOver,
    /// The owner dies, and the understudy goes on.
    TakeOver,
    /// The understudy is seeded anew.
    Seed,
    /// The understudy hears of all that was opened.
    Release,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let pieces =
        || prop::collection::vec(prop_oneof![4 => 0_usize..300, 1 => 16_000_usize..40_000], 0..4);
    let arrived = prop_oneof![3 => 0_usize..400, 1 => 0_usize..80_000];
    let operation = prop_oneof![
        4 => pieces().prop_map(Operation::Send),
        4 => pieces().prop_map(Operation::Receive),
        6 => arrived.prop_map(Operation::Arrive),
        1 => Just(Operation::ServerUpdates),
        1 => Just(Operation::ClientUpdates),
        1 => Just(Operation::Flush),
        2 => Just(Operation::HandOver),
        2 => Just(Operation::TakeOver),
        1 => Just(Operation::Seed),
        3 => Just(Operation::Release),
    ];
    prop::collection::vec(operation, 1..40)
}

/// A connection, its client, and an understudy that hears of each step.
struct Carried {
    owner: Records,
    understudy: Snapshot,
    /// What was opened and is not safe yet.
    held: Vec<Encoded>,
    client: Records,
    /// All that the client has sent: what is not acknowledged, it sends again.
    from_client: Vec<u8>,
    arrived: usize,
    /// All that was sent to the client.
    to_client: Vec<u8>,
    /// What both applications wrote and read.
    written: [Vec<u8>; 2],
    read: [Vec<u8>; 2],
}

impl Carried {
    fn new(suite: Suite) -> Self {
        let (owner, client) = pair(suite);
        Self {
            understudy: copy(&owner.snapshot()),
            owner,
            held: Vec::new(),
            client,
            from_client: Vec::new(),
            arrived: 0,
            to_client: Vec::new(),
            written: Default::default(),
            read: Default::default(),
        }
    }

    fn run(&mut self, operation: Operation) {
        match operation {
            Operation::Send(lens) => {
                let pieces = pieces(&lens, self.written[0].len());
                self.written[0].extend(pieces.concat());
                let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
                self.step(|owner, out| owner.seal(&pieces, out).expect("it is open").into());
            }
            Operation::Receive(lens) => {
                let pieces = pieces(&lens, self.written[1].len());
                self.written[1].extend(pieces.concat());
                let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
                self.client.seal(&pieces, &mut self.from_client).expect("it is open");
            }
            Operation::Arrive(len) => self.arrive(len),
            Operation::ServerUpdates => self.owner.update_keys(),
            Operation::ClientUpdates => {
                self.client.update_keys();
                self.client.flush(&mut self.from_client);
            }
            Operation::Flush => self.step(|owner, out| owner.flush(out).into()),
            Operation::HandOver => self.go_on(self.owner.snapshot()),
            Operation::TakeOver => self.go_on(copy(&self.understudy)),
            Operation::Seed => {
                self.understudy = copy(&self.owner.snapshot());
                self.held.clear();
            }
            Operation::Release => self.release(),
        }
    }

    /// Has the owner seal something, and the understudy and the client get it.
    fn step(&mut self, seal: impl FnOnce(&mut Records, &mut Vec<u8>) -> Encoded) {
        let mut out = b"what was there".to_vec();
        let event = seal(&mut self.owner, &mut out);
        let event = Event::decode(&event.0).expect("it was encoded");
        assert_eq!(event.records(), &out[b"what was there".len()..]);
        self.understudy.apply(&event).expect("it is the next one");
        self.to_client.extend_from_slice(event.records());
        assert_eq!(event.sent().stream, self.to_client.len() as u64);
        let (plain, outcome) = open_all(&mut self.client, event.records());
        outcome.expect("the client reads all that is sent to it");
        self.read[0].extend(plain);
    }

    fn arrive(&mut self, len: usize) {
        let upto = self.from_client.len().min(self.arrived + len);
        while self.arrived < upto {
            let input = &self.from_client[self.arrived..upto];
            let taken = self.owner.open(input, &mut self.read[1]).expect("the client is honest");
            self.arrived += taken;
            self.held.push(self.owner.opened().into());
        }
        assert_eq!(self.owner.received().plain, self.read[1].len() as u64);
    }

    fn release(&mut self) {
        for event in self.held.drain(..) {
            let event = Event::decode(&event.0).expect("it was encoded");
            self.understudy.apply(&event).expect("it is the next one");
        }
    }

    fn go_on(&mut self, snapshot: Snapshot) {
        let snapshot = copy(&snapshot);
        // What was not safe is opened again.
        self.held.clear();
        let safe = usize::try_from(snapshot.received().plain).expect("it is short");
        self.read[1].truncate(safe);
        self.arrived = usize::try_from(snapshot.resume_at()).expect("it is short");
        let epoch = Epoch(self.owner.epoch().0 + 1);
        self.owner = Records::restore(snapshot, epoch).expect("the epoch is a later one");
        self.understudy = copy(&self.owner.snapshot());
    }

    fn end(mut self) {
        self.arrive(usize::MAX / 2);
        self.run(Operation::Flush);
        self.client.close();
        self.client.flush(&mut self.from_client);
        self.arrive(usize::MAX / 2);
        self.release();
        assert!(self.owner.received_close());
        self.owner.close();
        self.run(Operation::Flush);
        assert!(self.client.received_close());
        assert!(self.read == self.written, "every byte arrives once, in order");
        let agreed = copy(&self.owner.snapshot()).encode() == self.understudy.encode();
        assert!(agreed, "owner and understudy have the same at the end");
    }
}

/// An event, as it goes over the network.
struct Encoded(Vec<u8>);

impl From<Event<'_>> for Encoded {
    fn from(event: Event<'_>) -> Self {
        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        Self(bytes)
    }
}

/// A snapshot, sent over the network.
fn copy(snapshot: &Snapshot) -> Snapshot {
    let bytes = snapshot.encode();
    assert!(bytes.len() <= MAX_SNAPSHOT_BYTES);
    Snapshot::decode(&bytes).expect("it was encoded")
}

/// Bytes that tell where in the stream they are.
fn pieces(lens: &[usize], mut at: usize) -> Vec<Vec<u8>> {
    let piece = |&len: &usize| {
        let from = at;
        at += len;
        (from..at).map(|at| (at * 31 + at / 251).to_be_bytes()[7]).collect()
    };
    lens.iter().map(piece).collect()
}

proptest! {
    #[test]
    fn every_byte_arrives_once_wherever_it_goes_on(
        suite in prop::sample::select(&SUITES),
        operations in operations(),
    ) {
        let mut carried = Carried::new(suite);
        operations.into_iter().for_each(|operation| carried.run(operation));
        carried.end();
    }

    #[test]
    fn a_step_that_is_missing_is_noticed(lens in prop::collection::vec(1_usize..300, 2..6), which: Index) {
        let (mut server, _) = pair(Suite::Aes256Gcm);
        let mut understudy = copy(&server.snapshot());
        let missing = which.index(lens.len() - 1);
        for (at, len) in lens.iter().enumerate() {
            let mut out = Vec::new();
            let event = server.seal(&[&vec![0; *len]], &mut out).unwrap();
            if at != missing {
                let applied = understudy.apply(&event);
                let expected = if at < missing { Ok(()) } else { Err(SnapshotError::Gap) };
                prop_assert_eq!(applied, expected);
            }
        }
    }

    #[test]
    fn garbage_is_refused(bytes: Vec<u8>) {
        prop_assert!(Snapshot::decode(&bytes).is_err());
        let _ = Event::decode(&bytes);
    }

    /// Whatever decodes, works: it seals, opens and follows without a panic.
    #[test]
    fn a_damaged_snapshot_never_panics(
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        pending in 0_usize..5 + (1 << 14) + 17,
    ) {
        let (mut server, mut client) = pair(Suite::ChaCha20Poly1305);
        let record = sealed(&mut client, &vec![5; 1 << 14]);
        open_all(&mut server, &record[..pending]).1.unwrap();
        let mut bytes = server.snapshot().encode().to_vec();
        let mut event = Encoded::from(server.opened()).0;
        for (at, byte) in damage {
            // Where the numbers are, mostly.
            *at.get_mut(&mut bytes[..100]) = byte;
            *at.get_mut(&mut event) = byte;
        }
        if let (Ok(snapshot), Ok(event)) = (&mut Snapshot::decode(&bytes), Event::decode(&event)) {
            let _ = snapshot.apply(&event);
        }
        if let Ok(snapshot) = Snapshot::decode(&bytes) {
            go_on(snapshot, &record[pending..]);
        }
    }
}

fn with<'a>(mut event: Event<'a>, change: impl FnOnce(&mut Event<'a>)) -> Event<'a> {
    change(&mut event);
    event
}

fn go_on(snapshot: Snapshot, input: &[u8]) {
    let encoded = snapshot.encode();
    let Ok(mut records) = Records::restore(snapshot, Epoch(u64::MAX)) else { return };
    let again = Records::snapshot(&records).encode();
    assert_eq!(encoded[10..], again[10..], "all but the epoch is the same");
    let _ = open_all(&mut records, input);
    let _ = records.seal(&[b"x"], &mut Vec::new());
    records.close();
    records.flush(&mut Vec::new());
    assert!(!records.wants_flush());
}

#[test]
fn what_was_sealed_first_is_not_told_after_what_was_opened_then() {
    let (mut server, mut client) = pair(Suite::Aes256Gcm);
    let mut understudy = server.snapshot();
    let mut out = Vec::new();
    let event = server.seal(&[b"first"], &mut out).unwrap();
    open_all(&mut server, &sealed(&mut client, b"then")).1.unwrap();
    let mut ahead = server.snapshot();
    ahead.state.sent = understudy.state.sent;
    assert_eq!(ahead.apply(&event), Err(SnapshotError::Gap));
    understudy.apply(&event).unwrap();
    understudy.apply(&server.opened()).unwrap();
}

#[test]
fn an_understudy_refuses_what_cannot_be() {
    let (mut server, _) = pair(Suite::Aes256Gcm);
    let mut understudy = server.snapshot();
    let mut out = Vec::new();
    let event = server.seal(&[b"some", b" words"], &mut out).unwrap();
    let records = event.records();
    let wrong = [
        with(event, |event| event.sealed = None),
        with(event, |event| event.sealed = Some(&[])),
        with(event, |event| event.sealed = Some(&records[1..])),
        with(event, |event| event.state.sent.at.sequence = 2),
        with(event, |event| event.state.sent.at.sequence = 0),
        with(event, |event| event.state.sent.at.stream += 1),
        with(event, |event| event.state.sent.at.plain = u64::MAX / 2),
        with(event, |event| event.state.sent.at.generation = 1),
        with(event, |event| event.state.sent.at.generation = u32::MAX),
    ];
    for event in wrong {
        assert_eq!(understudy.apply(&event), Err(SnapshotError::Gap), "{event:?}");
    }
    understudy.apply(&event).expect("nothing was changed by those");
    assert_eq!(understudy.apply(&event), Err(SnapshotError::Gap), "it was applied already");
}

/// As the fuzzer has it: the length of a snapshot in two bytes, the snapshot,
/// and an event.
#[test]
fn the_fuzzers_corpus_is_read_or_refused() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/records");
    let (mut read, mut applied) = (0, 0);
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let mut reader = crate::reader::Reader::new(&bytes);
        let Ok(mut snapshot) =
            reader.vector16().map_err(drop).and_then(|bytes| Snapshot::decode(bytes).map_err(drop))
        else {
            continue;
        };
        read += 1;
        if let Ok(event) = Event::decode(reader.rest()) {
            applied += usize::from(snapshot.apply(&event).is_ok());
        }
        go_on(snapshot, reader.rest());
    }
    assert!(read > applied && applied > 0, "snapshots, and events that fit");
}
