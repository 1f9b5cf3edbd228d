//! The bytes of one client: what came together is done together, confirmed
//! together and answered by one write.

use std::io;
use std::ops::Range;
use std::time::Duration;

use proto::gateway::resp::{Limits, Parser, Version, Writer};
use segue::Pending;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

use super::figures::count;
use super::input::Input;
use super::session::{Session, Then};
use super::{Access, Shared};

/// Replies are sent once they are that long, though more is to be done: a
/// value of the largest size and then some.
const FLUSH_BYTES: usize = 2 << 20;
/// Room above which a buffer is given back once it is empty.
const KEPT_BYTES: usize = 64 * 1024;
/// How long a client may take to take its replies.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Replies, and the writes that they tell of.
#[derive(Default)]
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    pending: Vec<(Range<usize>, Pending)>,
}

impl Output {
    /// What was written since `begin` tells of a write.
    pub(super) fn tells_of(&mut self, begin: usize, pending: Option<Pending>) {
        if let Some(pending) = pending.filter(|pending| !pending.is_confirmed()) {
            self.pending.push((begin..self.bytes.len(), pending));
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
    loop {
        let read = tokio::select! {
            read = stream.read_buf(input.room()) => Some(read),
            () = session.mail() => None,
            _ = open.wait_for(|open| !open) => return,
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
        let (done, then) = batch(shared, &mut session, &mut parser, (&input, &mut output)).await;
        input.done(done);
        if flush(&session, stream, &mut output).await.is_err() || then == Then::Close {
            return;
        }
        if !input.is_empty() && then == Then::GoOn {
            // Replies grew too long: the rest is done without reading first.
            loop {
                let (done, then) =
                    batch(shared, &mut session, &mut parser, (&input, &mut output)).await;
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
    shared: &Shared,
    session: &mut Session<'_>,
    parser: &mut Parser,
    (input, output): (&[u8], &mut Output),
) -> (usize, Then) {
    let mut rest = input;
    loop {
        if output.bytes.len() > FLUSH_BYTES {
            return (input.len() - rest.len(), Then::GoOn);
        }
        match parser.next(&mut rest) {
            Ok(Some(request)) => {
                count(&shared.counters.commands);
                let then = session.handle(&request, output).await;
                if then == Then::Close {
                    return (input.len() - rest.len(), then);
                }
            }
            Ok(None) => return (input.len() - rest.len(), Then::GoOn),
            Err(error) => {
                Writer::new(&mut output.bytes, session.version()).protocol_error(error);
                return (input.len() - rest.len(), Then::Close);
            }
        }
        parser.set_authenticated(session.is_authenticated());
    }
}

/// Sends the replies, once what they tell of is where it is to be. A write
/// that is not gets an error in the place of its reply.
async fn flush<S: AsyncWrite + Unpin>(
    session: &Session<'_>,
    stream: &mut S,
    output: &mut Output,
) -> Result<(), ()> {
    let shared = session.shared;
    // From the last one on, so that the places of those before stay.
    let mut failed = usize::MAX;
    while let Some((place, pending)) = output.pending.pop() {
        let confirmed = shared.store.cache.confirm(pending).await;
        if let Err(error) = confirmed
            && place.start < failed
        {
            failed = place.start;
            count(&shared.counters.errors);
            output.bytes.splice(place, format!("-ERR {error}\r\n").into_bytes());
        }
    }
    let written = tokio::select! {
        written = timeout(WRITE_TIMEOUT, send(stream, &output.bytes)) => written,
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

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    // What is encrypted may have stayed behind.
    stream.flush().await
}
