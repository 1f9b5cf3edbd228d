use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream as Blocking};

use mio::{Events, Poll};
use proto::connection::stream::MAX_MESSAGE_BYTES;
use proto::time::Wall;
use segue::{Config, FARM_KEY_BYTES, FarmKey, Keyring, Node, Transport};
use zeroize::Zeroizing;

use super::*;

/// Where nodes call, and what waits for all of their sockets.
struct Bench {
    poll: Poll,
    events: Events,
    listener: Listener,
    tls: Tls,
}

const CALLER: Token = Token(0);
const CALLED: Token = Token(1);
const LISTENER: Token = Token(2);
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

impl Bench {
    fn new() -> Self {
        let poll = Poll::new().expect("there is one");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut listener = Listener::bind(any).expect("any port");
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("it is new");
        let tls = Tls::new().expect("a certificate is made");
        Self { poll, events: Events::with_capacity(64), listener, tls }
    }

    fn address(&self) -> SocketAddr {
        self.listener.address().expect("it has one")
    }

    fn call(&self, from: Option<IpAddr>, node: &Node) -> Stream {
        let call = Call { from, to: self.address() };
        let call = Stream::call(&call, &self.tls, node.identity(), at(0));
        let mut stream = call.expect("loopback can be called");
        self.poll.registry().register(&mut stream, CALLER, BOTH).expect("it is new");
        stream
    }

    /// What becomes of the next call.
    fn accept(&mut self, node: &Node) -> Accepted {
        loop {
            let accepted = self.listener.accept(&self.tls, &node.identity(), at(0));
            match accepted.expect("there are descriptors") {
                Accepted::Nobody => self.wait(),
                Accepted::Call(mut stream) => {
                    self.poll.registry().register(&mut *stream, CALLED, BOTH).expect("it is new");
                    return Accepted::Call(stream);
                }
                away @ Accepted::TurnedAway(_) => return away,
            }
        }
    }

    /// Both ends of a stream that has just begun.
    fn pair(&mut self, caller: &Node, called: &Node) -> (Stream, Stream) {
        let caller = self.call(None, caller);
        (caller, taken(self.accept(called)))
    }

    /// Waits until something has come, or may go on.
    fn wait(&mut self) {
        self.poll.poll(&mut self.events, Some(Duration::from_secs(10))).expect("it waits");
        assert!(!self.events.is_empty(), "nothing happens any more");
    }

    /// The same, and tells these ends.
    fn tell(&mut self, ends: &mut [(Token, &mut Stream)]) -> Result<(), Ended> {
        self.wait();
        for event in &self.events {
            for (token, stream) in ends.iter_mut() {
                if event.token() == *token {
                    stream.ready(at(0))?;
                }
            }
        }
        Ok(())
    }

    /// Both ends of a stream that stands.
    fn meet(&mut self, caller: &Node, called: &Node) -> (Stream, Stream) {
        let (mut caller, mut called) = self.pair(caller, called);
        while caller.peer().is_none() || called.peer().is_none() {
            self.tell(&mut [(CALLER, &mut caller), (CALLED, &mut called)]).expect("they agree");
        }
        (caller, called)
    }

    /// How a stream ends, of which only this end is looked at.
    fn end(&mut self, token: Token, stream: &mut Stream) -> Ended {
        loop {
            match stream.poll_frame(at(0)).map(|frame| frame.is_some()) {
                Ok(true) => {}
                Ok(false) => {
                    if let Err(ended) = self.tell(&mut [(token, stream)]) {
                        return ended;
                    }
                }
                Err(ended) => return ended,
            }
        }
    }
}

fn taken(accepted: Accepted) -> Stream {
    match accepted {
        Accepted::Call(stream) => *stream,
        Accepted::TurnedAway(_) | Accepted::Nobody => panic!("nobody was taken: {accepted:?}"),
    }
}

fn node(name: &str, key: u8) -> Node {
    let config = Config::new(name, ring(&[key]));
    let transport = Transport::Unicast;
    Node::start(Config { transport, memory_bytes: 1 << 20, ..config }).expect("it starts")
}

fn ring(keys: &[u8]) -> Keyring {
    let keys = keys.iter().map(|&byte| FarmKey::new([byte; FARM_KEY_BYTES]));
    let ring = Keyring::new(keys.collect()).expect("their ids differ");
    ring.placed_by(Zeroizing::new([7; 32]))
}

fn at(millis: u64) -> Now {
    let instant = Instant::from_micros(1_000_000 + millis * 1_000);
    Now { instant, wall: Wall::from_millis(1_767_225_600_000 + millis) }
}

/// The message of this number that one of the ends sends: of any length, and of
/// the longest every now and then.
fn put_message(number: u64, side: u64, out: &mut Vec<u8>) {
    let seed = (number * 2 + side).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let len = match number % 16 {
        0 => MAX_MESSAGE_BYTES,
        1 => 1,
        2..8 => usize::try_from(seed >> 32).expect("32 bits") % 200 + 1,
        _ => usize::try_from(seed >> 32).expect("32 bits") % MAX_MESSAGE_BYTES + 1,
    };
    out.extend_from_slice(&u32::try_from(len).expect("a frame's").to_be_bytes());
    let words = (0..).map(|word: u64| (seed ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd));
    out.extend(words.flat_map(u64::to_be_bytes).take(len));
}

/// One end that sends many messages and checks those that it gets.
struct Talk {
    side: u64,
    sent: u64,
    received: u64,
    expected: Vec<u8>,
}

impl Talk {
    const MESSAGES: u64 = 400;

    const fn new(side: u64) -> Self {
        Self { side, sent: 0, received: 0, expected: Vec::new() }
    }

    const fn is_over(&self) -> bool {
        self.sent == Self::MESSAGES && self.received == Self::MESSAGES
    }

    /// Sends and receives what can be.
    fn go_on(&mut self, stream: &mut Stream) {
        while self.sent < Self::MESSAGES && stream.has_room() {
            stream.push(|out| put_message(self.sent, self.side, out));
            self.sent += 1;
            stream.flush();
        }
        while let Some(frame) = stream.poll_frame(at(0)).expect("it stands") {
            let Frame::Message(bytes) = frame else { continue };
            self.expected.clear();
            put_message(self.received, 1 - self.side, &mut self.expected);
            assert!(bytes == &self.expected[4..], "message {} differs", self.received);
            self.received += 1;
        }
    }
}

#[test]
fn frames_of_all_lengths_come_as_they_were_sent_both_ways_at_once() {
    let (a, b) = (node("a", 1), node("b", 1));
    let mut bench = Bench::new();
    let (mut caller, mut called) = bench.meet(&a, &b);
    assert_eq!(caller.peer(), Some(&b.identity().introduction()));
    assert_eq!(called.peer(), Some(&a.identity().introduction()));
    let (mut asks, mut answers) = (Talk::new(0), Talk::new(1));
    loop {
        asks.go_on(&mut caller);
        answers.go_on(&mut called);
        if asks.is_over() && answers.is_over() {
            break;
        }
        bench.tell(&mut [(CALLER, &mut caller), (CALLED, &mut called)]).expect("it stands");
    }
}

#[test]
fn another_farms_node_is_refused_and_both_ends_say_by_which_key() {
    let (a, b) = (node("a", 1), node("b", 2));
    let mut bench = Bench::new();
    let (mut caller, mut called) = bench.pair(&a, &b);
    let mut ends = (None, None);
    while ends.0.is_none() {
        bench.wait();
        ends.1 = ends.1.or_else(|| called.ready(at(0)).err());
        ends.0 = caller.ready(at(0)).err();
    }
    let tried = a.identity().keys.borrow().sealing().id();
    let (Some(ours), Some(theirs)) = ends else { panic!("both end: {ends:?}") };
    for ended in [ours, theirs] {
        assert!(matches!(ended, Ended::Unproven { key_id } if key_id == tried), "{ended:?}");
        assert!(ended.to_string().contains(&format!("(id {tried})")), "{ended}");
    }
    assert!(caller.peer().is_none() && called.peer().is_none());
}

#[test]
fn a_node_does_not_talk_to_itself() {
    let a = node("a", 1);
    let mut bench = Bench::new();
    let (mut caller, mut called) = bench.pair(&a, &a);
    let ended = loop {
        if let Err(ended) = bench.tell(&mut [(CALLED, &mut called), (CALLER, &mut caller)]) {
            break ended;
        }
    };
    assert!(matches!(ended, Ended::Itself), "{ended:?}");
}

#[test]
fn who_says_nothing_is_dropped_after_a_while() {
    let a = node("a", 1);
    let mut bench = Bench::new();
    let mute = Blocking::connect(bench.address()).unwrap();
    let mut called = taken(bench.accept(&a));
    let while_waiting = called.poll_timeout();
    assert_eq!(while_waiting, at(0).instant + PROOF_TIME);
    called.handle_timeout(at(2_999)).expect("there is time");
    assert_eq!(bench.listener.unproven(), 1);
    let late = called.handle_timeout(at(3_000));
    assert!(matches!(late, Err(Ended::Late)), "{late:?}");
    drop(called);
    assert_eq!(bench.listener.unproven(), 0);
    drop(mute);
}

#[test]
fn who_does_not_answer_a_call_is_not_waited_for() {
    let a = node("a", 1);
    let bench = Bench::new();
    let mut caller = bench.call(None, &a);
    caller.ready(at(0)).expect("it is connected");
    caller.handle_timeout(at(2_999)).expect("there is time");
    let late = caller.handle_timeout(at(3_000));
    assert!(matches!(late, Err(Ended::Late)), "{late:?}");
}

#[test]
fn unproven_calls_are_few_and_few_of_one_host() {
    let a = node("a", 1);
    let mut bench = Bench::new();
    let mut callers = Vec::new();
    let mut called = Vec::new();
    let host = |number: usize| IpAddr::from([127, 0, 1, u8::try_from(number).expect("few")]);
    let hosts = MOST_UNPROVEN / MOST_OF_ONE_HOST;
    for number in 0..hosts {
        for _ in 0..MOST_OF_ONE_HOST {
            callers.push(bench.call(Some(host(number)), &a));
            called.push(taken(bench.accept(&a)));
        }
        if number == 0 {
            callers.push(bench.call(Some(host(number)), &a));
            let away = bench.accept(&a);
            assert!(matches!(away, Accepted::TurnedAway(by) if by == host(0)), "{away:?}");
        }
    }
    assert_eq!(bench.listener.unproven(), MOST_UNPROVEN);
    callers.push(bench.call(Some(host(hosts)), &a));
    let away = bench.accept(&a);
    assert!(matches!(away, Accepted::TurnedAway(by) if by == host(hosts)), "{away:?}");
    // One that ends makes place for one.
    called.pop();
    callers.push(bench.call(Some(host(hosts)), &a));
    called.push(taken(bench.accept(&a)));
}

#[test]
fn who_has_proven_itself_takes_no_place() {
    let (a, b) = (node("a", 1), node("b", 1));
    let mut bench = Bench::new();
    let (_caller, _called) = bench.meet(&a, &b);
    assert_eq!(bench.listener.unproven(), 0);
}

#[test]
fn what_is_no_tls_ends_it() {
    let a = node("a", 1);
    let mut bench = Bench::new();
    let mut stranger = Blocking::connect(bench.address()).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\nHost: segue\r\n\r\n").unwrap();
    let mut called = taken(bench.accept(&a));
    let ended = bench.end(CALLED, &mut called);
    assert!(matches!(ended, Ended::Tls(_)), "{ended:?}");
}

#[test]
fn an_unproven_caller_is_not_read_for_long() {
    let a = node("a", 1);
    let mut bench = Bench::new();
    let mut stranger = Blocking::connect(bench.address()).unwrap();
    // A hello that says it is 65,000 bytes long, in records of 16,000.
    let mut hello = vec![0; 16_000];
    hello[..4].copy_from_slice(&[1, 0, 0xfd, 0xe8]);
    for _ in 0..4 {
        stranger.write_all(&[22, 3, 1, 0x3e, 0x80]).unwrap();
        stranger.write_all(&hello).unwrap();
        hello[..4].fill(0);
    }
    let mut called = taken(bench.accept(&a));
    let ended = bench.end(CALLED, &mut called);
    assert!(matches!(ended, Ended::Wordy), "{ended:?}");
}

#[test]
fn pulses_come_every_ten_milliseconds_and_tell_the_clock() {
    let (a, b) = (node("a", 1), node("b", 1));
    let mut bench = Bench::new();
    let (mut caller, mut called) = bench.meet(&a, &b);
    for millis in [0, 10, 20] {
        assert_eq!(caller.poll_timeout(), at(millis).instant);
        caller.handle_timeout(at(millis)).expect("it stands");
        let pulse = loop {
            match called.poll_frame(at(millis)).expect("it stands") {
                Some(Frame::Pulse { clock }) => break clock,
                Some(Frame::Message(_)) => panic!("there is none"),
                None => bench.tell(&mut [(CALLED, &mut called)]).expect("it stands"),
            }
        };
        assert_eq!(pulse, at(millis).wall);
    }
}

#[test]
fn silence_is_found_and_only_silence() {
    let (a, b) = (node("a", 1), node("b", 1));
    let mut bench = Bench::new();
    let (mut caller, mut called) = bench.meet(&a, &b);
    called.handle_timeout(at(99)).expect("it was heard of");
    caller.handle_timeout(at(0)).expect("and pulses");
    while !bench_is_told(&mut bench, CALLED) {}
    // The pulse is at the socket: it was this end that was late.
    called.ready(at(1_000)).expect("nothing has ended");
    called.handle_timeout(at(1_000)).expect("it is there");
    assert_eq!(called.poll_timeout(), at(1_010).instant);
    called.handle_timeout(at(1_099)).expect("it was heard of");
    let ended = called.handle_timeout(at(1_100));
    assert!(matches!(ended, Err(Ended::Silent)), "{ended:?}");
}

/// Waits, and says whether that socket is ready.
fn bench_is_told(bench: &mut Bench, token: Token) -> bool {
    bench.wait();
    bench.events.iter().any(|event| event.token() == token && event.is_readable())
}

#[test]
fn a_closed_stream_is_known_and_what_came_before_is_read() {
    let (a, b) = (node("a", 1), node("b", 1));
    let mut bench = Bench::new();
    let (mut caller, mut called) = bench.meet(&a, &b);
    caller.push(|out| out.extend_from_slice(&[0, 0, 0, 2, 8, 9]));
    assert!(!caller.flush(), "there is room for six bytes");
    drop(caller);
    let read = loop {
        match called.poll_frame(at(0)).expect("not before it was read") {
            Some(Frame::Message(bytes)) => break bytes.to_vec(),
            Some(Frame::Pulse { .. }) => {}
            None => bench.wait(),
        }
    };
    assert_eq!(read, [8, 9]);
    let ended = bench.end(CALLED, &mut called);
    assert!(matches!(ended, Ended::Closed(_)), "{ended:?}");
}

#[test]
fn nobody_there_is_closed() {
    let a = node("a", 1);
    let mut bench = Bench::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = gone.local_addr().unwrap();
    drop(gone);
    let call = Stream::call(&Call { from: None, to }, &bench.tls, a.identity(), at(0));
    // Loopback may say so at once.
    let refused = match call {
        Err(error) => error,
        Ok(mut caller) => {
            bench.poll.registry().register(&mut caller, CALLER, BOTH).unwrap();
            let ended = bench.end(CALLER, &mut caller);
            let Ended::Closed(error) = ended else { panic!("{ended:?}") };
            error
        }
    };
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_frame_that_is_too_long_ends_it() {
    let (a, b) = (node("a", 1), node("b", 1));
    let mut bench = Bench::new();
    let (mut caller, mut called) = bench.meet(&a, &b);
    let len = u32::try_from(MAX_MESSAGE_BYTES + 1).unwrap();
    caller.push(|out| out.extend_from_slice(&len.to_be_bytes()));
    caller.flush();
    let ended = bench.end(CALLED, &mut called);
    assert!(matches!(ended, Ended::Malformed(_)), "{ended:?}");
}

#[test]
fn a_frame_in_crumbs_ends_it() {
    let (a, b) = (node("a", 1), node("b", 1));
    let mut bench = Bench::new();
    let (mut caller, mut called) = bench.meet(&a, &b);
    // The record ends before the frame does.
    caller.push(|out| out.extend_from_slice(&[0, 0, 0, 2, 8]));
    caller.flush();
    let ended = bench.end(CALLED, &mut called);
    assert!(matches!(ended, Ended::Malformed(_)), "{ended:?}");
}

#[test]
fn what_nobody_has_sealed_ends_it() {
    let (a, b) = (node("a", 1), node("b", 1));
    let mut bench = Bench::new();
    let (mut caller, mut called) = bench.meet(&a, &b);
    let record = [[0, 0, 0, 2].as_slice(), &[0; 18]].concat();
    assert_eq!(caller.pipe.write(&record), record.len());
    let ended = bench.end(CALLED, &mut called);
    assert!(matches!(ended, Ended::Forged), "{ended:?}");
}

#[test]
fn a_stream_ends_with_the_key_that_was_proven() {
    let (a, b) = (node("a", 1), node("b", 1));
    let mut bench = Bench::new();
    let (mut caller, mut called) = bench.meet(&a, &b);
    b.rekey(ring(&[2, 1])).unwrap();
    called.handle_timeout(at(0)).expect("the key is still there");
    b.rekey(ring(&[2])).unwrap();
    let ended = called.handle_timeout(at(10));
    assert!(matches!(ended, Err(Ended::Rekeyed)), "{ended:?}");
    caller.handle_timeout(at(10)).expect("that node has it");
}
