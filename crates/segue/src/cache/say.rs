//! What is said to those who listen at other nodes, and kept by nobody.

use proto::nak::acks;
use proto::record::MAX_PAYLOAD_BYTES;
use proto::wire::frame::{Frame, Notice};

use super::Cache;
use crate::error::WriteError;

impl Cache {
    /// Says something to the observers of all other nodes of this farm that are
    /// there ([`Node::start_observed`](crate::Node::start_observed)).
    ///
    /// It goes out with the node's writes, behind those that were made before,
    /// and is repaired as they are for as long as it lies in the ring of what was
    /// sent. Beyond that it is not heard: who is away for longer has missed it.
    ///
    /// # Errors
    ///
    /// [`WriteError::TooLarge`] above a record's size, the channel's name
    /// counted; [`WriteError::Closed`] when the node ends.
    pub async fn say(&self, channel: &[u8], text: &[u8]) -> Result<(), WriteError> {
        let found = channel.len() + text.len();
        if found > MAX_PAYLOAD_BYTES || channel.len() > usize::from(u16::MAX) {
            return Err(WriteError::TooLarge { found });
        }
        let notice = Frame::Notice(Notice { channel, text });
        self.enqueue(&notice, &[], acks::Ack::Local).await.map(drop)
    }
}
