//! What a client has said of itself, and what it asks, command by command.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::gateway::redis::events::{self, Event};
use proto::gateway::redis::{self, Command, Fail, Kind, Need};
use proto::gateway::resp::{Request, Version, Writer};
use proto::time::Wall;
use proto::web::Rank;
use zeroize::Zeroizing;

use super::Shared;
use super::access::{Access, DEFAULT_USER, User};
use super::channels::Subscriptions;
use super::connection::Output;
use super::quick::Quick;
use super::transaction::Queue;
use crate::gateway::count;
use crate::gateway::keys::{MAX_KEY_BYTES, Name, name};

/// How long a failed log-in waits for its answer, times as many as wait.
const BACK_OFF: Duration = Duration::from_millis(250);
/// The longest that it waits.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);

pub(super) const NO_AUTH: Fail = Fail::Said("NOAUTH Authentication required.");
pub(super) const NO_KEY: Fail = Fail::Said("NOPERM No permissions to access a key");

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Close,
}

/// One client.
pub(super) struct Session<'s> {
    pub(super) shared: &'s Shared,
    pub(super) access: &'s Access,
    pub(super) id: u64,
    pub(super) version: Version,
    pub(super) database: u8,
    pub(super) client_name: Vec<u8>,
    authenticated: bool,
    /// Who it has shown to be; none: `default`.
    user: Option<&'s User>,
    /// Commands that wait for `EXEC`.
    pub(super) queue: Option<Queue>,
    /// Keys that are watched, by their database, with what was there.
    pub(super) watched: Vec<(u8, Vec<u8>, Rank)>,
    /// The channels that it listens to.
    pub(super) subscriptions: Option<Subscriptions>,
    /// The time at which what came together is done.
    pub(super) now: Wall,
    /// Room for a value on its way into the table.
    pub(super) payload: Zeroizing<Vec<u8>>,
}

/// What is to be done to a value.
#[derive(Clone, Copy)]
pub(super) struct Deed<'r> {
    pub(super) need: Need,
    /// The command in whose name it is done, for those who listen.
    pub(super) command: &'static str,
    pub(super) request: Request<'r>,
}

impl<'s> Session<'s> {
    pub(super) fn new(shared: &'s Shared, access: &'s Access) -> Self {
        Self {
            shared,
            access,
            id: shared.next_id.fetch_add(1, Ordering::Relaxed),
            version: Version::default(),
            database: 0,
            client_name: Vec::new(),
            authenticated: access.is_open(),
            user: None,
            queue: None,
            watched: Vec::new(),
            subscriptions: None,
            now: shared.store.cache.now(),
            payload: Zeroizing::default(),
        }
    }

    pub(super) const fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// What keys and channels begin with that the client may name.
    pub(super) fn prefix(&self) -> &'s [u8] {
        self.user.map_or(&self.access.prefix, |user| &user.prefix)
    }

    /// Whether the client may change nothing.
    pub(super) fn may_only_read(&self) -> bool {
        self.user.is_some_and(|user| user.read_only)
    }

    /// The name of the user that the client is.
    pub(super) fn user_name(&self) -> &'s str {
        self.user.map_or(DEFAULT_USER, |user| &user.name)
    }

    pub(super) const fn version(&self) -> Version {
        self.version
    }

    /// Does what a request asks.
    pub(super) async fn handle(&mut self, request: &Request<'_>, output: &mut Output) -> Then {
        let begin = output.bytes.len();
        let quick = self.quick(request, output);
        if matches!(quick, Quick::Done) {
            return Then::GoOn;
        }
        // What follows may wait for others.
        output.send_gathered(&self.shared.store.cache);
        let answered = match quick {
            Quick::Left(placed, ack) => {
                self.shared.store.spread(placed, ack).await.map(|pending| {
                    output.tells_of(begin, Some(pending));
                    Then::GoOn
                })
            }
            Quick::Done | Quick::Not => self.answer(request, output).await,
        };
        self.now = self.shared.store.cache.now();
        match answered {
            Ok(then) => then,
            Err(fail) => {
                count(&self.shared.counters.errors);
                output.fail(begin, self.version, fail.text());
                Then::GoOn
            }
        }
    }

    async fn answer(&mut self, request: &Request<'_>, output: &mut Output) -> Result<Then, Fail> {
        let command = self.command(request);
        if !self.authenticated && !command.as_ref().is_ok_and(|it| may_come_first(it.name)) {
            return Err(NO_AUTH);
        }
        let command = match command {
            Ok(command) => command,
            Err(fail) => {
                self.spoil_queue();
                return Err(fail);
            }
        };
        if self.may_only_read() && redis::may_change(command) {
            self.spoil_queue();
            let (user, name) = (self.user_name(), command.name);
            return Err(Fail::Told(format!(
                "NOPERM User {user} has no permissions to run the '{name}' command"
            )));
        }
        if self.only_listens() && !is_about_channels(command.name) {
            let name = command.name;
            return Err(Fail::Told(format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context"
            )));
        }
        if self.queue.is_some() && !goes_through_queue(command.name) {
            return self.enqueue(command, request, output).map(|()| Then::GoOn);
        }
        match command.kind {
            Kind::Session => self.about_itself(command.name, request, output).await,
            Kind::Keys => self.several(command.name, request, output).await.map(|()| Then::GoOn),
            Kind::Read(_) | Kind::Write(_) | Kind::Agree(_) | Kind::Either(_) => {
                self.on_one(command, request, output).await.map(|()| Then::GoOn)
            }
        }
    }

    /// The command that a request names, if it has as many arguments.
    fn command(&self, request: &Request<'_>) -> Result<&'static Command, Fail> {
        let Some(command) = redis::find(request.name()) else { return Err(unknown(request)) };
        if !command.takes(request.count()) {
            return Err(redis::wrong_arguments(command.name));
        }
        Ok(command)
    }

    /// A command on the value of its first key.
    pub(super) async fn on_one(
        &self,
        command: &Command,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        let name = self.name(redis::argument(request, 1)?)?;
        let (need, run) = redis::need(command, request).expect("it is about one value");
        let deed = Deed { need, command: command.name, request: *request };
        self.work(&name, deed, output, |draft, reply| run(draft, request, reply)).await
    }

    /// Has something done on a value, and its reply written.
    pub(super) async fn work(
        &self,
        name: &Name<'_>,
        deed: Deed<'_>,
        output: &mut Output,
        mut run: impl FnMut(&mut proto::web::Draft, &mut Writer<'_>) -> Result<(), Fail> + Send,
    ) -> Result<(), Fail> {
        let (begin, version) = (output.bytes.len(), self.version);
        let is_heard = self.shared.channels.wanted().any();
        let mut events = Vec::new();
        let mut work = |draft: &mut proto::web::Draft, out: &mut Vec<u8>| {
            let was = draft.is_there();
            run(draft, &mut Writer::new(out, version))?;
            if is_heard {
                let Deed { command, request, .. } = &deed;
                events = events::of_change(command, request, was, draft.is_there());
            }
            Ok(())
        };
        let done = self.shared.store.run(name, deed.need, &mut output.bytes, &mut work).await?;
        if done.is_some() {
            self.tell_of(name, &events);
        }
        output.tells_of(begin, done);
        Ok(())
    }

    /// Tells those who listen of what has happened to a key.
    pub(super) fn tell_of(&self, name: &Name<'_>, events: &[Event]) {
        let (database, key) = name.place();
        events.iter().for_each(|&event| self.shared.channels.happened(database, key, event));
    }

    /// The record of a key that the client may name.
    pub(super) fn name<'k>(&self, key: &'k [u8]) -> Result<Name<'k>, Fail> {
        self.name_in(self.database, key)
    }

    /// The same in another database.
    pub(super) fn name_in<'k>(&self, database: u8, key: &'k [u8]) -> Result<Name<'k>, Fail> {
        if !key.starts_with(self.prefix()) {
            return Err(NO_KEY);
        }
        name(database, key).ok_or_else(|| {
            let found = key.len();
            Fail::Told(format!("ERR a key of {found} bytes; at most {MAX_KEY_BYTES} are allowed"))
        })
    }

    /// Checks a password, slowly where it is wrong.
    pub(super) async fn log_in(&mut self, user: &[u8], password: &[u8]) -> Result<(), Fail> {
        if self.access.is_open() && user == DEFAULT_USER.as_bytes() {
            return Ok(());
        }
        if let Some(user) = self.access.log_in(user, password) {
            let before = self.prefix();
            (self.user, self.authenticated) = (user, true);
            if self.prefix() != before {
                // What he listened to was another's to hear.
                self.subscriptions = None;
            }
            return Ok(());
        }
        count(&self.shared.counters.failed_logins);
        let waiting = self.shared.failing.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::time::sleep((BACK_OFF * waiting).min(LONGEST_BACK_OFF)).await;
        self.shared.failing.fetch_sub(1, Ordering::Relaxed);
        Err(wrong_password())
    }

    /// Begins anew, as `RESET` does.
    pub(super) fn reset(&mut self) {
        *self = Self { id: self.id, ..Self::new(self.shared, self.access) };
    }
}

const fn wrong_password() -> Fail {
    Fail::Said("WRONGPASS invalid username-password pair or user is disabled.")
}

/// What a client may ask before it has logged in.
fn may_come_first(name: &str) -> bool {
    matches!(name, "auth" | "hello" | "quit" | "reset")
}

/// What a client of the older protocol may ask while it listens.
fn is_about_channels(name: &str) -> bool {
    const NAMES: [&str; 7] =
        ["subscribe", "psubscribe", "unsubscribe", "punsubscribe", "ping", "quit", "reset"];
    NAMES.contains(&name)
}

/// What is done at once between `MULTI` and `EXEC`.
fn goes_through_queue(name: &str) -> bool {
    matches!(name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}

/// Redis names the first arguments, up to 128 bytes of them.
fn unknown(request: &Request<'_>) -> Fail {
    const SHOWN: usize = 128;
    let shown = |bytes: &[u8], most: usize| {
        let cut = &bytes[..bytes.len().min(most)];
        String::from_utf8_lossy(cut).replace(['\r', '\n'], " ")
    };
    let mut arguments = String::new();
    for argument in request.arguments().skip(1) {
        if arguments.len() >= SHOWN {
            break;
        }
        arguments += &format!("'{}' ", shown(argument, SHOWN - arguments.len()));
    }
    let name = shown(request.name(), SHOWN);
    Fail::Told(format!("ERR unknown command '{name}', with args beginning with: {arguments}"))
}
