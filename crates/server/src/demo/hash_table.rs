//! What a cache memory is: a hash table, hashed by BUZhash. Shown on the very
//! code that the nodes run, without a node around it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::ensure;
use proto::buzhash::BuzHash;
use proto::record::{Body, Deadlines, Hlc, Key, Kind, Record, Version, Writer};
use proto::rng::Rng;
use proto::table::{Config, Table};
use proto::time::Wall;
use serde_json::json;

use super::steps::Detail;

/// Records in the table, and keys that are hashed.
const COUNT: usize = 100_000;

/// A session's id, and what its state takes.
const ID_BYTES: usize = 32;
const STATE_BYTES: usize = 200;

/// Finds every one of many records, and nothing that is not there.
pub(crate) fn look_up() -> anyhow::Result<Detail> {
    let keys = keys(&mut Rng::from_u64(1))?;
    let table = Table::new(Config {
        capacity_bytes: 256 << 20,
        placement_secret: [1; 32],
        own_secret: [2; 32],
    });
    let now = Wall::from_millis(1);
    let state = [0x5e; STATE_BYTES];
    for key in &keys {
        let record = Record {
            key: *key,
            version: Version { time: Hlc::at(now), writer: Writer(1) },
            deadlines: Deadlines::at(now + Duration::from_secs(60)),
            body: Body::Value(&state),
        };
        table.apply(&record, now);
    }
    let begun = Instant::now();
    let found = keys.iter().filter(|key| table.get(key, now, |_| ()).is_some()).count();
    let per_look_up = begun.elapsed() / u32::try_from(COUNT)?;
    ensure!(found == COUNT, "{found} of {COUNT} records are found");
    let stranger = Key::new(Kind::Tls, &[0; ID_BYTES])?;
    ensure!(table.get(&stranger, now, |_| ()).is_none(), "an unknown id is found");
    Ok(json!({ "records": COUNT, "ns_per_look_up": per_look_up.as_nanos() }))
}

/// Hashes many keys without a collision, and otherwise under another secret.
pub(crate) fn hash() -> anyhow::Result<Detail> {
    let keys = keys(&mut Rng::from_u64(2))?;
    let (hash, other) = (BuzHash::new(&[1; 32]), BuzHash::new(&[2; 32]));
    let begun = Instant::now();
    let mut hashes: Vec<_> = keys.iter().map(|key| black_box(hash.hash(key.as_bytes()))).collect();
    let per_key = begun.elapsed() / u32::try_from(COUNT)?;
    let same = keys.iter().zip(&hashes).filter(|(key, hash)| other.hash(key.as_bytes()) == **hash);
    ensure!(same.count() == 0, "another secret gives the same hashes");
    hashes.sort_unstable();
    hashes.dedup();
    ensure!(hashes.len() == COUNT, "{} collisions of 64 bits", COUNT - hashes.len());
    Ok(json!({ "keys": COUNT, "collisions": 0, "ns_per_key": per_key.as_nanos() }))
}

/// Keys with random ids, as TLS sessions have them.
fn keys(rng: &mut Rng) -> anyhow::Result<Vec<Key>> {
    let mut id = [0; ID_BYTES];
    let mut keys = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        rng.fill(&mut id);
        keys.push(Key::new(Kind::Tls, &id)?);
    }
    Ok(keys)
}
