//! Where packets come from and go to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use proto::nak::sender::{Destination, Transmit};
use proto::node::peer::Peer;
use proto::node::{Node, Origin, Way};
use proto::rng::Rng;
use proto::time::{Instant, Now};
use proto::wire::MAX_PACKET_BYTES;
use sys::batch::{RUN_PACKETS, ReceiveBatch, SendError, SendQueue};
use sys::multicast::{Buffers, Group, OpenError, Opened};
use sys::wait::Readable;

use crate::config::{Config, Transport};
use crate::link::{Inlet, is_link};
use crate::status::Warning;

/// What the receiving sockets ask of the kernel: a burst of some 5,000
/// packets.
const RECEIVE_BYTES: usize = 8 << 20;
const SEND_BYTES: usize = 4 << 20;
/// Packets that wait for one call to the kernel.
const SEND_PACKETS: usize = 256;
/// Messages that one call to the kernel takes. Runs of full packets in so many
/// stay in a second-level cache until they are taken in.
const RECEIVE_MESSAGES: usize = 4;
/// Calls to the kernel before the loop looks at anything else.
const RECEIVES_AT_ONCE: usize = 32;
/// How long to wait when the kernel is out of buffers, which nothing tells the
/// end of.
const NO_BUFFERS_PAUSE: Duration = Duration::from_millis(1);
/// What [`Config::drop_received`] is measured in.
const DROP_RESOLUTION: u32 = 1_000_000_000;

/// The node's sockets, and what is on its way in and out of them.
pub(crate) struct Sockets {
    own: UdpSocket,
    group: Option<(UdpSocket, Group)>,
    echo: Echo,
    /// Where datagrams of links go; none: they are no packets of ours.
    links: Option<Inlet>,
    pub(crate) warnings: Vec<Warning>,
    /// How many packets the receiving socket holds at the most.
    pub(crate) credit: u32,
    send: SendQueue,
    /// Why sending has to wait, if it has.
    blocked: Option<Blocked>,
    receive: Vec<ReceiveBatch>,
    /// Whether packets were left in a socket.
    unread: bool,
    drop_received: (u64, Rng),
    destinations: Vec<SocketAddr>,
}

/// What is asked for the next packets: [`Node::poll_transmit`], or
/// [`Node::poll_urgent`].
pub(crate) type Poll = for<'n> fn(&'n mut Node, Now) -> Option<Transmit<'n>>;

/// Whether what the node sends to the group comes back to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    /// It does, as does what others send from the same address.
    Heard,
    /// The kernel keeps it back, before it wakes anybody.
    Blocked,
}

/// Why sending has to wait.
#[derive(Clone, Copy)]
enum Blocked {
    /// Until the socket is writable.
    Buffer,
    /// For a pause.
    Pause,
}

impl Sockets {
    /// Opens the sockets that a configuration asks for.
    pub(crate) fn open(config: &Config, rng: Rng) -> Result<Self, OpenError> {
        let buffers = Buffers { receive: RECEIVE_BYTES, send: SEND_BYTES };
        let group = match &config.transport {
            Transport::Unicast => None,
            Transport::Multicast(multicast) => Some(Group {
                address: multicast.group,
                interface: multicast.interface.clone(),
                ttl: multicast.ttl,
                sources: Vec::new(),
            }),
        };
        let own = sys::multicast::open_unicast(config.listen, group.as_ref(), buffers)?;
        let heard = match &group {
            None => None,
            Some(group) => Some(sys::multicast::open_group(group, buffers)?),
        };
        let opened: Vec<&Opened> = std::iter::once(&own).chain(&heard).collect();
        let granted = opened.iter().map(|opened| opened.receive_granted).min().unwrap_or(0);
        let capped = Warning::ReceiveBufferCapped { granted, wanted: RECEIVE_BYTES };
        let receive = opened
            .iter()
            .map(|opened| ReceiveBatch::new(&opened.socket, RECEIVE_MESSAGES))
            .collect();
        let mut send = SendQueue::new(SEND_PACKETS, MAX_PACKET_BYTES);
        if matches!(&config.transport, Transport::Multicast(multicast) if !multicast.segmentation) {
            send.disable_segmentation();
        }
        Ok(Self {
            warnings: if granted < RECEIVE_BYTES { vec![capped] } else { Vec::new() },
            credit: u32::try_from(granted / MAX_PACKET_BYTES).unwrap_or(u32::MAX),
            send,
            blocked: None,
            receive,
            unread: false,
            drop_received: (drop_share(config.drop_received), rng),
            destinations: Vec::new(),
            own: own.socket,
            group: heard.map(|opened| opened.socket).zip(group),
            echo: Echo::Heard,
            links: None,
        })
    }

    /// Where the node takes unicast packets.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.own.local_addr()
    }

    /// Another handle on the socket that the node is reached by.
    pub(crate) fn share(&self) -> io::Result<UdpSocket> {
        self.own.try_clone()
    }

    /// Has datagrams of links left there.
    pub(crate) fn leave_links_at(&mut self, inlet: Inlet) {
        self.links = Some(inlet);
    }

    /// What tells that packets have arrived; the first socket is the one that
    /// sends, too.
    pub(crate) fn sockets(&self) -> Vec<&UdpSocket> {
        std::iter::once(&self.own).chain(self.group.as_ref().map(|(socket, _)| socket)).collect()
    }

    /// Whether packets were left in a socket.
    pub(crate) const fn has_unread(&self) -> bool {
        self.unread
    }

    /// Whether sending goes on once the socket can be written to.
    pub(crate) const fn waits_for_room(&self) -> bool {
        matches!(self.blocked, Some(Blocked::Buffer))
    }

    /// When sending goes on, if it pauses.
    pub(crate) fn pause_end(&self, now: Instant) -> Option<Instant> {
        matches!(self.blocked, Some(Blocked::Pause)).then(|| now + NO_BUFFERS_PAUSE)
    }

    /// Hands what has arrived at the `readable` sockets to the machine.
    pub(crate) fn receive(
        &mut self,
        now: Now,
        readable: Readable,
        node: &mut Node,
    ) -> io::Result<()> {
        let group = self.group.as_ref().map(|(socket, _)| socket);
        let (share, rng) = &mut self.drop_received;
        let mut links = self.links.as_mut();
        self.unread = false;
        let sockets = std::iter::once((&self.own, Way::Unicast))
            .chain(group.map(|socket| (socket, Way::Multicast)))
            .zip(&mut self.receive)
            .enumerate();
        for (_, ((socket, way), batch)) in sockets.filter(|&(place, _)| readable.has(place)) {
            for round in 1..=RECEIVES_AT_ONCE {
                match batch.receive(socket) {
                    Ok(more) => {
                        batch.for_each_run(|address, packets| {
                            let mut stays = |packet: &[u8]| {
                                if *share > 0 && rng.below(DROP_RESOLUTION.into()) < *share {
                                    return false;
                                }
                                if !is_link(packet) {
                                    return true;
                                }
                                // Nothing of a link comes over the group.
                                match links.as_mut().filter(|_| way == Way::Unicast) {
                                    None => return true,
                                    Some(links) => links.leave(now.instant, address, packet),
                                }
                                false
                            };
                            let packets = packets.filter(|packet| stays(packet));
                            node.handle_run(now, Origin { address, way }, packets);
                        });
                        if !more {
                            break;
                        }
                        self.unread |= round == RECEIVES_AT_ONCE;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An error of an earlier send, which the socket reports
                    // once: what was lost is repaired.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if let Some(links) = links {
            links.tell();
        }
        let overflowed: u64 = self.receive.iter().map(ReceiveBatch::overflows).sum();
        node.set_overflowed(u32::try_from(overflowed).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Sends what `poll` has the machine give, as far as the socket takes it.
    pub(crate) fn send(&mut self, now: Now, node: &mut Node, poll: Poll) -> io::Result<()> {
        self.blocked = None;
        self.refresh_destinations(node);
        // What the socket did not take goes first.
        let mut sent = self.send.flush(&self.own);
        while self.goes_on(sent) {
            if self.send.free() < RUN_PACKETS {
                // What is asked for is not given again: it has to find room.
                sent = self.send.flush(&self.own);
                continue;
            }
            let Some(transmit) = poll(node, now) else {
                let flushed = self.send.flush(&self.own);
                self.goes_on(flushed);
                break;
            };
            let one;
            let destinations = match transmit.to {
                Destination::Farm => &self.destinations[..],
                Destination::Group => match &self.group {
                    Some((_, group)) => std::slice::from_ref(&group.address),
                    None => &[],
                },
                Destination::Node(address) => {
                    one = [address];
                    &one
                }
            };
            sent = if transmit.bytes.len() > MAX_PACKET_BYTES {
                self.send.send(&self.own, transmit.bytes, destinations)
            } else {
                // Single packets go many at a time.
                self.send.push(transmit.bytes, destinations);
                Ok(())
            };
        }
        Ok(())
    }

    /// Whether sending goes on after that.
    fn goes_on(&mut self, sent: Result<(), SendError>) -> bool {
        match sent {
            Ok(()) => {}
            Err(SendError::Blocked) => self.blocked = Some(Blocked::Buffer),
            Err(SendError::NoBuffers) => self.blocked = Some(Blocked::Pause),
            // A node that is gone, or a route that is missing: its members
            // find out by silence, and the rest of the queue goes on.
            Err(error) => tracing::debug!(%error, "packets were not sent"),
        }
        self.blocked.is_none()
    }

    /// Keeps the node's own multicast from coming back to it, while that keeps
    /// back nothing else that it must hear.
    ///
    /// That is while others are members and none of them is known at its
    /// address. A node that starts there meets those others, who tell it of
    /// this one; it then makes itself known by unicast, and is heard again.
    pub(crate) fn settle_echo(&mut self, node: &Node) {
        let Some((socket, group)) = &self.group else { return };
        let Ok(own) = self.own.local_addr().map(|address| address.ip()) else { return };
        // Of the loopback's usual address nobody can know who else sends from it.
        let anybodys = own.is_unspecified()
            || own == IpAddr::V4(Ipv4Addr::LOCALHOST)
            || own == IpAddr::V6(Ipv6Addr::LOCALHOST);
        let is_met = node.is_ready() && node.peers().values().any(Peer::is_alive);
        let blocks = is_met && !anybodys && !node.shares_address();
        let wanted = if blocks { Echo::Blocked } else { Echo::Heard };
        if wanted == self.echo {
            return;
        }
        let settled = match wanted {
            Echo::Heard => sys::multicast::unblock_source(socket, group, own),
            Echo::Blocked => sys::multicast::block_source(socket, group, own),
        };
        match settled {
            Ok(()) => self.echo = wanted,
            // It is tried again, and until then costs some work or, unlikely
            // enough, keeps a neighbour back.
            Err(error) => tracing::debug!(%error, "the echo of our own packets stays as it is"),
        }
    }

    /// Where what is for the farm goes: to the group, and to each member that
    /// does not hear it.
    fn refresh_destinations(&mut self, node: &Node) {
        self.destinations.clear();
        let group = self.group.as_ref().filter(|_| node.sends_to_group());
        self.destinations.extend(group.map(|(_, group)| group.address));
        self.destinations.extend_from_slice(node.unicast());
    }
}

/// A share from 0 to 1 in units of [`DROP_RESOLUTION`].
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the resolution"
)]
fn drop_share(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * f64::from(DROP_RESOLUTION)) as u64
}
