//! `MULTI`, `EXEC` and `WATCH`.
//!
//! Commands that are all about one key are one change: computed together,
//! agreed on together. Where there are several keys, each command is done by
//! itself, in order.

use proto::gateway::redis::{self, Command, Fail, Need, events};
use proto::gateway::resp::{Limits, Parser, Request, Writer};
use proto::web::Rank;
use zeroize::Zeroizing;

use super::connection::Output;
use super::session::{Deed, Session};

/// The most commands that wait for `EXEC`, and the most bytes of them.
const MOST_QUEUED: usize = 65_536;
const MOST_QUEUED_BYTES: usize = 16 << 20;
/// The most keys that are watched.
const MOST_WATCHED: usize = 1_024;

const ABORTED: Fail = Fail::Said("EXECABORT Transaction discarded because of previous errors.");

/// Commands that wait.
#[derive(Default)]
pub(super) struct Queue {
    /// As they came, but for how they were written.
    bytes: Zeroizing<Vec<u8>>,
    count: usize,
    /// Whether one was refused.
    spoilt: bool,
}

impl Session<'_> {
    /// Has a transaction fail, if there is one: a command in it was wrong.
    pub(super) fn spoil_queue(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.spoilt = true;
        }
    }

    pub(super) fn enqueue(
        &mut self,
        _: &Command,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        let queue = self.queue.as_mut().expect("there is one");
        let bytes: usize = request.arguments().map(|argument| argument.len() + 32).sum();
        if queue.count >= MOST_QUEUED || queue.bytes.len() + bytes > MOST_QUEUED_BYTES {
            queue.spoilt = true;
            return Err(Fail::Said("ERR too many commands wait for EXEC"));
        }
        if queue.bytes.capacity() < queue.bytes.len() + bytes {
            // What grows by itself leaves its bytes behind.
            let mut larger = Vec::with_capacity(2 * (queue.bytes.len() + bytes));
            larger.extend_from_slice(&queue.bytes);
            queue.bytes = Zeroizing::new(larger);
        }
        let mut writer = Writer::new(&mut queue.bytes, proto::gateway::resp::Version::Resp2);
        writer.array(request.count());
        request.arguments().for_each(|argument| writer.bulk(argument));
        queue.count += 1;
        self.reply(output).simple("QUEUED");
        Ok(())
    }

    pub(super) async fn transaction(
        &mut self,
        name: &str,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        match name {
            "multi" if self.queue.is_some() => {
                return Err(Fail::Said("ERR MULTI calls can not be nested"));
            }
            "multi" => self.queue = Some(Queue::default()),
            "discard" if self.queue.is_none() => {
                return Err(Fail::Said("ERR DISCARD without MULTI"));
            }
            "discard" => {
                self.queue = None;
                self.watched.clear();
            }
            "watch" if self.queue.is_some() => {
                return Err(Fail::Said("ERR WATCH inside MULTI is not allowed"));
            }
            "watch" => self.watch(request).await?,
            "unwatch" => self.watched.clear(),
            _ => return self.exec(request, output).await,
        }
        self.reply(output).ok();
        Ok(())
    }

    async fn watch(&mut self, request: &Request<'_>) -> Result<(), Fail> {
        for key in request.arguments().skip(1) {
            if self.watched.len() >= MOST_WATCHED {
                return Err(Fail::Said("ERR too many keys are watched"));
            }
            let rank = self.rank(self.database, key, request).await?;
            self.watched.push((self.database, key.to_vec(), rank));
        }
        Ok(())
    }

    /// The rank of what is at a key: another one, another value.
    async fn rank(&self, database: u8, key: &[u8], request: &Request<'_>) -> Result<Rank, Fail> {
        self.name(key)?;
        let name = crate::gateway::keys::name(database, key).expect("just made");
        let mut rank = Rank::default();
        let mut unused = Output::default();
        let deed = Deed { need: Need::Read, command: "watch", request: *request };
        self.work(&name, deed, &mut unused, |draft, _| {
            rank = watched_rank(draft);
            Ok(())
        })
        .await?;
        Ok(rank)
    }

    async fn exec(&mut self, request: &Request<'_>, output: &mut Output) -> Result<(), Fail> {
        let queue = self.queue.take().ok_or(Fail::Said("ERR EXEC without MULTI"))?;
        let watched = std::mem::take(&mut self.watched);
        if queue.spoilt {
            return Err(ABORTED);
        }
        let mut requests = Vec::new();
        let mut parsers: Vec<Parser> = Vec::new();
        parsers.resize_with(queue.count, || Parser::new(unlimited(), true));
        let mut rest = queue.bytes.as_slice();
        for parser in &mut parsers {
            let parsed = parser.next(&mut rest).ok().flatten();
            requests.push(parsed.expect("it was written by ourselves"));
        }
        if let Some(key) = one_key(&requests)
            && watched
                .iter()
                .all(|(database, watched, _)| *database == self.database && watched == key)
        {
            return self.exec_on_one(key, &requests, &watched, output).await;
        }
        for (database, key, rank) in &watched {
            if self.rank(*database, key, request).await? != *rank {
                self.reply(output).null_array();
                return Ok(());
            }
        }
        self.reply(output).array(requests.len());
        // Looking took its time.
        self.now = self.shared.store.cache.now();
        for request in &requests {
            // It was looked up before it was queued.
            Box::pin(self.handle(request, output)).await;
        }
        Ok(())
    }

    /// All commands as one change of one value.
    async fn exec_on_one(
        &self,
        key: &[u8],
        requests: &[Request<'_>],
        watched: &[(u8, Vec<u8>, Rank)],
        output: &mut Output,
    ) -> Result<(), Fail> {
        let name = self.name(key)?;
        let commands: Vec<_> = requests
            .iter()
            .filter_map(|request| {
                let command = redis::find(request.name())?;
                redis::need(command, request).map(|need| (command.name, need))
            })
            .collect();
        let changes = commands.iter().any(|(_, (need, _))| *need != Need::Read);
        let need = match commands.as_slice() {
            [(_, (need, _))] if watched.is_empty() => *need,
            _ if changes => Need::OneAnswer,
            _ => Need::Read,
        };
        let (begin, version) = (output.bytes.len(), self.version);
        let mut heard = Vec::new();
        let mut work = |draft: &mut proto::web::Draft, out: &mut Vec<u8>| {
            heard.clear();
            let mut reply = Writer::new(out, version);
            if watched.iter().any(|(_, _, rank)| *rank != watched_rank(draft)) {
                reply.null_array();
                return Ok(());
            }
            reply.array(requests.len());
            for (request, (command, (_, run))) in requests.iter().zip(&commands) {
                let (begin, was) = (reply.len(), draft.is_there());
                if let Err(fail) = run(draft, request, &mut reply) {
                    reply.truncate(begin);
                    reply.error(fail.text());
                } else {
                    heard.extend(events::of_change(command, request, was, draft.is_there()));
                }
            }
            Ok(())
        };
        let done = self.shared.store.run(&name, need, &mut output.bytes, &mut work).await?;
        if done.is_some() {
            self.tell_of(&name, &heard);
        }
        output.tells_of(begin, done);
        Ok(())
    }
}

/// What is not there has no rank: it may be another nothing each time.
fn watched_rank(draft: &proto::web::Draft) -> Rank {
    if draft.is_there() { draft.rank() } else { Rank::default() }
}

/// What was queued has been within the connection's limits.
fn unlimited() -> Limits {
    Limits { total_bytes: u32::MAX, ..Limits::default() }
}

/// The key that all requests are about, and nothing else.
fn one_key<'r>(requests: &[Request<'r>]) -> Option<&'r [u8]> {
    let key = requests.first()?.get(1)?;
    let is_about_it = |request: &Request<'r>| {
        let about_one = redis::find(request.name())
            .is_some_and(|command| redis::need(command, request).is_some());
        about_one && request.get(1) == Some(key)
    };
    requests.iter().all(is_about_it).then_some(key)
}
