//! The answer to a SYN, again: for a peer in SYN-SENT whose connection another
//! machine has put together since.
//!
//! The peer takes everything that its connection is to have from this one
//! segment, so it has to say what the first one said. The options stand in the
//! order in which Linux writes them, so that nobody on the way sees another
//! system answer.

use super::ask::later;
use super::{Flags, Forge, Forged, Options, State};
use crate::call::CallError;

/// What an answer to a SYN says that a connection's [`State`] does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynAck {
    /// The largest segment that we take, in bytes.
    pub segment: u16,
    /// The timestamp of the SYN, where there are timestamps.
    pub echo: u32,
}

/// Kinds of options (RFC 9293, section 3.2; RFC 7323; RFC 2018).
const NO_OPERATION: u8 = 1;
const SEGMENT: u8 = 2;
const SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const TIMESTAMPS: u8 = 8;

impl Forge {
    /// Answers the SYN of a connection of which the peer has nothing yet:
    /// `outgoing` begins right behind our SYN. The peer may hear it twice.
    ///
    /// # Errors
    ///
    /// As [`Forge::send`].
    pub fn syn_ack(&self, state: &State, syn_ack: SynAck) -> Result<(), CallError> {
        self.send(&Forged {
            from: state.local,
            to: state.peer,
            sequence: state.outgoing.first.wrapping_sub(1),
            acknowledged: state.incoming.next,
            flags: Flags::SynAck,
            // This one is never shifted (RFC 7323, section 2.2).
            window: u16::try_from(state.windows.promised).unwrap_or(u16::MAX),
            options: &state.options.syn_ack(syn_ack),
            data: &[],
        })
    }
}

impl Options {
    /// These options as a SYN-ACK offers them.
    pub(super) fn syn_ack(&self, SynAck { segment, echo }: SynAck) -> Vec<u8> {
        let [high, low] = segment.to_be_bytes();
        let mut bytes = vec![SEGMENT, 4, high, low];
        let sack = if self.sack { [SACK_PERMITTED, 2] } else { [NO_OPERATION; 2] };
        if let Some(timestamp) = self.timestamp {
            bytes.extend_from_slice(&sack);
            bytes.extend_from_slice(&[TIMESTAMPS, 10]);
            bytes.extend_from_slice(&later(timestamp).to_be_bytes());
            bytes.extend_from_slice(&echo.to_be_bytes());
        } else if self.sack {
            bytes.extend_from_slice(&[NO_OPERATION; 2]);
            bytes.extend_from_slice(&sack);
        }
        if let Some(scales) = self.scales {
            bytes.extend_from_slice(&[NO_OPERATION, SCALE, 3, scales.own]);
        }
        bytes
    }
}
