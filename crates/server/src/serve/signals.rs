//! What signals ask of a node.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Read the configuration again (SIGHUP).
    Reload,
    /// Take leave (SIGTERM, SIGINT).
    End,
}

/// The signals that a node takes.
#[derive(Debug)]
pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes them from here on; none kills the process any more.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next order.
    pub(super) async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::End,
            _ = self.interrupt.recv() => Order::End,
            _ = self.hangup.recv() => Order::Reload,
        }
    }

    /// Waits until one asks for the end.
    pub(super) async fn end(&mut self) {
        while self.next().await != Order::End {}
    }
}
