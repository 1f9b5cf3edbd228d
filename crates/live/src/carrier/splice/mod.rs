//! A connection that this node has: its two ends, and what is between them.
//!
//! A splice is *kept* when it belongs to a group, whose owner decides what may
//! be said and when; *loose* before: what is read at one end is written to the
//! other at once. It knows nothing of packets, nor of who follows.

mod answer;

pub(super) use answer::{Input, Said, needed};

use std::any::Any;
use std::net::SocketAddr;

use bytes::Bytes;
use proto::connection::sequence::Position;
use proto::connection::{ConnectionId, End, GroupId};
use proto::time::Instant;
use sys::queue::PacketId;
use sys::repair::{Asking, Stopped};
use tls_rustls::records::Records;

use super::greeting::Syn;
use super::socket::Socket;
use crate::late::Late;

/// How many packets are held back for an end whose peer is being asked: more than
/// are passed on to it. The peer sends what comes beyond again.
const MOST_DEFERRED: usize = 128;

/// Both addresses of an end, ours first.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// Whatever makes the connection count against a limit, for as long as it is here.
pub type Permit = Box<dyn Any + Send>;

/// A connection that this node has.
pub(super) struct Splice {
    pub(super) id: ConnectionId,
    /// The group that it belongs to; none: it is loose.
    pub(super) group: Option<GroupId>,
    client: Side,
    backend: Side,
    /// Who the backend is.
    pub(super) server: SocketAddr,
    /// What the client has sent that was read with its handshake.
    pub(super) unread: Option<Bytes>,
    /// The TLS of the client's end, if it has any.
    pub(super) records: Option<Records>,
    /// Whether it came from another node.
    pub(super) restored: bool,
    /// Whether it is to end by a reset.
    pub(super) broken: bool,
    /// Whether it is over, and the understudy is told.
    pub(super) closing: bool,
    /// Whether it could not be taken into a group.
    pub(super) unfit: bool,
    pub(super) permit: Option<Permit>,
}

/// One end of it.
#[derive(Default)]
pub(super) struct Side {
    pub(super) link: Link,
    pub(super) ends: Option<Ends>,
    /// Our own SYN, of an end that we began.
    pub(super) syn: Option<Syn>,
    /// Up to where the relay has taken what came in.
    pub(super) read: Position,
    /// How much of that the kernel has not given yet.
    pub(super) ahead: usize,
    /// The peer's clock in the newest segment of which something was taken before
    /// the kernel gave it.
    pub(super) newest: Option<u32>,
    /// Whether it has read the peer's end.
    pub(super) ended: bool,
    /// What is written when the link is up.
    pub(super) early: Vec<Bytes>,
    pub(super) early_fin: bool,
    /// Packets that may go on when the link is up.
    pub(super) deferred: Vec<PacketId>,
    /// What has come while it stands still.
    pub(super) late: Late,
}

/// What an end's socket is.
#[derive(Default)]
pub(super) enum Link {
    /// None: the kernel has not given it yet, or has none any more.
    #[default]
    Absent,
    /// On its way to the backend.
    Connecting(Socket),
    /// Restored, and its peer is being asked how far it has come.
    Asking(Box<Asked>),
    Up(Socket),
    /// It stands still, until somebody else has it.
    Still(Stopped),
}

/// An end whose peer was asked.
pub(super) struct Asked {
    pub(super) asking: Asking,
    pub(super) since: Instant,
    /// When it is asked again, and the pause after that.
    pub(super) again: Instant,
    pub(super) pause: std::time::Duration,
    /// Up to where its output goes, and whether it ends there.
    pub(super) written: (Position, bool),
}

impl Splice {
    pub(super) fn new(id: ConnectionId, server: SocketAddr) -> Self {
        Self {
            id,
            group: None,
            client: Side::default(),
            backend: Side::default(),
            server,
            unread: None,
            records: None,
            restored: false,
            broken: false,
            closing: false,
            unfit: false,
            permit: None,
        }
    }

    pub(super) const fn side(&self, end: End) -> &Side {
        match end {
            End::Client => &self.client,
            End::Backend => &self.backend,
        }
    }

    pub(super) const fn side_mut(&mut self, end: End) -> &mut Side {
        match end {
            End::Client => &mut self.client,
            End::Backend => &mut self.backend,
        }
    }

    /// Both ends' sockets, if both are up.
    pub(super) fn is_up(&self) -> bool {
        End::BOTH.iter().all(|end| self.side(*end).socket().is_some())
    }

    /// Whether it stands still.
    pub(super) fn is_still(&self) -> bool {
        End::BOTH.iter().any(|end| matches!(self.side(*end).link, Link::Still(_)))
    }
}

impl std::fmt::Debug for Splice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Splice")
            .field("id", &self.id)
            .field("group", &self.group)
            .field("tls", &self.records.is_some())
            .finish_non_exhaustive()
    }
}

impl Side {
    pub(super) const fn socket(&self) -> Option<&Socket> {
        if let Link::Up(socket) = &self.link { Some(socket) } else { None }
    }

    pub(super) const fn socket_mut(&mut self) -> Option<&mut Socket> {
        if let Link::Up(socket) = &mut self.link { Some(socket) } else { None }
    }

    /// Writes, now or when there is a socket.
    pub(super) fn write(&mut self, bytes: Vec<Bytes>, fin: bool) -> std::io::Result<()> {
        if let Link::Up(socket) = &mut self.link {
            return socket.write(bytes, fin);
        }
        self.early.extend(bytes);
        self.early_fin |= fin;
        Ok(())
    }

    /// Keeps a packet back until the link is up; false when there are too many.
    pub(super) fn defer(&mut self, packet: PacketId) -> bool {
        let has_room = self.deferred.len() < MOST_DEFERRED;
        if has_room {
            self.deferred.push(packet);
        }
        has_room
    }
}
