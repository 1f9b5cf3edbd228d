//! The load: connections of one thread, each of which sends a batch of
//! requests and waits for all replies before it sends the next.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use proto::rng::Rng;

use super::speech::{Batch, Operation, Protocol};

/// How long a server may take for a reply.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a wrong answer is shown: more than an error's text.
const SHOWN_BYTES: usize = 200;
/// How much is read at a time: replies to sixteen gets of a kilobyte.
const READ_BYTES: usize = 32 * 1024;

/// Connections to a server.
pub(super) struct Load {
    protocol: Protocol,
    poll: Poll,
    lines: Vec<Line>,
    rng: Rng,
}

/// What is asked for in a slice of a measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) operation: Operation,
    /// How many requests are sent together.
    pub(super) pipeline: usize,
    pub(super) value_bytes: usize,
    pub(super) keys: Keys,
}

/// Which keys, and how often.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keys {
    /// Any of so many, until a time has passed.
    Any(u32, Duration),
    /// Each of so many once, a whole batch at least.
    Each(u32),
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) operations: u64,
    pub(super) elapsed: Duration,
    /// How long each batch waited for its last reply, in microseconds.
    pub(super) micros: Vec<f64>,
}

struct Line {
    stream: TcpStream,
    batch: Batch,
    sent: usize,
    received: usize,
    began: Instant,
    waits: bool,
}

impl Load {
    /// Connects so many times.
    pub(super) fn connect(
        address: SocketAddr,
        protocol: Protocol,
        connections: usize,
    ) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut lines = Vec::new();
        for place in 0..connections {
            let stream = std::net::TcpStream::connect(address)
                .with_context(|| format!("a connection to {address}"))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(place), both)?;
            let batch = protocol.batch(Operation::Get, 0, 0);
            let began = Instant::now();
            lines.push(Line { stream, batch, sent: 0, received: 0, began, waits: false });
        }
        Ok(Self { protocol, poll, lines, rng: Rng::from_u64(1) })
    }

    /// Does some work.
    ///
    /// # Errors
    ///
    /// When the server does not answer as it has to, a miss included.
    pub(super) fn work(&mut self, work: &Work) -> anyhow::Result<Outcome> {
        let Self { protocol, poll, lines, rng } = self;
        let batch = protocol.batch(work.operation, work.pipeline, work.value_bytes);
        lines.iter_mut().for_each(|line| line.batch = batch.clone());
        let began = Instant::now();
        let (mut outcome, mut next) = (Outcome::default(), 0_u32);
        let mut begin = |line: &mut Line| -> anyhow::Result<bool> {
            match work.keys {
                Keys::Any(_, time) if began.elapsed() >= time => return Ok(false),
                Keys::Each(keys) if next >= keys => return Ok(false),
                Keys::Any(keys, _) => {
                    let (mut which, mut values) =
                        (Rng::from_u64(rng.next_u64()), Rng::from_u64(rng.next_u64()));
                    let mut any = || u32::try_from(which.below(keys.into())).expect("below a u32");
                    line.batch.turn(&mut any, &mut values);
                }
                Keys::Each(_) => line.batch.turn(|| (next, next += 1).0, rng),
            }
            line.begin()?;
            Ok(true)
        };
        let mut waiting = 0;
        for line in lines.iter_mut() {
            waiting += usize::from(begin(line)?);
        }
        let (mut events, mut room) = (Events::with_capacity(128), vec![0; READ_BYTES]);
        while waiting > 0 {
            poll.poll(&mut events, Some(PATIENCE))?;
            ensure!(!events.is_empty(), "a server does not answer a {:?} in full", work.operation);
            for event in &events {
                let line = &mut lines[event.token().0];
                if !line.waits || !line.go_on(&mut room)? {
                    continue;
                }
                outcome.operations += work.pipeline as u64;
                outcome.micros.push(line.began.elapsed().as_secs_f64() * 1e6);
                waiting -= usize::from(!begin(line)?);
            }
        }
        outcome.elapsed = began.elapsed();
        Ok(outcome)
    }
}

impl Line {
    fn begin(&mut self) -> io::Result<()> {
        (self.sent, self.received, self.began, self.waits) = (0, 0, Instant::now(), true);
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.batch.bytes.len() {
            match self.stream.write(&self.batch.bytes[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends and reads what there is to; gives whether the last reply is here.
    fn go_on(&mut self, room: &mut [u8]) -> anyhow::Result<bool> {
        self.send()?;
        let (reply, wanted) = (&self.batch.reply, self.batch.reply_bytes());
        loop {
            let read = match self.stream.read(room) {
                Ok(0) => bail!("a server closes the connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let found = &room[..read];
            // What has no value is the same from end to end.
            let is_short = reply.head.len() == reply.length;
            let same = if is_short { read } else { reply.head.len().saturating_sub(self.received) };
            let expected = reply.head.iter().cycle().skip(self.received % reply.length).take(same);
            if !found.iter().zip(expected).all(|(found, expected)| found == expected) {
                let found = String::from_utf8_lossy(&found[..read.min(SHOWN_BYTES)]).into_owned();
                bail!("a server answers {found:?} to a {:?}", self.batch.operation);
            }
            self.received += read;
            ensure!(self.received <= wanted, "a server answers more than it was asked");
            if self.received == wanted {
                self.waits = false;
                return Ok(true);
            }
            // What is shorter than the room was all there was.
            if read < room.len() {
                return Ok(false);
            }
        }
    }
}
