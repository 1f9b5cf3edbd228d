//! System calls that were refused, with their names: an error number alone
//! does not say which of twenty calls it was.

use std::io;

/// A system call that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{call}: {source}")]
pub struct CallError {
    /// The call, with its option: `setsockopt TCP_REPAIR`.
    pub call: &'static str,
    /// The kernel's answer.
    #[source]
    pub source: io::Error,
}

impl CallError {
    /// Whether the kernel's answer was that error number.
    #[must_use]
    pub fn is(&self, number: i32) -> bool {
        self.source.raw_os_error() == Some(number)
    }
}

/// Results of system calls, on their way to an error that says which one it was.
pub(crate) trait Named<T> {
    /// Names the call.
    fn of(self, call: &'static str) -> Result<T, CallError>;
}

impl<T, E: Into<io::Error>> Named<T> for Result<T, E> {
    fn of(self, call: &'static str) -> Result<T, CallError> {
        self.map_err(|error| CallError { call, source: error.into() })
    }
}
