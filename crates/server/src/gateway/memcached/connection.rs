//! The bytes of one client: what came together is done together, confirmed
//! together and answered by one write, as long as replies are no longer than
//! a bound.

use std::io;
use std::ops::Range;
use std::time::Duration;

use proto::gateway::memcached::{Answer, Limits, Parsed, Parser, Writer};
use segue::Pending;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Shared;
use crate::gateway::{Turn, count};

/// How much is read at a time: a pipeline of sixteen sets of a kilobyte.
const READ_BYTES: usize = 16 * 1024;
/// Replies are sent once they are that long, though more is to be done: a
/// value of the largest size and then some.
const FLUSH_BYTES: usize = 2 << 20;
/// So many writes wait to be confirmed together: a pipeline as long as clients
/// send, and little enough for a client that sends nothing else.
const MOST_PENDING: usize = 1024;
/// Room above which a buffer is given back once it is empty.
const KEPT_BYTES: usize = 64 * 1024;
/// How long a client may take to take its replies.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The client went, or does not read.
#[derive(Debug)]
pub(super) struct Gone;

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Close,
}

/// One client.
pub(super) struct Client<'s, S> {
    pub(super) shared: &'s Shared,
    stream: S,
    /// Replies.
    pub(super) output: Vec<u8>,
    /// Writes that replies tell of, in their order.
    waiting: Vec<Waiting>,
    /// How many requests it has sent.
    requests: u64,
    /// The last one of which the reply was sent in part before it was whole.
    cut: Option<u64>,
    turn: Turn,
}

/// A write that is not confirmed.
struct Waiting {
    /// The request that it is of, and its reply.
    request: u64,
    place: Range<usize>,
    /// How its client is told of an error.
    answer: Answer<'static>,
    pending: Pending,
}

/// Serves a client until it or the gateway goes.
pub(super) async fn serve<S>(shared: &Shared, stream: S, mut open: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut client = Client {
        shared,
        stream,
        output: Vec::new(),
        waiting: Vec::new(),
        requests: 0,
        cut: None,
        turn: Turn::default(),
    };
    let mut parser = Parser::new(Limits::default());
    let mut input: Vec<u8> = Vec::new();
    loop {
        input.reserve(READ_BYTES);
        let read = tokio::select! {
            read = client.stream.read_buf(&mut input) => read,
            _ = open.wait_for(|open| !open) => return,
        };
        if !matches!(read, Ok(1..)) {
            return;
        }
        let Ok((used, then)) = client.batch(&mut parser, &input).await else { return };
        input.drain(..used);
        if input.is_empty() && input.capacity() > KEPT_BYTES {
            input = Vec::new();
        }
        if client.flush().await.is_err() || then == Then::Close {
            return;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Client<'_, S> {
    /// Does what is there; gives how much of the input is done with.
    async fn batch(&mut self, parser: &mut Parser, input: &[u8]) -> Result<(usize, Then), Gone> {
        let mut rest = input;
        loop {
            self.flush_what_is_long().await?;
            let then = match parser.next(&mut rest) {
                Ok(Some(Parsed::Request(request))) => {
                    count(&self.shared.counters.commands);
                    self.requests += 1;
                    let then = self.handle(&request).await?;
                    self.yield_in_turn().await;
                    then
                }
                Ok(Some(Parsed::Refused(refusal))) => {
                    count(&self.shared.counters.errors);
                    refusal.write(&mut self.output);
                    if refusal.closes() { Then::Close } else { Then::GoOn }
                }
                Ok(None) => return Ok((input.len() - rest.len(), Then::GoOn)),
                Err(error) => {
                    count(&self.shared.counters.errors);
                    tracing::debug!(%error, "a client that speaks no protocol of memcached");
                    Then::Close
                }
            };
            if then == Then::Close {
                return Ok((input.len() - rest.len(), then));
            }
        }
    }

    /// What was written since `begin` tells of a write.
    pub(super) fn tells_of(&mut self, begin: usize, answer: Answer<'_>, pending: Option<Pending>) {
        if let Some(pending) = pending.filter(|pending| !pending.is_confirmed()) {
            let (request, place) = (self.requests, begin..self.output.len());
            self.waiting.push(Waiting { request, place, answer: answer.of_errors(), pending });
        }
    }

    /// What was written since `begin` is one reply, which tells of all writes of
    /// its request.
    pub(super) fn close(&mut self, begin: usize) {
        let (request, end) = (self.requests, self.output.len());
        let its = self.waiting.iter_mut().rev().take_while(|waiting| waiting.request == request);
        its.for_each(|waiting| waiting.place = begin..end);
    }

    /// Something is done; others have a turn after much of it.
    pub(super) async fn yield_in_turn(&mut self) {
        if self.turn.is_over() {
            self.turn.end().await;
        }
    }

    /// Sends what is longer than a client should have to keep in mind here.
    async fn flush_what_is_long(&mut self) -> Result<(), Gone> {
        if self.is_long() { self.flush().await } else { Ok(()) }
    }

    /// The same while the reply to a request is being written, which has been sent
    /// in part from then on.
    pub(super) async fn flush_what_is_long_of_one(&mut self) -> Result<(), Gone> {
        if self.is_long() {
            self.cut = Some(self.requests);
            self.flush().await?;
        }
        Ok(())
    }

    /// Whether a part of the reply to the present request was sent: what has to be
    /// said of it as a whole cannot be said any more.
    pub(super) fn is_cut(&self) -> bool {
        self.cut == Some(self.requests)
    }

    fn is_long(&self) -> bool {
        self.output.len() > FLUSH_BYTES || self.waiting.len() >= MOST_PENDING
    }

    /// Sends the replies, once what they tell of is where it is to be. A write
    /// that is not gets an error in the place of its reply; where some of that
    /// was sent already, or will be, it ends there and the connection with it:
    /// whatever came behind would be read as a part of it.
    async fn flush(&mut self) -> Result<(), Gone> {
        let (mut late, mut failed, mut ends) = (None, None, false);
        // From the last one on, so that the places of those before stay.
        while let Some(Waiting { request, place, answer, pending }) = self.waiting.pop() {
            let confirming = self.shared.store.cache.confirm(pending);
            // All have been waited for since the first was.
            let confirmed = match &late {
                None => confirming.await.map_err(|error| error.to_string()),
                Some(why) => timeout(Duration::ZERO, confirming)
                    .await
                    .map_or_else(|_| Err(String::clone(why)), |it| it.map_err(|it| it.to_string())),
            };
            if let Err(why) = confirmed {
                if self.cut == Some(request) {
                    self.output.truncate(place.start);
                    ends = true;
                } else if failed.replace(request) != Some(request) {
                    // A reply says it once.
                    count(&self.shared.counters.errors);
                    let mut error = Vec::new();
                    Writer::new(&mut error, answer).server_error(&why);
                    self.output.splice(place, error);
                }
                late = Some(why);
            }
        }
        let written = timeout(WRITE_TIMEOUT, send(&mut self.stream, &self.output)).await;
        if written.is_err() {
            count(&self.shared.counters.slow_readers);
        }
        self.output.clear();
        self.output.shrink_to(KEPT_BYTES);
        if ends {
            count(&self.shared.counters.errors);
        }
        (matches!(written, Ok(Ok(()))) && !ends).then_some(()).ok_or(Gone)
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    // What is encrypted may have stayed behind.
    stream.flush().await
}
