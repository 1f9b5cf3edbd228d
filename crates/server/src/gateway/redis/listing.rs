//! Commands on all keys that are there, or on those that a pattern names.

use proto::gateway::redis::{self, Fail, Need, SYNTAX, type_of};
use proto::gateway::resp::Request;
use proto::record::{Body, Record};
use proto::table::Cursor;
use proto::web::{Draft, Stamp, State};

use super::connection::Output;
use super::session::{Deed, Session};
use super::words::is;
use crate::gateway::keys::{DATABASES, key_of, name};

/// How much of the table a scan walks at a time, with its shard locked.
const SCAN_BYTES: usize = 256 * 1024;
/// The most keys that are listed: `KEYS` of more would be a reply of hundreds
/// of megabytes. `SCAN` lists all.
const MOST_KEYS: usize = 1 << 20;

impl Session<'_> {
    /// `FLUSHDB` and `FLUSHALL`.
    pub(super) async fn flush(
        &self,
        command: &str,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        let deed = Deed { need: Need::Write, command: "del", request: *request };
        let databases = match command {
            "flushdb" => self.database..=self.database,
            _ => 0..=DATABASES - 1,
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
                if let Some(name) = name(database, key) {
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
    pub(super) fn list(
        &self,
        name: &str,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
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
}
