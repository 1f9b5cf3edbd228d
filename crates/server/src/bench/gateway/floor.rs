//! `segue bench-floor`: what a server costs that has no cache. One thread waits
//! for its connections, counts the requests that have come, which are all of
//! two lengths, and answers each sort by the same bytes.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Ipv4Addr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::VALUE_BYTES;
use super::servers::announce;
use super::speech::{Batch, Operation, Protocol};

const LISTENER: Token = Token(usize::MAX);
/// How much is read at a time: as the gateway does.
const READ_BYTES: usize = 16 * 1024;
/// How many connections are looked at in one turn: more than the load has.
const EVENTS: usize = 128;

/// Serves until it is killed; prints its address once it does.
///
/// # Errors
///
/// When it cannot.
pub(crate) fn serve() -> anyhow::Result<()> {
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    announce(listener.local_addr()?)?;
    let answers = [Operation::Get, Operation::Set].map(Answer::new);
    let mut clients: Vec<Option<Client>> = Vec::new();
    let (mut events, mut room) = (Events::with_capacity(EVENTS), vec![0; READ_BYTES]);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut clients)?;
                continue;
            }
            let place = &mut clients[event.token().0];
            if place.as_mut().is_some_and(|client| client.serve(&answers, &mut room).is_err()) {
                *place = None;
            }
        }
    }
}

/// One sort of request, and its replies: as many as one turn may give.
struct Answer {
    mark: u8,
    request_bytes: usize,
    reply_bytes: usize,
    replies: Vec<u8>,
}

impl Answer {
    fn new(operation: Operation) -> Self {
        let Batch { bytes, reply, .. } = Protocol::Redis.batch(operation, 1, VALUE_BYTES);
        let (request_bytes, reply_bytes) = (bytes.len(), reply.length);
        let mut whole = reply.head;
        if operation == Operation::Get {
            whole.resize(whole.len() + VALUE_BYTES, b'v');
            whole.extend_from_slice(b"\r\n");
        }
        let replies = whole.repeat(READ_BYTES / request_bytes + 1);
        // The second byte is the count of arguments.
        Self { mark: bytes[1], request_bytes, reply_bytes, replies }
    }
}

struct Client {
    stream: TcpStream,
    /// Which requests come, and how much of one has.
    sort: usize,
    begun: usize,
}

impl Client {
    fn serve(&mut self, answers: &[Answer; 2], room: &mut [u8]) -> io::Result<()> {
        loop {
            let read = match self.stream.read(room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if self.begun == 0 && read > 1 {
                let sort = answers.iter().position(|answer| answer.mark == room[1]);
                self.sort = sort.unwrap_or(self.sort);
            }
            let Answer { request_bytes, reply_bytes, replies, .. } = &answers[self.sort];
            self.begun += read;
            let bytes = self.begun / request_bytes * reply_bytes;
            self.begun %= request_bytes;
            // The load reads before it asks for more: there is room.
            self.stream.write_all(&replies[..bytes])?;
            // What is shorter than the room was all there was.
            if read < room.len() {
                return Ok(());
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    clients: &mut Vec<Option<Client>>,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        poll.registry().register(&mut stream, Token(clients.len()), Interest::READABLE)?;
        clients.push(Some(Client { stream, sort: 0, begun: 0 }));
    }
}
