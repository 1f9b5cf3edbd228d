//! `SUBSCRIBE`, `PUBLISH` and what belongs to them.

use proto::gateway::redis::glob::{MAX_PATTERN_PARTS, Pattern};
use proto::gateway::redis::{self, Fail};
use proto::gateway::resp::{Request, Version, Writer};

use super::channels::{MAX_CHANNEL_BYTES, Sort, Subscriptions};
use super::connection::Output;
use super::session::{Session, Then};
use crate::gateway::store::unwritten;

/// The most channels and patterns that one client may listen to: 16 MiB of
/// the longest names.
const MOST_SUBSCRIPTIONS: usize = 16_384;
/// How channels begin that keys' events go to.
const KEY_EVENTS: &[u8] = b"__key";

const NO_CHANNEL: Fail = Fail::Said("NOPERM No permissions to access a channel");

impl Session<'_> {
    /// Does a command about channels.
    pub(super) async fn channels(
        &mut self,
        name: &str,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        let sort = if name.starts_with('p') { Sort::Pattern } else { Sort::Channel };
        let done = match name {
            "publish" => return self.publish(request, output).await,
            "pubsub" => return self.pubsub(request, output),
            "subscribe" | "psubscribe" => self.subscribe(sort, request, output),
            _ => {
                self.unsubscribe(sort, request, output);
                Ok(())
            }
        };
        if self.subscriptions.as_ref().is_some_and(|it| it.count() == 0) {
            self.subscriptions = None;
        }
        done
    }

    /// Whether only commands about channels are allowed.
    pub(super) const fn only_listens(&self) -> bool {
        self.subscriptions.is_some() && matches!(self.version, Version::Resp2)
    }

    /// Waits for messages; without end where none can come.
    pub(super) async fn mail(&self) {
        match &self.subscriptions {
            Some(subscriptions) => subscriptions.mailbox.arrived().await,
            None => std::future::pending().await,
        }
    }

    /// Waits until more messages wait than may; without end where none can.
    pub(super) async fn overflowed(&self) {
        match &self.subscriptions {
            Some(subscriptions) => subscriptions.mailbox.overflowed().await,
            None => std::future::pending().await,
        }
    }

    /// Writes the messages that wait. A client that did not read them in time
    /// is closed.
    pub(super) fn take_mail(&self, output: &mut Output) -> Then {
        let Some(subscriptions) = &self.subscriptions else { return Then::GoOn };
        let taken = subscriptions.mailbox.take(&mut Writer::new(&mut output.bytes, self.version));
        if taken.is_err() { Then::Close } else { Then::GoOn }
    }

    async fn publish(&self, request: &Request<'_>, output: &mut Output) -> Result<(), Fail> {
        let (channel, text) = (redis::argument(request, 1)?, redis::argument(request, 2)?);
        if !channel.starts_with(self.prefix()) {
            return Err(NO_CHANNEL);
        }
        check_length(channel)?;
        if !self.shared.store.is_alone() {
            let said = self.shared.store.cache.say(channel, text).await;
            said.map_err(|error| unwritten(&error))?;
        }
        let reached = self.shared.channels.deliver(channel, text);
        self.reply(output).integer(i64::try_from(reached).unwrap_or(i64::MAX));
        Ok(())
    }

    fn subscribe(
        &mut self,
        sort: Sort,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        let word = if sort == Sort::Channel { "subscribe" } else { "psubscribe" };
        let prefix = self.prefix().to_vec();
        // All or nothing: what is refused has no confirmations.
        for name in request.arguments().skip(1) {
            check_length(name)?;
            // What comes by a pattern is looked at when it comes.
            let may = name.starts_with(&prefix) || name.starts_with(KEY_EVENTS);
            if sort == Sort::Channel && !may {
                return Err(NO_CHANNEL);
            }
            if sort == Sort::Pattern && Pattern::new(name).is_none() {
                return Err(too_long());
            }
        }
        let mut added = Vec::new();
        for name in request.arguments().skip(1) {
            let subscriptions = self
                .subscriptions
                .get_or_insert_with(|| Subscriptions::new(&self.shared.channels, &prefix));
            let is_new = !subscriptions.has(sort, name);
            let has_room = !is_new || subscriptions.count() < MOST_SUBSCRIPTIONS;
            if !has_room || subscriptions.add(sort, name).is_err() {
                added.into_iter().for_each(|name| subscriptions.remove(sort, name));
                return Err(Fail::Said("ERR too many channels and patterns are listened to"));
            }
            if is_new {
                added.push(name);
            }
            let count = subscriptions.count();
            self.told(word, Some(name), count, output);
        }
        Ok(())
    }

    fn unsubscribe(&mut self, sort: Sort, request: &Request<'_>, output: &mut Output) {
        let word = if sort == Sort::Channel { "unsubscribe" } else { "punsubscribe" };
        let mut names: Vec<Vec<u8>> = request.arguments().skip(1).map(<[u8]>::to_vec).collect();
        if let (true, Some(subscriptions)) = (names.is_empty(), &self.subscriptions) {
            names = subscriptions.names(sort);
        }
        let total = |session: &Self| session.subscriptions.as_ref().map_or(0, Subscriptions::count);
        if names.is_empty() {
            self.told(word, None, total(self), output);
        }
        for name in names {
            if let Some(subscriptions) = &mut self.subscriptions {
                subscriptions.remove(sort, &name);
            }
            self.told(word, Some(&name), total(self), output);
        }
    }

    fn told(&self, word: &str, name: Option<&[u8]>, count: usize, output: &mut Output) {
        let mut reply = self.reply(output);
        reply.push(3);
        reply.bulk(word.as_bytes());
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn pubsub(&self, request: &Request<'_>, output: &mut Output) -> Result<(), Fail> {
        let word = redis::argument(request, 1)?.to_ascii_lowercase();
        let channels = &self.shared.channels;
        let mut reply = self.reply(output);
        let signed = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        match (word.as_slice(), request.count()) {
            (b"channels", 2 | 3) => {
                let pattern = request.get(2).unwrap_or(b"*");
                let prefix = self.prefix();
                let pattern = Pattern::new(pattern).ok_or_else(too_long)?;
                let mut names = channels.names();
                names.retain(|name| name.starts_with(prefix) && pattern.matches(name));
                names.sort_unstable();
                reply.array(names.len());
                names.iter().for_each(|name| reply.bulk(name));
            }
            (b"numsub", _) => {
                reply.array(2 * (request.count() - 2));
                for name in request.arguments().skip(2) {
                    reply.bulk(name);
                    reply.integer(signed(channels.count(name)));
                }
            }
            (b"numpat", 2) => reply.integer(signed(channels.patterns())),
            // Nobody can listen to a shard's channels here.
            (b"shardchannels", 2 | 3) => reply.array(0),
            (b"shardnumsub", _) => {
                reply.array(2 * (request.count() - 2));
                for name in request.arguments().skip(2) {
                    reply.bulk(name);
                    reply.integer(0);
                }
            }
            (b"channels" | b"shardchannels", _) => {
                let word = String::from_utf8_lossy(redis::argument(request, 1)?);
                return Err(Fail::Told(format!(
                    "ERR unknown subcommand or wrong number of arguments for '{word}'. Try PUBSUB \
                     HELP."
                )));
            }
            (b"numpat", _) => return Err(redis::wrong_arguments("pubsub|numpat")),
            _ => return Err(super::words::subcommand("PUBSUB", request)),
        }
        Ok(())
    }
}

fn too_long() -> Fail {
    Fail::Told(format!("ERR a pattern is too long: at most {MAX_PATTERN_PARTS} characters"))
}

fn check_length(name: &[u8]) -> Result<(), Fail> {
    if name.len() <= MAX_CHANNEL_BYTES {
        return Ok(());
    }
    let found = name.len();
    let at_most = format!("at most {MAX_CHANNEL_BYTES} are allowed");
    Err(Fail::Told(format!("ERR a channel's name of {found} bytes; {at_most}")))
}
