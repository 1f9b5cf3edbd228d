//! What a client asks, command by command.

use proto::gateway::Need;
use proto::gateway::memcached::values::{self, Access};
use proto::gateway::memcached::{
    Answer, Arithmetic, Command, Delete, Expiry, Fetch, Keys, Request, Store, Writer,
};
use proto::gateway::redis::Fail;
use proto::time::Wall;
use proto::web::{self, Draft};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Shared;
use super::connection::{Client, Gone, Then};
use super::stats;
use crate::gateway::count;
use crate::gateway::keys::{Name, name};

/// Clients' keys are those of this database of Redis' clients.
pub(super) const DATABASE: u8 = 0;

const NO_KEY: &str = "this listener serves keys with another prefix";

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Client<'_, S> {
    /// Does what a request asks.
    pub(super) async fn handle(&mut self, request: &Request<'_>) -> Result<Then, Gone> {
        let shared = self.shared;
        let answer = request.answer;
        match &request.command {
            Command::Get { keys, touch } => self.get(*keys, *touch, answer).await?,
            Command::FlushAll { at } => self.flush_all(*at, answer).await,
            Command::Stats { group } => stats::tell(shared, group.0, &mut self.writer(answer)),
            Command::Verbosity => self.writer(answer).ok(),
            Command::Version => self.writer(answer).version(stats::VERSION),
            Command::Noop => self.writer(answer).noop(),
            Command::Quit => {
                self.writer(answer).quit();
                return Ok(Then::Close);
            }
            Command::Fetch(Fetch { key, .. })
            | Command::Store(Store { key, .. })
            | Command::TooLarge { key, .. }
            | Command::Delete(Delete { key, .. })
            | Command::Arithmetic(Arithmetic { key, .. })
            | Command::Touch { key, .. }
            | Command::Inspect { key } => {
                let Some(name) = self.name(key.0) else {
                    count(&shared.counters.errors);
                    self.writer(answer).client_error(NO_KEY);
                    return Ok(Then::GoOn);
                };
                self.on_one(&request.command, &name, answer).await;
            }
        }
        Ok(Then::GoOn)
    }

    /// A command on the value of its key.
    async fn on_one(&mut self, command: &Command<'_>, name: &Name<'_>, answer: Answer<'_>) {
        let shared = self.shared;
        let need = values::need(command).expect("it is about one value");
        match command {
            Command::Fetch(fetch) => self.fetch(fetch, name, answer).await,
            Command::TooLarge { forget: false, .. } => self.writer(answer).too_large(),
            Command::Store(_)
            | Command::TooLarge { .. }
            | Command::Delete(_)
            | Command::Arithmetic(_)
            | Command::Touch { .. }
            | Command::Inspect { .. } => {
                if matches!(command, Command::Store(_)) {
                    count(&shared.counters.stores);
                }
                let run = |draft: &mut Draft, writer: &mut Writer<'_, '_>| {
                    shared.run(command, draft, writer);
                };
                self.work(name, need, answer, run).await;
            }
            Command::Get { .. }
            | Command::FlushAll { .. }
            | Command::Stats { .. }
            | Command::Verbosity
            | Command::Version
            | Command::Noop
            | Command::Quit => unreachable!("these are about no key, or several"),
        }
    }

    async fn fetch(&mut self, fetch: &Fetch<'_>, name: &Name<'_>, answer: Answer<'_>) {
        let shared = self.shared;
        let changes_nothing =
            fetch.touch.is_none() && fetch.vivify.is_none() && fetch.recache.is_none();
        if changes_nothing && self.read(name, fetch.key.0, answer, Some(fetch)) {
            return shared.count_look_up(true);
        }
        let mut was_there = false;
        self.work(name, Need::Write, answer, |draft, writer| {
            let access = shared.access(draft);
            was_there = values::fetch(draft, fetch, access, writer);
            if fetch.counts {
                shared.note(draft);
            }
        })
        .await;
        shared.count_look_up(was_there);
    }

    async fn get(
        &mut self,
        keys: Keys<'_>,
        touch: Option<Expiry>,
        answer: Answer<'_>,
    ) -> Result<(), Gone> {
        let shared = self.shared;
        if keys.into_iter().any(|key| !key.starts_with(&shared.prefix)) {
            count(&shared.counters.errors);
            self.writer(answer).client_error(NO_KEY);
            return Ok(());
        }
        // One is looked for as it comes; several together.
        if keys.into_iter().nth(1).is_some() {
            shared.store.look_up(keys.filter_map(|key| name(DATABASE, key))).await;
        }
        let mut begin = self.output.len();
        for key in keys {
            self.yield_in_turn().await;
            self.flush_what_is_long_of_one().await?;
            // What was sent already cannot be taken back.
            begin = begin.min(self.output.len());
            let Some(name) = self.name(key) else { continue };
            let mut was_there = touch.is_none() && self.read(&name, key, answer, None);
            if !was_there {
                let need = if touch.is_some() { Need::Write } else { Need::Read };
                let get = |draft: &mut Draft, writer: &mut Writer<'_, '_>| {
                    shared.note(draft);
                    was_there = values::get(draft, key, touch, writer);
                };
                if let Err(why) = self.work_untold(&name, need, answer, get).await {
                    if self.is_cut() {
                        // What it was told so far it would take for all.
                        count(&shared.counters.errors);
                        return Err(Gone);
                    }
                    self.output.truncate(begin);
                    self.fail(&why, answer);
                    self.close(begin);
                    return Ok(());
                }
            }
            shared.count_look_up(was_there);
        }
        self.writer(answer).end();
        self.close(begin);
        Ok(())
    }

    /// Tells a value that lies in the node's own table, without anything else;
    /// but for one that somebody is to be told to bring a better one for.
    fn read(
        &mut self,
        name: &Name<'_>,
        key: &[u8],
        answer: Answer<'_>,
        fetch: Option<&Fetch<'_>>,
    ) -> bool {
        let shared = self.shared;
        let now = shared.store.cache.now();
        let mut writer = Writer::new(&mut self.output, answer);
        let told = shared.store.cache.read(&name.key, |record| {
            let item = web::item(record).filter(|item| !item.beside.stale)?;
            let end = Some(record.deadlines.end()).filter(|end| *end != Wall::MAX);
            let access = fetch.map_or_else(Access::default, |_| shared.accesses.of(&item, now));
            writer.hit(key, &values::found(&item, values::left_s(end, now), access));
            Some(item.number())
        });
        let Some(Some(number)) = told else { return false };
        if fetch.is_none_or(|fetch| fetch.counts) {
            shared.accesses.note(number, now);
        }
        true
    }

    /// Has something done on a value, and its reply written. If it was not, its
    /// client is told why.
    async fn work(
        &mut self,
        name: &Name<'_>,
        need: Need,
        answer: Answer<'_>,
        run: impl FnMut(&mut Draft, &mut Writer<'_, '_>) + Send,
    ) {
        if let Err(why) = self.work_untold(name, need, answer, run).await {
            self.fail(&why, answer);
        }
    }

    /// The same, and nothing is written where it was not done.
    async fn work_untold(
        &mut self,
        name: &Name<'_>,
        need: Need,
        answer: Answer<'_>,
        mut run: impl FnMut(&mut Draft, &mut Writer<'_, '_>) + Send,
    ) -> Result<(), Fail> {
        let begin = self.output.len();
        let mut work = |draft: &mut Draft, out: &mut Vec<u8>| {
            run(draft, &mut Writer::new(out, answer));
            Ok(())
        };
        match self.shared.store.run(name, need, &mut self.output, &mut work).await {
            Ok(pending) => {
                self.tells_of(begin, answer, pending);
                Ok(())
            }
            Err(fail) => {
                self.output.truncate(begin);
                Err(fail)
            }
        }
    }

    fn fail(&mut self, why: &Fail, answer: Answer<'_>) {
        count(&self.shared.counters.errors);
        self.writer(answer).server_error(stats::words(why.text()));
    }

    pub(super) fn writer<'o, 'a>(&'o mut self, answer: Answer<'a>) -> Writer<'o, 'a> {
        Writer::new(&mut self.output, answer)
    }

    /// The record of a key that the client may name.
    fn name<'k>(&self, key: &'k [u8]) -> Option<Name<'k>> {
        // memcached's keys are shorter than the longest that has a name.
        name(DATABASE, key).filter(|_| key.starts_with(&self.shared.prefix))
    }
}

impl Shared {
    /// Does to a value what a command says that is about it alone.
    fn run(&self, command: &Command<'_>, draft: &mut Draft, writer: &mut Writer<'_, '_>) {
        match command {
            Command::Store(given) => values::store(draft, given, writer),
            Command::TooLarge { .. } => {
                draft.delete();
                writer.too_large();
            }
            Command::Delete(asked) => values::delete(draft, asked, writer),
            Command::Arithmetic(asked) => {
                let number = |draft: &Draft| draft.item().map(|item| item.number());
                let before = number(draft);
                values::count(draft, asked, writer);
                if let Some((before, after)) = before.zip(number(draft)) {
                    self.accesses.renumber(before, after);
                }
            }
            Command::Touch { expiry, .. } => {
                self.note(draft);
                values::touch(draft, *expiry, writer);
            }
            Command::Inspect { key } => values::inspect(draft, key.0, self.access(draft), writer),
            Command::Fetch(_)
            | Command::Get { .. }
            | Command::FlushAll { .. }
            | Command::Stats { .. }
            | Command::Verbosity
            | Command::Version
            | Command::Noop
            | Command::Quit => unreachable!("these are done elsewhere"),
        }
    }

    /// How a value was used here.
    fn access(&self, draft: &Draft) -> Access {
        draft.item().map_or_else(Access::default, |item| self.accesses.of(&item, draft.now()))
    }

    /// A value is read.
    fn note(&self, draft: &Draft) {
        if let Some(item) = draft.item() {
            self.accesses.note(item.number(), draft.now());
        }
    }

    fn count_look_up(&self, was_there: bool) {
        let Self { counters, .. } = self;
        count(if was_there { &counters.hits } else { &counters.misses });
    }
}
