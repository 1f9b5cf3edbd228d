//! The bytes of one client: what came together is done together, confirmed
//! together and answered by one write.

use std::io;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use proto::gateway::resp::{Limits, Parser, Version, Writer};
use segue::{Cache, Pending};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout};

use super::input::Input;
use super::quick::FETCHED_AHEAD;
use super::session::{Session, Then};
use super::{Access, Shared};
use crate::gateway::{Turn, count};

/// Replies are sent once they are that long, though more is to be done: a
/// value of the largest size and then some.
const FLUSH_BYTES: usize = 2 << 20;
/// How long a client may take to log in: the places are there for those who may
/// use them.
const LOG_IN_TIMEOUT: Duration = Duration::from_secs(10);
/// Room above which a buffer is given back once it is empty.
const KEPT_BYTES: usize = 64 * 1024;
/// How long a client may take to take its replies.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Replies, and the writes that they tell of.
#[derive(Default)]
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    pending: Vec<(Range<usize>, Pending)>,
    /// Whether writes have gathered that are to be sent.
    pub(super) has_gathered: bool,
}

impl Output {
    /// What was written since `begin` tells of a write.
    pub(super) fn tells_of(&mut self, begin: usize, pending: Option<Pending>) {
        if let Some(pending) = pending.filter(|pending| !pending.is_confirmed()) {
            self.pending.push((begin..self.bytes.len(), pending));
        }
    }

    /// Has those writes sent.
    pub(super) fn send_gathered(&mut self, cache: &Cache) {
        if std::mem::take(&mut self.has_gathered) {
            cache.send_gathered();
        }
    }

    /// The command that began there is answered by this error, whatever it had
    /// written already.
    pub(super) fn fail(&mut self, begin: usize, version: Version, text: &str) {
        self.bytes.truncate(begin);
        Writer::new(&mut self.bytes, version).error(text);
        let end = self.bytes.len();
        let its = |(place, _): &&mut (Range<usize>, Pending)| place.start >= begin;
        self.pending.iter_mut().rev().take_while(its).for_each(|(place, _)| *place = begin..end);
    }

    /// The reply to all writes since the last one that had a reply is written:
    /// those that have none of their own share it.
    pub(super) fn close_last(&mut self) {
        let end = self.bytes.len();
        let without = |(place, _): &&mut (Range<usize>, Pending)| place.is_empty();
        let open = self.pending.iter_mut().rev().take_while(without);
        open.for_each(|(place, _)| place.end = end);
    }
}

/// Serves a client until it or the gateway goes.
pub(super) async fn serve<S>(
    shared: &Shared,
    access: &Access,
    stream: &mut S,
    mut open: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut session = Session::new(shared, access);
    let mut parser = Parser::new(Limits::default(), session.is_authenticated());
    let mut input = Input::default();
    let mut output = Output::default();
    // Registered once: to do that anew for each read costs more than the look.
    let mut closed = pin!(open.wait_for(|open| !open));
    let mut turn = Turn::default();
    let log_in_by = Instant::now() + LOG_IN_TIMEOUT;
    loop {
        let read = tokio::select! {
            biased;
            _ = &mut closed => return,
            read = stream.read_buf(input.room()) => Some(read),
            () = session.mail() => None,
            () = sleep_until(log_in_by), if !session.is_authenticated() => return,
        };
        let Some(read) = read else {
            if session.take_mail(&mut output) == Then::Close
                || flush(&session, stream, &mut output).await.is_err()
            {
                return;
            }
            continue;
        };
        if !matches!(read, Ok(1..)) {
            return;
        }
        let room = (&mut parser, &mut turn);
        let (done, then) = batch(&mut session, room, (&input, &mut output)).await;
        input.done(done);
        if flush(&session, stream, &mut output).await.is_err() || then == Then::Close {
            return;
        }
        if !input.is_empty() && then == Then::GoOn {
            // Replies grew too long: the rest is done without reading first.
            loop {
                let room = (&mut parser, &mut turn);
                let (done, then) = batch(&mut session, room, (&input, &mut output)).await;
                input.done(done);
                if flush(&session, stream, &mut output).await.is_err() || then == Then::Close {
                    return;
                }
                if done == 0 {
                    break;
                }
            }
        }
    }
}

/// Does what is there; gives how much of the input is done with.
async fn batch(
    session: &mut Session<'_>,
    (parser, turn): (&mut Parser, &mut Turn),
    (input, output): (&[u8], &mut Output),
) -> (usize, Then) {
    let shared = session.shared;
    let (mut rest, mut commands) = (input, 0_usize);
    session.now = shared.store.cache.now();
    let then = loop {
        if output.bytes.len() > FLUSH_BYTES {
            break Then::GoOn;
        }
        if commands % FETCHED_AHEAD == 0 && parser.is_at_start() {
            session.fetch_ahead(rest);
        }
        match parser.next(&mut rest) {
            Ok(Some(request)) => {
                commands += 1;
                if session.handle(&request, output).await == Then::Close {
                    break Then::Close;
                }
                if turn.is_over() {
                    // Nor do those who wait for what was written.
                    output.send_gathered(&shared.store.cache);
                    turn.end().await;
                    session.now = shared.store.cache.now();
                }
            }
            Ok(None) => break Then::GoOn,
            Err(error) => {
                Writer::new(&mut output.bytes, session.version()).protocol_error(error);
                break Then::Close;
            }
        }
        parser.set_authenticated(session.is_authenticated());
    };
    // All connections count in one place: once for what came together.
    shared.counters.commands.fetch_add(commands as u64, Ordering::Relaxed);
    (input.len() - rest.len(), then)
}

/// Sends the replies, once what they tell of is where it is to be. A write
/// that is not gets an error in the place of its reply.
async fn flush<S: AsyncWrite + Unpin>(
    session: &Session<'_>,
    stream: &mut S,
    output: &mut Output,
) -> Result<(), ()> {
    let shared = session.shared;
    output.send_gathered(&shared.store.cache);
    // From the last one on, so that the places of those before stay.
    let mut failed = usize::MAX;
    let by = shared.store.cache.confirmed_by();
    while let Some((place, pending)) = output.pending.pop() {
        let confirmed = shared.store.cache.confirm_by(pending, by).await;
        if let Err(error) = confirmed
            && place.start < failed
        {
            failed = place.start;
            count(&shared.counters.errors);
            output.bytes.splice(place, format!("-ERR {error}\r\n").into_bytes());
        }
    }
    let written = tokio::select! {
        biased;
        written = sent_in_time(stream, &output.bytes) => written,
        // Whose messages cannot wait any longer does not read.
        () = session.overflowed() => return Err(()),
    };
    if written.is_err() {
        count(&shared.counters.slow_readers);
    }
    output.bytes.clear();
    output.bytes.shrink_to(KEPT_BYTES);
    matches!(written, Ok(Ok(()))).then_some(()).ok_or(())
}

/// Sends bytes, for as long as a client may take.
async fn sent_in_time<S: AsyncWrite + Unpin>(
    stream: &mut S,
    bytes: &[u8],
) -> Result<io::Result<()>, Elapsed> {
    let mut sending = pin!(send(stream, bytes));
    // Nearly always the kernel takes it at once: no time has to be set.
    match poll_once(sending.as_mut()).await {
        Poll::Ready(sent) => Ok(sent),
        Poll::Pending => timeout(WRITE_TIMEOUT, sending).await,
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    // What is encrypted may have stayed behind.
    stream.flush().await
}

/// How far a future has come.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}
