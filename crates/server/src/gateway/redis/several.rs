//! Commands on several keys.
//!
//! Each key is done by itself, one after the other, but for those that `MSETNX`
//! writes together.

use std::collections::BTreeMap;

use proto::gateway::redis::{self, Fail, Need, SYNTAX, events};
use proto::gateway::resp::{Request, Writer};
use proto::web::draft::Until;
use proto::web::{Draft, Stamp, State};

use super::connection::Output;
use super::session::{Deed, Session};
use super::words::is;
use crate::gateway::claims::MOST_TOGETHER;
use crate::gateway::keys::DATABASES;

/// Something that only reads.
const fn read<'r>(request: &Request<'r>) -> Deed<'r> {
    Deed { need: Need::Read, command: "", request: *request }
}

impl Session<'_> {
    /// Does a command that is about several keys.
    pub(super) async fn several(
        &self,
        name: &str,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        match name {
            "del" | "unlink" => {
                let deed = Deed { need: Need::Write, command: "del", request: *request };
                self.count(deed, output, &|draft| draft.delete()).await
            }
            "exists" | "touch" => {
                self.count(read(request), output, &|draft| draft.is_there()).await
            }
            "mget" => self.mget(request, output).await,
            "mset" => self.mset(request, output).await,
            "msetnx" => self.msetnx(request, output).await,
            "rename" | "renamenx" | "copy" => self.copy(name, request, output).await,
            "object" => self.object(request, output).await,
            "eval" | "evalsha" => self.script(name, request, output).await,
            "flushdb" | "flushall" => self.flush(name, request, output).await,
            _ => self.list(name, request, output),
        }
    }

    /// Does something to each key and counts those for which it was so.
    async fn count(
        &self,
        deed: Deed<'_>,
        output: &mut Output,
        what: &(dyn Fn(&mut Draft) -> bool + Sync),
    ) -> Result<(), Fail> {
        let mut count = 0;
        for key in deed.request.arguments().skip(1) {
            let name = self.name(key)?;
            let mut done = false;
            self.work(&name, deed, output, |draft, _| {
                done = what(draft);
                Ok(())
            })
            .await?;
            count += i64::from(done);
        }
        self.reply(output).integer(count);
        output.close_last();
        Ok(())
    }

    async fn mget(&self, request: &Request<'_>, output: &mut Output) -> Result<(), Fail> {
        self.reply(output).array(request.count() - 1);
        for key in request.arguments().skip(1) {
            let name = self.name(key)?;
            self.work(&name, read(request), output, |draft, reply| {
                match draft.text() {
                    Some(text) => reply.bulk(text),
                    None => reply.null(),
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    async fn mset(&self, request: &Request<'_>, output: &mut Output) -> Result<(), Fail> {
        if request.count().is_multiple_of(2) {
            return Err(redis::wrong_arguments("mset"));
        }
        for at in (1..request.count()).step_by(2) {
            let name = self.name(redis::argument(request, at)?)?;
            let value = redis::argument(request, at + 1)?;
            let deed = Deed { need: Need::Write, command: "mset", request: *request };
            self.work(&name, deed, output, |draft, _| {
                draft.set_text(value.to_vec(), Until::Never);
                Ok(())
            })
            .await?;
        }
        self.reply(output).ok();
        output.close_last();
        Ok(())
    }

    async fn msetnx(&self, request: &Request<'_>, output: &mut Output) -> Result<(), Fail> {
        if request.count().is_multiple_of(2) {
            return Err(redis::wrong_arguments("msetnx"));
        }
        if request.count() > 3 {
            return self.msetnx_of_several(request, output).await;
        }
        let name = self.name(redis::argument(request, 1)?)?;
        let value = redis::argument(request, 2)?;
        let deed = Deed { need: Need::OneAnswer, command: "msetnx", request: *request };
        self.work(&name, deed, output, |draft, reply| {
            let absent = !draft.is_there();
            if absent {
                draft.set_text(value.to_vec(), Until::Never);
            }
            reply.integer(absent.into());
            Ok(())
        })
        .await
    }

    async fn msetnx_of_several(
        &self,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        // In one order for all; of one key that is named twice the last text counts.
        let mut texts = BTreeMap::new();
        for at in (1..request.count()).step_by(2) {
            texts.insert(redis::argument(request, at)?, redis::argument(request, at + 1)?);
        }
        if texts.len() > MOST_TOGETHER {
            let found = texts.len();
            let most = format!("at most {MOST_TOGETHER} are written together");
            return Err(Fail::Told(format!("ERR MSETNX of {found} keys; {most}")));
        }
        let mut pairs = Vec::with_capacity(texts.len());
        for (key, text) in texts {
            pairs.push((self.name(key)?, text));
        }
        let store = &self.shared.store;
        store.look_up(pairs.iter().map(|(name, _)| name)).await;
        let done = store.set_all_absent(&pairs).await?;
        if done && self.shared.channels.wanted().any() {
            let events = events::of_change("mset", request, false, true);
            pairs.iter().for_each(|(name, _)| self.tell_of(name, &events));
        }
        self.reply(output).integer(done.into());
        Ok(())
    }

    /// Gives a value another key: first it is there, then the old one goes.
    async fn copy(
        &self,
        command: &str,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        let is_copy = command == "copy";
        let (replaces, database) = if is_copy {
            self.copy_options(request)?
        } else {
            (command == "rename", self.database)
        };
        let (from, to) = (redis::argument(request, 1)?, redis::argument(request, 2)?);
        let is_same = from == to && database == self.database;
        if is_copy && is_same {
            return Err(Fail::Said("ERR source and destination objects are the same"));
        }
        let (from_name, to_name) = (self.name(from)?, self.name_in(database, to)?);
        let mut source = None;
        self.work(&from_name, read(request), output, |draft, _| {
            let now = draft.now();
            let empty = Draft::new(State::nothing(), Stamp::Agreed, now);
            source = Some(std::mem::replace(draft, empty));
            Ok(())
        })
        .await?;
        let source = source.filter(Draft::is_there);
        let Some(source) = source else {
            if !is_copy {
                return Err(Fail::Said("ERR no such key"));
            }
            self.reply(output).integer(0);
            return Ok(());
        };
        let mut refused = is_same && !replaces;
        if !is_same {
            let need = if replaces { Need::Write } else { Need::OneAnswer };
            let name = if is_copy { "copy_to" } else { "rename_to" };
            let deed = Deed { need, command: name, request: *request };
            self.work(&to_name, deed, output, |draft, _| {
                refused = !replaces && draft.is_there();
                if !refused {
                    draft.replace(&source);
                }
                Ok(())
            })
            .await?;
            if !refused && !is_copy {
                let deed = Deed { need: Need::Write, command: "rename_from", request: *request };
                self.work(&from_name, deed, output, |draft, _| {
                    draft.delete();
                    Ok(())
                })
                .await?;
            }
        }
        let mut reply = self.reply(output);
        if command == "rename" {
            reply.ok();
        } else {
            reply.integer((!refused).into());
        }
        output.close_last();
        Ok(())
    }

    /// Whether `COPY` replaces what is there, and in which database.
    fn copy_options(&self, request: &Request<'_>) -> Result<(bool, u8), Fail> {
        let (mut replaces, mut database, mut at) = (false, self.database, 3);
        while let Some(word) = request.get(at) {
            if is(word, "REPLACE") {
                replaces = true;
            } else if is(word, "DB") && request.get(at + 1).is_some() {
                at += 1;
                let named = u8::try_from(redis::integer(request, at)?).ok();
                let named = named.filter(|named| *named < DATABASES);
                database = named.ok_or(Fail::Said("ERR DB index is out of range"))?;
            } else {
                return Err(SYNTAX);
            }
            at += 1;
        }
        Ok((replaces, database))
    }

    async fn object(&self, request: &Request<'_>, output: &mut Output) -> Result<(), Fail> {
        const WORDS: [&str; 4] = ["ENCODING", "FREQ", "IDLETIME", "REFCOUNT"];
        let word = redis::argument(request, 1)?;
        if !WORDS.iter().any(|known| is(word, known)) {
            return Err(super::words::subcommand("OBJECT", request));
        }
        if request.count() != 3 {
            let word = String::from_utf8_lossy(word).to_ascii_lowercase();
            return Err(redis::wrong_arguments(&format!("object|{word}")));
        }
        let name = self.name(redis::argument(request, 2)?)?;
        let deed = read(request);
        self.work(&name, deed, output, |draft, reply| redis::OBJECT(draft, request, reply)).await
    }

    pub(super) fn reply<'o>(&self, output: &'o mut Output) -> Writer<'o> {
        Writer::new(&mut output.bytes, self.version)
    }
}
