//! Slowing down who guesses passwords.
//!
//! Each account, and each address that log-ins come from, has an allowance of
//! attempts that grows back with time. One that succeeds costs nothing, so the
//! allowance is of wrong passwords. It is this node's alone: a farm of several
//! nodes allows as many times more.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;

/// How many accounts and addresses are remembered: about 1 MB. Beyond, those
/// whose allowance is whole again soonest are forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// Who makes attempts, and whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Of {
    /// An account by its name's hash: names may be long, and passwords typed in
    /// the wrong field.
    Account([u8; 32]),
    /// An address; of IPv6 the network, for one client has 2^64 of them.
    Address(IpAddr),
}

impl Of {
    pub(crate) fn account(name: &str) -> Self {
        let named = digest(&SHA256, name.as_bytes());
        Self::Account(*named.as_ref().first_chunk().expect("a digest has 32 bytes"))
    }

    pub(crate) fn address(address: IpAddr) -> Self {
        Self::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(six) => {
                let network = six.to_bits() & !u128::from(u64::MAX);
                IpAddr::V6(network.into())
            }
        })
    }

    /// How long one attempt takes to grow back: an account's guesser has 1,200 an
    /// hour at each node; an office behind one address has three times as many.
    const fn interval(self) -> Duration {
        match self {
            Self::Account(_) => Duration::from_secs(3),
            Self::Address(_) => Duration::from_secs(1),
        }
    }

    /// How many may come at once: as often as people mistype.
    const fn burst(self) -> u32 {
        match self {
            Self::Account(_) => 10,
            Self::Address(_) => 30,
        }
    }
}

/// Until when each one's allowance is not whole (a token bucket, kept as the
/// time at which it is full again).
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<BTreeMap<Of, Instant>>);

impl Attempts {
    /// Takes an attempt.
    ///
    /// # Errors
    ///
    /// How long to wait for the next one.
    pub(crate) fn take(&self, of: Of, now: Instant) -> Result<(), Duration> {
        let mut whole = self.0.lock();
        let whole_at = whole.get(&of).map_or(now, |at| now.max(*at)) + of.interval();
        let excess = whole_at.saturating_duration_since(now + of.interval() * of.burst());
        if !excess.is_zero() {
            return Err(excess);
        }
        if whole.len() >= MAX_REMEMBERED && !whole.contains_key(&of) {
            whole.retain(|_, at| *at > now);
            if whole.len() >= MAX_REMEMBERED {
                let soonest = whole.iter().min_by_key(|(_, at)| **at).map(|(of, _)| *of);
                whole.remove(&soonest.expect("it is full"));
            }
        }
        whole.insert(of, whole_at);
        Ok(())
    }

    /// Gives an attempt back that has succeeded.
    pub(crate) fn give_back(&self, of: Of) {
        let mut whole = self.0.lock();
        if let Some(at) = whole.get_mut(&of) {
            *at -= of.interval();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guesser_is_slowed_and_others_are_not() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let ada = Of::account("ada");
        for _ in 0..ada.burst() {
            assert_eq!(attempts.take(ada, start), Ok(()));
        }
        assert_eq!(attempts.take(ada, start), Err(Duration::from_secs(3)));
        assert_eq!(attempts.take(Of::account("grace"), start), Ok(()));
        assert_eq!(attempts.take(ada, start + Duration::from_secs(3)), Ok(()));
        assert!(attempts.take(ada, start + Duration::from_secs(3)).is_err());
        attempts.give_back(ada);
        assert_eq!(attempts.take(ada, start + Duration::from_secs(3)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_a_network_is_one_client() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for name in 0..=MAX_REMEMBERED {
            attempts.take(Of::account(&name.to_string()), start).unwrap();
        }
        assert_eq!(attempts.0.lock().len(), MAX_REMEMBERED);
        let of = |text: &str| Of::address(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
