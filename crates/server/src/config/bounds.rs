//! The bounds that values are judged by, in words, for the reference. Each is told
//! from the constant that judges.

use std::time::Duration;

use proto::cluster::portion::{MAX_OF, MAX_REPLICAS};
use proto::keyring::MAX_KEYS;
use tls_rustls::{MAX_EARLY_DATA_BYTES, MAX_LIFETIME, MAX_TICKETS};

use super::units::{Size, Time, from_to};
use super::{connections, judge, prefixes, redis, upstream};

pub(super) fn name() -> String {
    let most = judge::MAX_NAME_BYTES;
    format!("1 to {most} bytes of letters, digits, `-`, `_` and `.`")
}

pub(super) fn keys() -> String {
    format!("at most {MAX_KEYS} keys")
}

pub(super) fn memory() -> String {
    format!("at least {}", shown(Size(judge::MIN_MEMORY_BYTES)))
}

pub(super) fn lookup_timeout() -> String {
    from_to(&judge::LOOKUP_TIMEOUTS)
}

pub(super) fn replicas() -> String {
    format!("from 1 to {MAX_REPLICAS}")
}

pub(super) fn of() -> String {
    format!("at most {MAX_OF} names")
}

pub(super) fn upstreams() -> String {
    format!("at most {}", upstream::MAX_UPSTREAMS)
}

pub(super) fn upstream_nodes() -> String {
    format!("at most {} addresses", upstream::MAX_NODES)
}

pub(super) fn prefixes() -> String {
    format!("at most {}", prefixes::MOST_PREFIXES)
}

pub(super) fn guard() -> String {
    at_most_time(prefixes::LONGEST_GUARD)
}

pub(super) fn early_data() -> String {
    format!("at most {}", shown(Size(MAX_EARLY_DATA_BYTES.into())))
}

pub(super) fn claim_timeout() -> String {
    from_to(&judge::CLAIM_TIMEOUTS)
}

pub(super) fn tickets() -> String {
    format!("from 0 to {MAX_TICKETS}")
}

pub(super) fn lifetime() -> String {
    format!("above 0s, {}", at_most_time(MAX_LIFETIME))
}

pub(super) fn connections() -> String {
    format!("from 1 to {}", redis::MOST_CONNECTIONS)
}

pub(super) fn users() -> String {
    format!("at most {}", redis::MOST_USERS)
}

pub(super) fn hold_timeout() -> String {
    from_to(&connections::HOLD_TIMEOUTS)
}

pub(super) fn detect() -> String {
    from_to(&connections::DETECTIONS)
}

pub(super) fn plain() -> String {
    format!("at most {}", connections::MAX_PLAIN)
}

fn at_most_time(most: Duration) -> String {
    format!("at most {}", shown(Time(most)))
}

fn shown(value: impl super::units::Form) -> String {
    value.show()
}
