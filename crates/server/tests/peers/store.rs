//! The plainest store that answers as memcached does. It has no memory to run
//! out of, and its clock stands still: nothing expires but at once.

use std::collections::BTreeMap;

use proto::gateway::memcached::{
    Arithmetic, Command, Delete, Expiry, Fetch, Found, Mode, Request, Store as Given, Text, Writer,
};

#[derive(Clone, Default)]
struct Item {
    value: Vec<u8>,
    flags: u32,
    number: u64,
    expires: bool,
    stale: bool,
    sent: bool,
    fetched: bool,
}

impl Item {
    fn found(&self) -> Found<'_> {
        Found {
            value: Text(&self.value),
            flags: self.flags,
            cas: self.number,
            fetched: self.fetched,
            stale: self.stale,
            sent: self.sent,
            ..Found::default()
        }
    }
}

/// All values, and the last number that one got.
pub(crate) struct Store {
    items: BTreeMap<Vec<u8>, Item>,
    last: u64,
}

impl Store {
    pub(crate) fn new(last: u64) -> Self {
        Self { items: BTreeMap::new(), last }
    }

    /// Does what a request says, and answers it.
    pub(crate) fn answer(&mut self, request: &Request<'_>, out: &mut Vec<u8>) {
        let mut writer = Writer::new(out, request.answer);
        match &request.command {
            Command::Get { keys, touch } => {
                for key in *keys {
                    match self.get(key, *touch) {
                        Some(item) => writer.hit(key, &item.found()),
                        None => writer.miss(key),
                    }
                }
                writer.end();
            }
            Command::Fetch(fetch) => self.fetch(fetch, &mut writer),
            Command::Store(given) => self.store(given, &mut writer),
            Command::TooLarge { key, forget } => {
                if *forget {
                    self.items.remove(key.0);
                }
                writer.too_large();
            }
            Command::Delete(delete) => self.delete(delete, &mut writer),
            Command::Arithmetic(arithmetic) => self.count(arithmetic, &mut writer),
            Command::Touch { key, expiry } => match self.get(key.0, Some(*expiry)) {
                Some(item) => writer.touched(&item.found()),
                None => writer.not_found(),
            },
            // What is there is not told: figures of memory differ.
            Command::Inspect { key } => writer.miss(key.0),
            Command::Version => writer.version("?"),
            Command::Noop => writer.noop(),
            Command::Quit => writer.quit(),
            Command::Verbosity | Command::FlushAll { .. } | Command::Stats { .. } => writer.ok(),
        }
    }

    fn get(&mut self, key: &[u8], touch: Option<Expiry>) -> Option<Item> {
        let found = self.items.get(key)?.clone();
        if let Some(item) = self.items.get_mut(key) {
            item.fetched = true;
        }
        if let Some(touch) = touch {
            self.expire(key, touch);
        }
        Some(found)
    }

    fn expire(&mut self, key: &[u8], expiry: Expiry) {
        if is_past(expiry) {
            self.items.remove(key);
        } else if let Some(item) = self.items.get_mut(key) {
            item.expires = expiry != Expiry::Never;
        }
    }

    /// Stores an item, and gives its number.
    fn put(&mut self, key: &[u8], item: Item, expiry: Expiry) -> u64 {
        self.last += 1;
        let expires = expiry != Expiry::Never;
        self.items.insert(key.to_vec(), Item { number: self.last, expires, ..item });
        if is_past(expiry) {
            self.items.remove(key);
        }
        self.last
    }

    fn fetch(&mut self, fetch: &Fetch<'_>, writer: &mut Writer<'_, '_>) {
        let key = fetch.key.0;
        let created = fetch.vivify.filter(|_| !self.items.contains_key(key));
        if created.is_some() {
            self.put(key, Item::default(), Expiry::Never);
        }
        let Some(item) = self.items.get_mut(key) else { return writer.miss(key) };
        let recached =
            fetch.recache.is_some_and(|soon| !is_past(soon)) && item.expires && created.is_none();
        let won = created.is_some() || (!item.sent && (item.stale || recached));
        writer.hit(key, &Found { won, ..item.found() });
        item.sent |= won;
        item.fetched |= fetch.counts;
        for expiry in [created, fetch.touch].into_iter().flatten() {
            self.expire(key, expiry);
        }
    }

    fn store(&mut self, given: &Given<'_>, writer: &mut Writer<'_, '_>) {
        let key = given.key.0;
        let old = self.items.get(key).cloned();
        let mut new = Item { value: given.value.0.to_vec(), flags: given.flags, ..Item::default() };
        let mut expiry = given.expiry;
        match (given.mode, old, given.cas) {
            (Mode::Set | Mode::Replace, None, Some(_)) => return writer.not_found(),
            (Mode::Set | Mode::Replace, Some(old), Some(number)) if old.number != number => {
                if !given.invalidate || number > old.number {
                    return writer.exists();
                }
                new.stale = true;
            }
            (Mode::Add, Some(_), _) | (Mode::Replace | Mode::Append | Mode::Prepend, None, _) => {
                return writer.not_stored();
            }
            (Mode::Append | Mode::Prepend, Some(old), number) => {
                // To these a number of 0 is none.
                if number.is_some_and(|number| number != 0 && number != old.number) {
                    return writer.exists();
                }
                let parts = [old.value, new.value];
                let reverse = given.mode == Mode::Prepend;
                let value = if reverse {
                    parts.iter().rev().flatten().copied().collect()
                } else {
                    parts.concat()
                };
                new = Item { value, flags: old.flags, ..Item::default() };
                expiry = if old.expires { Expiry::In(100_000) } else { Expiry::Never };
            }
            (Mode::Set | Mode::Add | Mode::Replace, _, _) => {}
        }
        let number = self.put(key, new, expiry);
        writer.stored(number);
    }

    fn delete(&mut self, delete: &Delete<'_>, writer: &mut Writer<'_, '_>) {
        let key = delete.key.0;
        let Some(item) = self.items.get_mut(key) else { return writer.not_found() };
        if delete.cas.is_some_and(|number| number != item.number) {
            return writer.exists();
        }
        if delete.invalidate {
            self.last += 1;
            (item.number, item.stale, item.sent) = (self.last, true, false);
            if let Some(expiry) = delete.expiry {
                self.expire(key, expiry);
            }
        } else {
            self.items.remove(key);
        }
        writer.deleted();
    }

    fn count(&mut self, arithmetic: &Arithmetic<'_>, writer: &mut Writer<'_, '_>) {
        let Arithmetic { key, up, delta, initial, cas, touch } = *arithmetic;
        let key = key.0;
        let (number, expiry) = match (self.items.get(key), initial) {
            (None, None) => return writer.not_found(),
            (None, Some((number, expiry))) => {
                let value = number.to_string().into_bytes();
                self.put(key, Item { value, ..Item::default() }, Expiry::Never);
                (number, Some(expiry))
            }
            (Some(item), _) => {
                // An empty value is looked at before its number is.
                if item.value.is_empty() {
                    return writer.not_numeric();
                }
                if cas.is_some_and(|number| number != 0 && number != item.number) {
                    return writer.exists();
                }
                let text = std::str::from_utf8(&item.value).unwrap_or_default();
                // What is behind a blank is none of it.
                let text = text.split_ascii_whitespace().next().unwrap_or_default();
                let Ok(number) = text.parse::<u64>() else {
                    return writer.not_numeric();
                };
                let number =
                    if up { number.wrapping_add(delta) } else { number.saturating_sub(delta) };
                // A shorter number is written over the longer one.
                let value = format!("{number:<width$}", width = item.value.len()).into_bytes();
                self.last += 1;
                let item = Item { value, number: self.last, ..item.clone() };
                self.items.insert(key.to_vec(), item);
                (number, None)
            }
        };
        writer.number(number, &self.items[key].found());
        for expiry in [expiry, touch].into_iter().flatten() {
            self.expire(key, expiry);
        }
    }
}

/// Whether it is over by now. Times that are told are far away from now.
fn is_past(expiry: Expiry) -> bool {
    match expiry {
        Expiry::Past => true,
        Expiry::At(seconds) => seconds < 1_700_000_000,
        Expiry::Never | Expiry::In(_) => false,
    }
}
