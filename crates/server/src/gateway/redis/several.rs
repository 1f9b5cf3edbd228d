//! Commands on several keys, or on all.
//!
//! Each key is done by itself, one after the other, but for those that `MSETNX`
//! writes together.

use std::collections::BTreeMap;

use proto::gateway::redis::{self, Fail, Need, SYNTAX, events, type_of};
use proto::gateway::resp::{Request, Writer};
use proto::record::{Body, Record};
use proto::table::Cursor;
use proto::web::draft::Until;
use proto::web::{Draft, Stamp, State};

use super::connection::Output;
use super::session::{Deed, Session};
use crate::gateway::claims::MOST_TOGETHER;
use crate::gateway::keys::key_of;

/// How much of the table a scan walks at a time, with its shard locked.
const SCAN_BYTES: usize = 256 * 1024;
/// The most keys that are listed: `KEYS` of more would be a reply of hundreds
/// of megabytes. `SCAN` lists all.
const MOST_KEYS: usize = 1 << 20;

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

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
        let replaces = match request.get(3) {
            None => command == "rename",
            Some(word) if is_copy && is(word, "REPLACE") && request.count() == 4 => true,
            Some(_) => return Err(SYNTAX),
        };
        let (from, to) = (redis::argument(request, 1)?, redis::argument(request, 2)?);
        if is_copy && from == to {
            return Err(Fail::Said("ERR source and destination objects are the same"));
        }
        let (from_name, to_name) = (self.name(from)?, self.name(to)?);
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
        let mut refused = from == to && !replaces;
        if from != to {
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

    async fn flush(
        &self,
        command: &str,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        let deed = Deed { need: Need::Write, command: "del", request: *request };
        let databases = match command {
            "flushdb" => self.database..=self.database,
            _ => 0..=crate::gateway::keys::DATABASES - 1,
        };
        for database in databases {
            let mut keys = Vec::new();
            self.visit(Cursor::START, usize::MAX, |record| {
                if let Some(key) = key_of(record, database) {
                    keys.push(key.to_vec());
                }
                true
            });
            for key in keys.iter().filter(|key| key.starts_with(self.prefix())) {
                if let Some(name) = crate::gateway::keys::name(database, key) {
                    self.work(&name, deed, output, |draft, _| {
                        draft.delete();
                        Ok(())
                    })
                    .await?;
                }
            }
        }
        self.reply(output).ok();
        output.close_last();
        Ok(())
    }

    /// `SCAN`, `KEYS`, `DBSIZE` and `RANDOMKEY`: of what this node holds.
    fn list(&self, name: &str, request: &Request<'_>, output: &mut Output) -> Result<(), Fail> {
        if name == "scan" {
            return self.scan(request, output);
        }
        let pattern = if name == "keys" { redis::argument(request, 1)? } else { b"*" };
        let most = if name == "randomkey" { 1 } else { MOST_KEYS };
        let mut found: Vec<Vec<u8>> = Vec::new();
        let mut count = 0;
        self.visit(Cursor::START, usize::MAX, |record| {
            if let Some(key) = self.listed(record, pattern, None) {
                count += 1;
                if name != "dbsize" {
                    found.push(key.to_vec());
                }
            }
            found.len() < most
        });
        found.sort_unstable();
        found.dedup();
        let mut reply = self.reply(output);
        match (name, found.first()) {
            ("dbsize", _) => reply.integer(count),
            ("randomkey", Some(key)) => reply.bulk(key),
            ("randomkey", None) => reply.null(),
            _ => {
                reply.array(found.len());
                found.iter().for_each(|key| reply.bulk(key));
            }
        }
        Ok(())
    }

    fn scan(&self, request: &Request<'_>, output: &mut Output) -> Result<(), Fail> {
        let cursor = std::str::from_utf8(redis::argument(request, 1)?).ok();
        let cursor = cursor.and_then(|text| text.parse::<u64>().ok());
        let cursor = cursor.ok_or(Fail::Said("ERR invalid cursor"))?;
        let (mut pattern, mut kind, mut at): (&[u8], _, _) = (b"*", None, 2);
        while let Some(word) = request.get(at) {
            let value = redis::argument(request, at + 1)?;
            if is(word, "MATCH") {
                pattern = value;
            } else if is(word, "TYPE") {
                kind = Some(value);
            } else if !is(word, "COUNT") || redis::integer(request, at + 1)? < 1 {
                return Err(SYNTAX);
            }
            at += 2;
        }
        let mut found: Vec<Vec<u8>> = Vec::new();
        let next = self.visit(Cursor::from_u64(cursor), 1, |record| {
            found.extend(self.listed(record, pattern, kind).map(<[u8]>::to_vec));
            true
        });
        let mut reply = self.reply(output);
        reply.array(2);
        reply.bulk(next.map_or(0, Cursor::to_u64).to_string().as_bytes());
        reply.array(found.len());
        found.iter().for_each(|key| reply.bulk(key));
        Ok(())
    }

    /// The client's key of a record that is there and is asked for.
    fn listed<'r>(
        &self,
        record: &'r Record<'_>,
        pattern: &[u8],
        kind: Option<&[u8]>,
    ) -> Option<&'r [u8]> {
        let now = self.shared.store.cache.now();
        if record.body == Body::Deleted || record.deadlines.passed(now) {
            return None;
        }
        let key = key_of(record, self.database)?;
        if !key.starts_with(self.prefix()) || !redis::glob::matches(pattern, key) {
            return None;
        }
        let draft = Draft::new(State::of(record).into_owned(), Stamp::Agreed, now);
        let is_kind = kind.is_none_or(|kind| is(kind, type_of(&draft)));
        (draft.is_there() && is_kind).then_some(key)
    }

    /// Visits records while `visit` wants more, at most `turns` pieces of the
    /// table; gives where to go on.
    fn visit(
        &self,
        mut cursor: Cursor,
        turns: usize,
        mut visit: impl FnMut(&Record<'_>) -> bool,
    ) -> Option<Cursor> {
        let mut more = true;
        for _ in 0..turns {
            cursor = self.shared.store.cache.scan(cursor, SCAN_BYTES, |record| {
                more = more && visit(record);
            })?;
            if !more {
                break;
            }
        }
        Some(cursor)
    }

    pub(super) fn reply<'o>(&self, output: &'o mut Output) -> Writer<'o> {
        Writer::new(&mut output.bytes, self.version)
    }
}
