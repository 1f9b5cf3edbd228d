//! Stores for tower-sessions, of two of its releases: their records as bytes.
//!
//! The releases' traits look the same, and are others to the compiler. So one
//! store is written here for both.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::Loaded;
use crate::Wall;

/// What a session has for an application, as tower-sessions has it.
type Data = HashMap<String, Value>;

/// Nanoseconds of a millisecond.
const MILLISECOND: i128 = 1_000_000;
/// What stands before the data: the nanoseconds that the end has beyond a
/// millisecond, so that a record comes back as it was saved.
const HEAD_BYTES: usize = 4;

/// The bytes of a record, and when it ends. Equal data are equal bytes.
fn encode(data: &Data, ends: OffsetDateTime) -> serde_json::Result<(Zeroizing<Vec<u8>>, Wall)> {
    let nanos = ends.unix_timestamp_nanos();
    let beyond = u32::try_from(nanos.rem_euclid(MILLISECOND)).expect("below a million");
    // What lies before 1970 has ended, and after the last millisecond is never.
    let millis = u64::try_from(nanos.div_euclid(MILLISECOND).max(0)).unwrap_or(u64::MAX);
    let mut bytes = Zeroizing::new(beyond.to_be_bytes().to_vec());
    let sorted: BTreeMap<_, _> = data.iter().collect();
    serde_json::to_writer(&mut *bytes, &sorted)?;
    Ok((bytes, Wall::from_millis(millis)))
}

/// Reads what [`encode`] wrote; else says what is wrong with it.
fn decode(loaded: &Loaded) -> Result<(Data, OffsetDateTime), String> {
    let (beyond, data) = loaded.value.split_first_chunk::<HEAD_BYTES>().ok_or("it is too short")?;
    let data = serde_json::from_slice(data).map_err(|error| error.to_string())?;
    let nanos = i128::from(loaded.ends.as_millis()) * MILLISECOND
        + i128::from(u32::from_be_bytes(*beyond)) % MILLISECOND;
    // Times beyond the year 9999 are beyond this type.
    let ends = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(LAST);
    Ok((data, ends))
}

/// The last time that the `time` crate has without a feature that would change
/// how others parse: the end of the year 9999.
const LAST: OffsetDateTime = time::PrimitiveDateTime::MAX.assume_utc();

/// The store for a release.
macro_rules! store {
    ($release:ident) => {
        use async_trait::async_trait;
        use $release::SessionStore;
        use $release::session::{Id, Record};
        use $release::session_store::{Error, Result};

        use crate::web::{self, WebId, WebSessions};

        /// Keeps the sessions of tower-sessions in a farm's cache: any node goes on
        /// with what another one has begun.
        ///
        /// - `create` gives the record an id of its own making, and never
        ///   overwrites.
        /// - `save` writes to sessions that live. For one that was deleted it does
        ///   nothing, as if it had come before; for one that has ended otherwise
        ///   it is an error, since what it brings would be lost without a word.
        /// - `delete` is final, at every node, and may be repeated.
        /// - A session ends with its `expiry_date`, and with
        ///   [`WebSessions::lifetime`] in any case.
        #[derive(Debug, Clone)]
        pub struct Store(WebSessions);

        impl Store {
            /// The store that keeps its sessions there.
            #[must_use]
            pub const fn new(sessions: WebSessions) -> Self {
                Self(sessions)
            }
        }

        #[async_trait]
        impl SessionStore for Store {
            async fn create(&self, record: &mut Record) -> Result<()> {
                let (value, ends) = bytes(record)?;
                let id = self.0.create(&value, ends).await.map_err(backend)?;
                record.id = Id(i128::from_be_bytes(*id.as_bytes()));
                Ok(())
            }

            async fn save(&self, record: &Record) -> Result<()> {
                let (value, ends) = bytes(record)?;
                match self.0.save(&name(&record.id), &value, ends).await {
                    Ok(()) | Err(web::Error::LoggedOut) => Ok(()),
                    Err(error) => Err(backend(error)),
                }
            }

            async fn load(&self, id: &Id) -> Result<Option<Record>> {
                let loaded = self.0.load(&name(id)).await.map_err(backend)?;
                let record = |loaded| {
                    let (data, expiry_date) = super::decode(&loaded).map_err(Error::Decode)?;
                    Ok(Record { id: *id, data, expiry_date })
                };
                loaded.map(record).transpose()
            }

            async fn delete(&self, id: &Id) -> Result<()> {
                self.0.delete(&name(id)).await.map(drop).map_err(backend)
            }
        }

        fn name(id: &Id) -> WebId {
            WebId::new(id.0.to_be_bytes())
        }

        fn bytes(record: &Record) -> Result<(zeroize::Zeroizing<Vec<u8>>, crate::Wall)> {
            super::encode(&record.data, record.expiry_date)
                .map_err(|error| Error::Encode(error.to_string()))
        }

        fn backend(error: web::Error) -> Error {
            Error::Backend(error.to_string())
        }
    };
}

/// The store for tower-sessions 0.15: axum and other services of tower.
#[cfg(feature = "tower-sessions")]
pub mod tower_sessions {
    store!(tower_sessions_core_0_15);
}

/// The store for tower-sessions 0.14, which axum-login 0.18 builds on.
///
/// What it keeps is what that for 0.15 keeps: an application that moves from the
/// one to the other goes on with its sessions.
#[cfg(feature = "tower-sessions-0-14")]
pub mod tower_sessions_0_14 {
    store!(tower_sessions_core_0_14);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ends: OffsetDateTime, expected: OffsetDateTime) {
        let data = Data::from([("cart".to_owned(), serde_json::json!({"mug": 2}))]);
        let (value, ends) = encode(&data, ends).unwrap();
        assert_eq!(decode(&Loaded { value, ends }), Ok((data, expected)));
    }

    #[test]
    fn a_record_comes_back_as_it_was_saved() {
        for nanos in [0, 1, 999_999, 1_000_000, 1_790_000_000_123_456_789] {
            let ends = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap();
            check(ends, ends);
        }
        check(
            LAST,
            OffsetDateTime::from_unix_timestamp_nanos(LAST.unix_timestamp_nanos()).unwrap(),
        );
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bytes in [&b""[..], b"abc", b"abcd", b"abcd[]", b"abcd{\"a\":", b"\xff\xff\xff\xff{}!"]
        {
            let loaded = Loaded { value: Zeroizing::new(bytes.to_vec()), ends: Wall::MAX };
            assert!(decode(&loaded).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn equal_data_are_equal_bytes() {
        let words = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let data = |words: &mut dyn Iterator<Item = &&str>| -> Data {
            words.map(|word| ((*word).to_owned(), Value::Null)).collect()
        };
        let one = encode(&data(&mut words.iter()), LAST).unwrap();
        let other = encode(&data(&mut words.iter().rev()), LAST).unwrap();
        assert_eq!(*one.0, *other.0);
    }
}
