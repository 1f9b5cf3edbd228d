//! Connections that begin: a client's SYN-ACK that passes, a socket that the
//! kernel gives, one whose TLS is done; and the way to the backend.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use proto::connection::record::Header;
use proto::connection::sequence::Position;
use proto::connection::{ConnectionId, End};
use proto::secret::secret;
use sys::carried;
use sys::queue::PacketId;

use super::Driver;
use super::packets::Fate;
use crate::carrier::ROOM;
use crate::carrier::greeting::{Syn, end_header};
use crate::carrier::hold::{Of, token};
use crate::carrier::orders::Handed;
use crate::carrier::splice::{Ends, Link, Splice};

/// How long a connection may be half open: a client that has not answered the
/// SYN-ACK by then, which was repeated three times, does not come.
const HALF_OPEN: Duration = Duration::from_secs(10);
/// How many connections are half open and told at a time. Past it they begin
/// without being told: a flood of SYNs takes no more than that.
const MOST_HALF_OPEN: usize = 4_096;
/// How many connections are taken from a listener in a turn.
const MOST_ACCEPTED: usize = 64;

impl Driver {
    /// A client's connection begins, as soon as the understudy knows.
    pub(super) fn open(&mut self, packet: PacketId, ends: Ends, syns: (Syn, Syn)) -> Fate {
        if self.half_open.len() >= MOST_HALF_OPEN {
            self.counts.unheld += 1;
            return Fate::ACCEPT;
        }
        let Some(group) = self.own_group() else { return Fate::ACCEPT };
        let Some(server) = self.backend_of(ends.0) else { return Fate::ACCEPT };
        let id = ConnectionId(Self::name());
        let mut splice = Splice::new(id, server);
        splice.group = Some(group);
        splice.side_mut(End::Client).ends = Some(ends);
        self.splices.insert(id, splice);
        self.by_ends.insert(ends, (id, End::Client));
        self.half_open.push_back((self.now, id));
        let client = end_header(ends, syns, Self::clock());
        let header =
            Header { id, group, term: None, client, backend: None, relayed: true, tls: None };
        if let Some(owned) = self.owners.get_mut(&group) {
            owned.owner.open(self.now, header, token(packet));
        }
        Fate::Waits(Of { group, connection: id, end: End::Client })
    }

    pub(super) fn backend_of(&self, local: std::net::SocketAddr) -> Option<std::net::SocketAddr> {
        let mut services = self.parts.services.iter();
        services.find(|(service, _)| service.listen == local).map(|(service, _)| service.backend)
    }

    /// Forgets connections whose clients never came.
    pub(super) fn expire_half_open(&mut self) {
        while let Some(&(since, id)) = self.half_open.front()
            && (since + HALF_OPEN <= self.now || self.is_accepted(id))
        {
            self.half_open.pop_front();
            if !self.is_accepted(id) {
                self.break_off(id);
            }
        }
    }

    /// Whether a connection is more than half open, or gone.
    fn is_accepted(&self, id: ConnectionId) -> bool {
        let splice = self.splices.get(&id);
        splice.is_none_or(|splice| !matches!(splice.side(End::Client).link, Link::Absent))
    }

    /// Takes what a plain listener has.
    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..MOST_ACCEPTED {
            let Some((service, listener)) = self.parts.services.get(index) else { return };
            let backend = service.backend;
            match listener.accept() {
                Ok((client, peer)) => {
                    let taken = client.set_nonblocking(true).and_then(|()| client.local_addr());
                    let taken =
                        taken.and_then(|local| self.accepted(client, (local, peer), backend));
                    if let Err(error) = taken {
                        tracing::debug!(%peer, %error, "a client was gone at once");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::warn!(%error, "connections cannot be accepted");
                    return;
                }
            }
        }
        // Epoll tells of new ones only.
        self.left.services.insert(index);
    }

    fn accepted(
        &mut self,
        client: TcpStream,
        ends: Ends,
        backend: std::net::SocketAddr,
    ) -> io::Result<()> {
        let known = self.by_ends.get(&ends).map(|(id, _)| *id);
        let told = known.filter(|id| self.is_awaited(*id));
        if told.is_none()
            && let Some(former) = known
        {
            // Its client has broken it off, which nobody has looked at yet.
            self.break_off(former);
        }
        let id = told.unwrap_or_else(|| ConnectionId(Self::name()));
        let socket = match self.watch((id, End::Client), client, (Position(0), false)) {
            Ok(socket) => socket,
            Err(error) => {
                self.break_off(id);
                return Err(error);
            }
        };
        // One that is not told has begun without.
        let splice = self.splices.entry(id).or_insert_with(|| Splice::new(id, backend));
        let side = splice.side_mut(End::Client);
        side.ends = Some(ends);
        side.link = Link::Up(socket);
        self.by_ends.insert(ends, (id, End::Client));
        self.reach_backend(id);
        Ok(())
    }

    /// Whether a client is known, and its socket is not here yet.
    pub(super) fn is_awaited(&self, id: ConnectionId) -> bool {
        self.splices.get(&id).is_some_and(|splice| {
            let is_absent = matches!(splice.side(End::Client).link, Link::Absent);
            is_absent && !splice.closing && !splice.restored
        })
    }

    /// Goes on with a client whose TLS handshake is done.
    pub(super) fn carry(&mut self, handed: Handed) {
        let Handed { client, records, plaintext, unsent, unread, backend, preface, permit } =
            handed;
        let id = ConnectionId(Self::name());
        let ends = client.local_addr().and_then(|local| Ok((local, client.peer_addr()?)));
        let Ok(ends) = ends else { return };
        let mut splice = Splice::new(id, backend);
        splice.permit = Some(permit);
        let given = Position(Position(records.sent().stream) - Position(unsent.len() as u64));
        let watched = client.set_nonblocking(true).and_then(|()| {
            carried::settle(&client, ROOM).map_err(|error| error.source)?;
            self.watch((id, End::Client), client, (given, false))
        });
        let mut socket = match watched {
            Ok(socket) => socket,
            Err(error) => {
                tracing::debug!(%error, "a client was gone after its handshake");
                return;
            }
        };
        // A failure is seen again when it is read.
        let _ = socket.write(vec![Bytes::from(unsent)], false);
        let side = splice.side_mut(End::Client);
        side.ends = Some(ends);
        side.read = Position(records.received().stream);
        side.link = Link::Up(socket);
        splice.records = Some(records);
        let early = [&preface[..], &plaintext[..]].concat();
        if !early.is_empty() {
            splice.side_mut(End::Backend).early.push(secret(&early));
        }
        splice.unread = (!unread.is_empty()).then(|| secret(&unread));
        self.splices.insert(id, splice);
        self.by_ends.insert(ends, (id, End::Client));
        self.reach_backend(id);
    }

    /// Begins the connection to the backend, now or when the address is here again.
    pub(super) fn reach_backend(&mut self, id: ConnectionId) {
        if self.parts.place.is_missing() {
            return;
        }
        let Some(server) = self.splices.get(&id).map(|splice| splice.server) else { return };
        let begun = carried::connect(self.parts.place.address(), server, ROOM);
        let begun = begun.map_err(|error| error.source).and_then(|begun| {
            let socket = self.watch((id, End::Backend), begun.socket, (Position(0), false))?;
            Ok((socket, begun.local))
        });
        match begun {
            Ok((socket, local)) => {
                let ends = (local, server);
                self.by_ends.insert(ends, (id, End::Backend));
                if let Some(splice) = self.splices.get_mut(&id) {
                    let side = splice.side_mut(End::Backend);
                    side.ends = Some(ends);
                    side.link = Link::Connecting(socket);
                }
            }
            Err(error) => {
                tracing::warn!(backend = %server, %error, "no backend");
                self.break_off(id);
            }
        }
    }

    /// The address is here: whoever waits for it reaches the backend.
    pub(super) fn reach_backends(&mut self) {
        let waiting = self.splices.values().filter(|splice| {
            matches!(splice.side(End::Backend).link, Link::Absent)
                && splice.side(End::Backend).ends.is_none()
                && splice.side(End::Client).socket().is_some()
                && !splice.closing
        });
        let waiting: Vec<ConnectionId> = waiting.map(|splice| splice.id).collect();
        waiting.into_iter().for_each(|id| self.reach_backend(id));
    }

    /// The backend has answered, or will not.
    pub(super) fn connected(&mut self, id: ConnectionId) {
        let Some(splice) = self.splices.get_mut(&id) else { return };
        let server = splice.server;
        let side = splice.side_mut(End::Backend);
        let Link::Connecting(socket) = std::mem::take(&mut side.link) else { return };
        let failed = match socket.stream().take_error() {
            Ok(None) => socket.stream().peer_addr().err(),
            Ok(Some(error)) | Err(error) => Some(error),
        };
        if let Some(error) = failed {
            tracing::warn!(backend = %server, %error, "no backend");
            return self.break_off(id);
        }
        side.link = Link::Up(socket);
        let (early, fin) = (std::mem::take(&mut side.early), side.early_fin);
        let written = side.write(early, fin);
        if written.is_err() {
            return self.break_off(id);
        }
        self.dirty.insert(id);
        self.adopt_if_due(id);
    }
}
