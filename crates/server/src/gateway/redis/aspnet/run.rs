//! A script's keys and arguments, and what is done to one of the keys.

use proto::gateway::number::parse_i64;
use proto::gateway::redis::{self, Fail, NO_INTEGER, Need, WRONG_TYPE};
use proto::gateway::resp::Request;
use proto::time::Wall;
use proto::web::draft::Until;
use proto::web::{Draft, Shape};

use super::known::Form;
use crate::gateway::redis::session::Deed;

/// What a session's data are, as they go to a client.
pub(super) enum Data {
    Nothing,
    Text(Vec<u8>),
    Fields(Vec<(Vec<u8>, Vec<u8>)>),
}

/// A script that is being done.
pub(super) struct Run<'r> {
    pub(super) form: Form,
    pub(super) request: Request<'r>,
    pub(super) data: &'r [u8],
    pub(super) timeout: &'r [u8],
    pub(super) arguments: Vec<&'r [u8]>,
}

impl<'r> Run<'r> {
    pub(super) const fn deed(&self, need: Need, command: &'static str) -> Deed<'r> {
        Deed { need, command, request: self.request }
    }

    pub(super) fn argument(&self, at: usize) -> Result<&'r [u8], Fail> {
        self.arguments.get(at).copied().ok_or(redis::SYNTAX)
    }

    pub(super) fn number(&self, at: usize) -> Result<i64, Fail> {
        parse_i64(self.argument(at)?).ok_or(NO_INTEGER)
    }

    /// A time that something ends in.
    pub(super) fn seconds(&self, at: usize) -> Result<i64, Fail> {
        self.number(at)
    }

    /// A place among the arguments, which the script counts from one.
    pub(super) fn place(&self, at: usize) -> Result<usize, Fail> {
        usize::try_from(self.number(at)?).map_err(|_| NO_INTEGER)
    }

    /// The arguments from one place to another.
    pub(super) fn slice(&self, first: usize, last: usize) -> Result<&[&'r [u8]], Fail> {
        let first = first.checked_sub(1).ok_or(NO_INTEGER)?;
        self.arguments.get(first..last).ok_or(redis::SYNTAX)
    }
}

impl Form {
    /// The data that are there, if they are of this form.
    pub(super) fn data(self, draft: &Draft) -> Result<Data, Fail> {
        match (self, draft.members()) {
            (Self::Text, _) => Ok(text(draft)?.map_or(Data::Nothing, Data::Text)),
            (Self::Hash, Some(members)) if members.shape == Shape::Hash => {
                let field = |(field, value): (&[u8], &[u8])| (field.to_vec(), value.to_vec());
                Ok(Data::Fields(members.live().map(field).collect()))
            }
            (Self::Hash, None) if !draft.is_there() => Ok(Data::Fields(Vec::new())),
            (Self::Hash, _) => Err(WRONG_TYPE),
        }
    }
}

/// The text that is there.
pub(super) fn text(draft: &Draft) -> Result<Option<Vec<u8>>, Fail> {
    match draft.text() {
        None if draft.is_there() => Err(WRONG_TYPE),
        text => Ok(text.map(<[u8]>::to_vec)),
    }
}

/// The time in so many seconds.
fn in_seconds(draft: &Draft, seconds: i64) -> Wall {
    let millis = seconds.saturating_mul(1_000);
    Wall::from_millis(draft.now().as_millis().saturating_add_signed(millis))
}

/// Has what is there end in so many seconds.
pub(super) fn ends_in(draft: &mut Draft, seconds: i64) {
    if draft.is_there() {
        let end = in_seconds(draft, seconds);
        draft.set_end(Some(end));
    }
}

/// Writes a text that ends in so many seconds.
pub(super) fn set(draft: &mut Draft, text: &[u8], seconds: i64) {
    let end = in_seconds(draft, seconds);
    draft.set_text(text.to_vec(), Until::At(end));
    if end <= draft.now() {
        draft.delete();
    }
}
