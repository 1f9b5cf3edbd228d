//! How a running connection is, by one system call.

use std::os::fd::AsFd;

use crate::call::CallError;
use crate::repair::{self, Scales};

/// How a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// How far it has come.
    pub stage: Stage,
    /// The segments that we send, in bytes without headers.
    pub segment: u32,
    /// Whether both have selective acknowledgements.
    pub sack: bool,
    /// By how many bits windows are shifted, if they are.
    pub scales: Option<Scales>,
    /// Whether segments bear timestamps.
    pub timestamps: bool,
    /// How often the oldest unacknowledged byte was sent again.
    pub repeated: u8,
    /// How many segments have come for it; it wraps.
    pub arrived: u32,
}

/// A connection's state (RFC 9293, section 3.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Our SYN is not answered yet.
    SynSent,
    /// The peer's SYN is answered, and that is not acknowledged yet.
    SynReceived,
    /// Open in both directions.
    Established,
    /// We have ended, and that is not acknowledged yet.
    FinWait1,
    /// We have ended.
    FinWait2,
    /// The peer has ended.
    CloseWait,
    /// Both have ended at once, which is not acknowledged yet.
    Closing,
    /// The peer has ended, then we have, which is not acknowledged yet.
    LastAck,
    /// All of it is acknowledged.
    TimeWait,
    /// There is no connection, or none any more.
    Closed,
    /// A listener.
    Listen,
}

impl Stage {
    /// Whether there is a connection that can be carried.
    #[must_use]
    pub const fn is_connection(self) -> bool {
        match self {
            Self::Established
            | Self::FinWait1
            | Self::FinWait2
            | Self::CloseWait
            | Self::Closing
            | Self::LastAck => true,
            Self::SynSent | Self::SynReceived | Self::TimeWait | Self::Closed | Self::Listen => {
                false
            }
        }
    }

    /// By its number in the kernel (`net/tcp_states.h`). What is not in there is
    /// no connection: such are on their way to one (TCP_NEW_SYN_RECV).
    const fn of(number: u8) -> Self {
        match number {
            1 => Self::Established,
            2 => Self::SynSent,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            3 | 12 => Self::SynReceived,
            _ => Self::Closed,
        }
    }
}

/// Looks how a connection is.
///
/// # Errors
///
/// `getsockopt`'s.
pub fn status(socket: impl AsFd) -> Result<Status, CallError> {
    let info = repair::info(socket)?;
    let agreed = repair::Agreed::of(&info);
    Ok(Status {
        stage: Stage::of(info.tcpi_state),
        segment: info.tcpi_snd_mss,
        sack: agreed.sack,
        scales: agreed.scales,
        timestamps: agreed.timestamps,
        repeated: info.tcpi_retransmits,
        arrived: info.tcpi_segs_in,
    })
}
