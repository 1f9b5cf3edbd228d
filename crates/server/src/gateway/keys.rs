//! Which record a client's key is.
//!
//! A record's id holds the number of the database and the key. A key that is
//! too long for that has a hash in its id, and stands by itself in the
//! record's payload.

use aws_lc_rs::digest::{SHA256, digest};
use proto::record::{Body, Key, Kind, MAX_ID_BYTES, Record};
use proto::web::payload;

/// The longest key: as memcached's are, four times over; and Redis' sessions
/// have at most some 150 bytes.
pub(super) const MAX_KEY_BYTES: usize = 1024;
/// How many databases there are, as Redis has by default.
pub(super) const DATABASES: u8 = 16;
/// What the first byte of an id has beside its database's number where the
/// rest is a hash.
const HASHED: u8 = 0x10;
/// The first byte of an id that is no client's: that of a decision about several
/// keys. It is none of a database's.
pub(super) const DECISION: u8 = 0x20;

/// A client's key.
pub(super) struct Name<'a> {
    pub(super) key: Key,
    /// What has to stand in the payload: the key, or nothing.
    pub(super) long: &'a [u8],
}

impl Name<'_> {
    /// The database and the key.
    pub(super) fn place(&self) -> (u8, &[u8]) {
        let (&first, rest) = self.key.id().split_first().expect("it begins with the database");
        (first & !HASHED, if self.long.is_empty() { rest } else { self.long })
    }
}

/// The record of a key in a database; none where it is too long.
pub(super) fn name(database: u8, key: &[u8]) -> Option<Name<'_>> {
    let mut id = [0; MAX_ID_BYTES];
    if key.len() < MAX_ID_BYTES {
        id[0] = database;
        id[1..=key.len()].copy_from_slice(key);
        return Some(Name { key: Key::new(Kind::Web, &id[..=key.len()]).ok()?, long: &[] });
    }
    if key.len() > MAX_KEY_BYTES {
        return None;
    }
    let hash = digest(&SHA256, key);
    id[0] = HASHED | database;
    id[1..33].copy_from_slice(hash.as_ref());
    Some(Name { key: Key::new(Kind::Web, &id[..33]).ok()?, long: key })
}

/// The database and the client's key that a record is of. None where the key
/// was too long for the record's id, and what is there does not name it.
pub(super) fn place_of<'a>(record: &'a Record<'_>) -> Option<(u8, &'a [u8])> {
    let database = record.key.id().first()? & !HASHED;
    if database >= DATABASES {
        return None;
    }
    key_of(record, database).map(|key| (database, key))
}

/// The client's key that a record of this database is of.
pub(super) fn key_of<'a>(record: &'a Record<'_>, database: u8) -> Option<&'a [u8]> {
    let (&first, rest) = record.key.id().split_first()?;
    if record.key.kind() != Kind::Web {
        return None;
    }
    if first == database {
        return Some(rest);
    }
    match record.body {
        Body::Value(value) if first == HASHED | database => {
            Some(payload::name(value)).filter(|name| !name.is_empty())
        }
        Body::Value(_) | Body::Deleted => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_length_and_database_differ() {
        let long = [b'k'; 100];
        let id = |database, key| name(database, key).map(|name| name.key);
        assert_ne!(id(0, b"a"), id(1, b"a"));
        assert_ne!(id(0, &long[..63]), id(0, &long[..64]));
        assert_eq!(name(3, &long).map(|name| name.long), Some(&long[..]));
        assert!(name(0, &[b'k'; MAX_KEY_BYTES + 1]).is_none());
    }
}
