//! What a front counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::places::Place;
use tls_rustls::Miss;

/// Why a client was not served to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Its first bytes were no ClientHello.
    Hello,
    /// It took too long for its ClientHello or its handshake.
    Timeout,
    /// It went away before the handshake was done.
    Closed,
    /// The handshake failed: nothing in common, a certificate refused, a
    /// forged message.
    Handshake,
    /// The backend could not be reached.
    Backend,
}

impl Failure {
    pub(crate) const ALL: [Self; 5] =
        [Self::Hello, Self::Timeout, Self::Closed, Self::Handshake, Self::Backend];

    /// The word for it in figures.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Handshake => "handshake",
            Self::Backend => "backend",
        }
    }
}

/// How a handshake that succeeded went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handshake {
    /// In full.
    Full,
    /// It resumed a session that began at this node.
    ResumedLocal,
    /// It resumed a session that began at another node.
    ResumedRemote,
}

/// Why early data that a client offered was refused. It sends it again after
/// the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EarlyRefusal {
    /// Early data is off, there is no session to resume, or rustls does not
    /// accept it for this one: another ALPN or cipher suite, or a ticket whose
    /// age is not what the client says.
    Unfit,
    /// The ticket was claimed before. The handshake is a full one.
    Claimed,
    /// The node that issued the ticket did not answer, or started anew.
    Unreachable,
    /// The node that issued the ticket can remember no further claims.
    Unable,
    /// The session began later than now: by a clock that is ahead, so that the
    /// ticket would outlive the claim to it.
    Clock,
}

impl EarlyRefusal {
    const ALL: [Self; 5] =
        [Self::Unfit, Self::Claimed, Self::Unreachable, Self::Unable, Self::Clock];

    /// The word for it in figures.
    const fn name(self) -> &'static str {
        match self {
            Self::Unfit => "unfit",
            Self::Claimed => "claimed",
            Self::Unreachable => "unreachable",
            Self::Unable => "unable",
            Self::Clock => "clock",
        }
    }
}

/// Counters since the front's start, shared by all its connections.
#[derive(Debug, Default)]
pub(super) struct Counters {
    handshakes: [AtomicU64; 3],
    failures: [AtomicU64; Failure::ALL.len()],
    misses: [AtomicU64; Miss::ALL.len()],
    unstored: AtomicU64,
    early_data_accepted: AtomicU64,
    early_data_refused: [AtomicU64; EarlyRefusal::ALL.len()],
    handed: Arc<AtomicUsize>,
}

/// The place of a connection that was handed over: it counts for as long as this
/// is kept.
#[derive(Debug)]
pub(super) struct HandedPlace {
    _place: Place,
    handed: Arc<AtomicUsize>,
}

impl Drop for HandedPlace {
    fn drop(&mut self) {
        self.handed.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counters {
    pub(super) fn handshake(&self, handshake: Handshake) {
        self.handshakes[handshake as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failure(&self, failure: Failure) {
        self.failures[failure as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A record was found, and must not be resumed.
    pub(super) fn miss(&self, miss: Miss) {
        self.misses[miss as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A session that began could not be written to the cache.
    pub(super) fn unstored(&self) {
        self.unstored.fetch_add(1, Ordering::Relaxed);
    }

    /// A client's early data is accepted.
    pub(super) fn early_data_accepted(&self) {
        self.early_data_accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// A client's early data is refused.
    pub(super) fn early_data_refused(&self, cause: EarlyRefusal) {
        self.early_data_refused[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A connection is handed over, and keeps its place.
    pub(super) fn hand_over(&self, place: Place) -> HandedPlace {
        self.handed.fetch_add(1, Ordering::Relaxed);
        HandedPlace { _place: place, handed: Arc::clone(&self.handed) }
    }

    pub(super) fn read(&self, live: usize) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            handshakes_full: read(&self.handshakes[Handshake::Full as usize]),
            resumed_local: read(&self.handshakes[Handshake::ResumedLocal as usize]),
            resumed_remote: read(&self.handshakes[Handshake::ResumedRemote as usize]),
            failures: Failure::ALL
                .map(|cause| (cause.name(), read(&self.failures[cause as usize]))),
            misses: Miss::ALL.map(|cause| (cause.name(), read(&self.misses[cause as usize]))),
            unstored: read(&self.unstored),
            early_data_accepted: read(&self.early_data_accepted),
            early_data_refused: EarlyRefusal::ALL
                .map(|cause| (cause.name(), read(&self.early_data_refused[cause as usize]))),
            live,
            handed: self.handed.load(Ordering::Relaxed).min(live),
        }
    }
}

/// What a front has done since its start.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// Full handshakes.
    pub(crate) handshakes_full: u64,
    /// Resumptions of sessions that began at this node.
    pub(crate) resumed_local: u64,
    /// Resumptions of sessions that began at another node.
    pub(crate) resumed_remote: u64,
    /// Clients that were not served to the end, by cause.
    pub(crate) failures: [(&'static str, u64); Failure::ALL.len()],
    /// Records that were found and must not be resumed, by cause.
    pub(crate) misses: [(&'static str, u64); Miss::ALL.len()],
    /// Sessions that could not be written to the cache.
    pub(crate) unstored: u64,
    /// Clients whose early data was accepted.
    pub(crate) early_data_accepted: u64,
    /// Clients whose early data was refused, by cause.
    pub(crate) early_data_refused: [(&'static str, u64); EarlyRefusal::ALL.len()],
    /// Connections that are open.
    pub(crate) live: usize,
    /// Those of them that a carrier has.
    pub(crate) handed: usize,
}

#[cfg(test)]
impl Figures {
    /// Those of a front that has done nothing yet.
    pub(crate) fn of_nothing() -> Self {
        Counters::default().read(0)
    }
}
