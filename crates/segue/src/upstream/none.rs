//! The tier above of a library that was built without the `redis` feature:
//! there is none, and who asks for one is told so.

use std::sync::Arc;
use std::time::Duration;

use proto::holdings::Holdings;
use proto::keyring::Keyring;
use proto::record::{Key, Record};
use proto::wire::frame::Frame;

use crate::config::UpstreamConfig;
use crate::error::{StartError, UpstreamError, WriteError};
use crate::status::UpstreamStatus;

/// No tier above.
pub(crate) struct Tier;

impl Tier {
    pub(crate) fn start(
        configs: &[UpstreamConfig],
        _: &Keyring,
        _: &Arc<Holdings>,
    ) -> Result<Self, StartError> {
        if configs.is_empty() { Ok(Self) } else { Err(StartError::NoEngine) }
    }

    pub(crate) fn write(&self, _: &Frame<'_>, waits: bool) -> Result<Receipt, WriteError> {
        if waits { Err(UpstreamError::None.into()) } else { Ok(Receipt) }
    }

    #[expect(clippy::unused_async, reason = "the same as with an engine")]
    pub(crate) async fn find<R>(
        &self,
        _: &Key,
        _: Duration,
        _: impl FnOnce(&Record<'_>) -> Option<R>,
    ) -> Option<R> {
        None
    }

    pub(crate) const fn is_empty(&self) -> bool {
        true
    }

    pub(crate) fn rekey(&self, _: &Keyring) {}

    pub(crate) const fn status(&self) -> Vec<UpstreamStatus> {
        Vec::new()
    }

    pub(crate) const fn hits(&self) -> u64 {
        0
    }

    pub(crate) fn stop(&self) {}

    pub(crate) fn join(&self) {}
}

/// Nothing to wait for.
pub(crate) struct Receipt;

impl Receipt {
    #[expect(clippy::unused_async, reason = "the same as with an engine")]
    pub(crate) async fn wait(self, _: Duration) -> Result<(), WriteError> {
        Ok(())
    }
}
