//! What is made of a write that not every server has confirmed in time.
//!
//! That is so for about a second when a server has just died and is not missed
//! yet. The write is in this node's cache and on its way to those that live.

use segue::WriteError;
use segue::state::Error;

use crate::refusal::Refusal;

/// An edit counts as made: were the customer to make it once more, it would be
/// made twice.
pub(crate) fn made<T>(edited: Result<T, Error>) -> Result<(), Refusal> {
    match edited {
        Ok(_) | Err(Error::Write(WriteError::Unacknowledged { .. })) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What gets an id of its own is begun once more: nobody has the first one's id.
pub(crate) async fn begun<T, F>(mut begin: impl FnMut() -> F) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, Error>>,
{
    match begin().await {
        Err(Error::Write(WriteError::Unacknowledged { .. })) => Ok(begin().await?),
        begun => Ok(begun?),
    }
}
