//! Packets on their way out.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use socket2::SockAddr;

use super::control::Control;
use super::{CALL_MESSAGES, MESSAGE_BYTES, RUN_PACKETS};

/// A bounded queue of packets, written in place and sent many at a time.
///
/// ```no_run
/// # use std::net::{SocketAddr, UdpSocket};
/// # use sys::batch::SendQueue;
/// # let socket = UdpSocket::bind("127.0.0.1:0")?;
/// # let to: SocketAddr = "127.0.0.1:7700".parse().expect("an address");
/// let mut queue = SendQueue::new(64, 1_400);
/// while let Some(room) = queue.room() {
///     room[..5].copy_from_slice(b"hello");
///     queue.commit(5, &[to]);
/// }
/// queue.flush(&socket)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SendQueue {
    /// The packets, one right behind the other, as a run has to be.
    bytes: Box<[u8]>,
    packet_bytes: usize,
    /// Where the next packet goes.
    end: usize,
    /// What is still to be sent.
    runs: VecDeque<Run>,
    /// Whether the kernel is given runs. It is not any more once it refused.
    segmentation: bool,
    sent: Sent,
}

/// Equal-sized packets to one destination, one right behind the other; only the
/// last may be shorter.
#[derive(Debug)]
struct Run {
    to: SocketAddr,
    name: SockAddr,
    range: Range<usize>,
    segment: usize,
}

/// What a queue has sent since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets, counted once a destination.
    pub packets: u64,
    /// Their bytes, without UDP and IP headers.
    pub bytes: u64,
    /// System calls that sent something.
    pub calls: u64,
}

/// Why a queue still holds packets, or has dropped some.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The socket's send buffer is full (EAGAIN): go on when it is writable.
    /// The queue keeps its packets.
    #[error("the send buffer is full")]
    Blocked,
    /// The kernel or the device is out of buffers (ENOBUFS, ENOMEM), and no
    /// event says when it has some: go on after a pause. The queue keeps its
    /// packets.
    #[error("the kernel is out of network buffers")]
    NoBuffers,
    /// The packet is larger than the interface carries (EMSGSIZE). It was
    /// dropped, with those of its run.
    #[error("a packet of {bytes} bytes to {to} is larger than the interface carries")]
    TooLarge {
        /// Where it was to go.
        to: SocketAddr,
        /// Its size, without UDP and IP headers.
        bytes: usize,
    },
    /// Nobody listens there (ECONNREFUSED), there is no route (ENETUNREACH,
    /// EHOSTUNREACH), a firewall forbids it (EPERM), or some other cause that
    /// is the packet's own. It was dropped, with those of its run.
    #[error("{packets} packets to {to} were refused: {source}")]
    Refused {
        /// Where they were to go.
        to: SocketAddr,
        /// How many they were.
        packets: usize,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl SendQueue {
    /// A queue for up to `packets` packets of up to `packet_bytes` bytes.
    ///
    /// # Panics
    ///
    /// If either is 0, or a packet would be larger than UDP carries.
    #[must_use]
    pub fn new(packets: usize, packet_bytes: usize) -> Self {
        assert!(packets > 0, "a queue holds something");
        assert!((1..=MESSAGE_BYTES).contains(&packet_bytes), "UDP carries 65,507 bytes at most");
        Self {
            bytes: vec![0; packets * packet_bytes].into(),
            packet_bytes,
            end: 0,
            runs: VecDeque::with_capacity(packets),
            segmentation: true,
            sent: Sent::default(),
        }
    }

    /// Where to write the next packet; none when the queue is full.
    pub fn room(&mut self) -> Option<&mut [u8]> {
        self.bytes.get_mut(self.end..self.end + self.packet_bytes)
    }

    /// For how many more packets there is room, whatever their size. What was
    /// sent makes room when all was sent.
    #[must_use]
    pub fn free(&self) -> usize {
        (self.bytes.len() - self.end) / self.packet_bytes
    }

    /// Queues the first `length` bytes of [`Self::room`] for each destination.
    ///
    /// # Panics
    ///
    /// If `length` is 0 or more than there is room.
    pub fn commit(&mut self, length: usize, destinations: &[SocketAddr]) {
        assert!((1..=self.packet_bytes).contains(&length), "a packet fits its room");
        assert!(self.end + length <= self.bytes.len(), "room was asked for");
        let packet = self.end..self.end + length;
        for to in destinations {
            self.enqueue(packet.clone(), *to);
        }
        if !destinations.is_empty() {
            self.end = packet.end;
        }
    }

    /// Sends what is queued, whatever is refused of it. The queue is empty then,
    /// unless the error is one to wait for.
    ///
    /// # Errors
    ///
    /// [`SendError`] says what to wait for, or what was dropped.
    pub fn flush(&mut self, socket: impl AsFd) -> Result<(), SendError> {
        let mut result = Ok(());
        while !self.runs.is_empty() {
            match send_messages(socket.as_fd(), self.messages()) {
                Ok(messages) => self.forget_sent(messages),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.gave_a_run() && refuses_segmentation(&error) => {
                    self.segmentation = false;
                }
                Err(error) => match self.failed(error) {
                    wait @ (SendError::Blocked | SendError::NoBuffers) => return Err(wait),
                    dropped @ (SendError::TooLarge { .. } | SendError::Refused { .. }) => {
                        result = Err(dropped);
                    }
                },
            }
        }
        self.end = 0;
        result
    }

    /// Sends a run from where it lies, after what is queued: packets of the
    /// queue's size of which only the last may be shorter. What the kernel does
    /// not take is queued; there must be room for that.
    ///
    /// # Errors
    ///
    /// As [`Self::flush`].
    ///
    /// # Panics
    ///
    /// If there is no room for what the kernel does not take.
    pub fn send(
        &mut self,
        socket: impl AsFd,
        run: &[u8],
        destinations: &[SocketAddr],
    ) -> Result<(), SendError> {
        let mut result = self.flush(&socket);
        for (place, &to) in destinations.iter().enumerate() {
            let sent = if self.is_empty() { self.send_to(socket.as_fd(), run, to) } else { Ok(0) };
            match sent {
                Ok(sent) if sent == run.len() => {}
                Ok(sent) => {
                    let (started, rest) = run.split_at(sent);
                    let packets = started.chunks(self.packet_bytes);
                    packets.for_each(|packet| self.push(packet, &destinations[place + 1..]));
                    let packets = rest.chunks(self.packet_bytes);
                    packets.for_each(|packet| self.push(packet, &destinations[place..]));
                    return self.flush(socket).and(result);
                }
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Queues a packet for each destination; there must be room for it.
    ///
    /// # Panics
    ///
    /// If it is empty or there is no room.
    pub fn push(&mut self, packet: &[u8], destinations: &[SocketAddr]) {
        let room = self.room().expect("the caller sees to room");
        room[..packet.len()].copy_from_slice(packet);
        self.commit(packet.len(), destinations);
    }

    /// Sends a run to one destination. Gives how many of its bytes went; all
    /// of them, unless there is something to wait for.
    fn send_to(
        &mut self,
        socket: BorrowedFd<'_>,
        run: &[u8],
        to: SocketAddr,
    ) -> Result<usize, SendError> {
        let name = SockAddr::from(to);
        let segment = run.len().min(self.packet_bytes);
        let mut sent = 0;
        while sent < run.len() {
            let step = if self.segmentation { run.len() } else { segment };
            let rest = run[sent..].chunks(step);
            let messages = rest.map(|bytes| Message { name: &name, bytes, segment });
            match send_messages(socket, messages) {
                Ok(messages) => {
                    self.sent.calls += 1;
                    let bytes = (messages * step).min(run.len() - sent);
                    self.sent.packets += bytes.div_ceil(segment) as u64;
                    self.sent.bytes += bytes as u64;
                    sent += bytes;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if step > segment && refuses_segmentation(&error) => {
                    self.segmentation = false;
                }
                Err(error) => {
                    let packets = (run.len() - sent).div_ceil(segment);
                    return match meaning(error, to, segment, packets) {
                        SendError::Blocked | SendError::NoBuffers => Ok(sent),
                        dropped @ (SendError::TooLarge { .. } | SendError::Refused { .. }) => {
                            Err(dropped)
                        }
                    };
                }
            }
        }
        Ok(sent)
    }

    /// Whether nothing waits to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many packets wait to be sent, counted once a destination.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.runs.iter().map(Run::packets).sum()
    }

    /// What was sent since the queue was made.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// Sends packets singly from here on, as with a kernel that knows no
    /// segmentation.
    pub fn disable_segmentation(&mut self) {
        self.segmentation = false;
    }

    fn enqueue(&mut self, packet: Range<usize>, to: SocketAddr) {
        // The packets of one destination stand close together even when there
        // are several of them, so the search is short.
        let recent = self.runs.iter_mut().rev().take(CALL_MESSAGES);
        match recent.into_iter().find(|run| run.to == to && run.takes(&packet)) {
            Some(run) => run.range.end = packet.end,
            None => self.runs.push_back(Run {
                to,
                name: to.into(),
                segment: packet.len(),
                range: packet,
            }),
        }
    }

    /// The messages to send, in order: runs, or their packets one by one.
    fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.runs.iter().flat_map(|run| {
            let step = if self.segmentation { run.range.len() } else { run.segment };
            let pieces = self.bytes[run.range.clone()].chunks(step);
            pieces.map(|bytes| Message { name: &run.name, bytes, segment: run.segment })
        })
    }

    /// Whether the first message is one that the kernel had to cut up.
    fn gave_a_run(&self) -> bool {
        self.segmentation && self.runs.front().is_some_and(|run| run.packets() > 1)
    }

    fn forget_sent(&mut self, messages: usize) {
        self.sent.calls += 1;
        for _ in 0..messages {
            let run = self.runs.front_mut().expect("the kernel takes no more than it was given");
            let step = if self.segmentation { run.range.len() } else { run.segment };
            let bytes = step.min(run.range.len());
            self.sent.packets += bytes.div_ceil(run.segment) as u64;
            self.sent.bytes += bytes as u64;
            run.range.start += bytes;
            if run.range.is_empty() {
                self.runs.pop_front();
            }
        }
    }

    /// What an error of the first message means. If it is that message's own,
    /// its run is dropped, as it would only fail again.
    fn failed(&mut self, error: io::Error) -> SendError {
        let run = self.runs.front().expect("an error is of a message");
        let meaning = meaning(error, run.to, run.segment, run.packets());
        if !matches!(meaning, SendError::Blocked | SendError::NoBuffers) {
            self.runs.pop_front();
            if self.runs.is_empty() {
                self.end = 0;
            }
        }
        meaning
    }
}

/// What an error means of so many packets of that size.
fn meaning(error: io::Error, to: SocketAddr, bytes: usize, packets: usize) -> SendError {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => SendError::Blocked,
        Some(libc::ENOBUFS | libc::ENOMEM) => SendError::NoBuffers,
        Some(libc::EMSGSIZE) => SendError::TooLarge { to, bytes },
        Some(_) | None => SendError::Refused { to, packets, source: error },
    }
}

/// A packet, or a run that the kernel is to cut up.
struct Message<'m> {
    name: &'m SockAddr,
    bytes: &'m [u8],
    segment: usize,
}

/// One system call; gives how many messages it took.
fn send_messages<'m>(
    socket: BorrowedFd<'_>,
    messages: impl Iterator<Item = Message<'m>>,
) -> io::Result<usize> {
    // SAFETY: these are C structures for which zeros mean "nothing there".
    let (mut headers, mut pieces) = unsafe {
        (
            std::mem::zeroed::<[libc::mmsghdr; CALL_MESSAGES]>(),
            std::mem::zeroed::<[libc::iovec; CALL_MESSAGES]>(),
        )
    };
    let mut controls = [Control::EMPTY; CALL_MESSAGES];
    let mut count = 0;
    let slots = headers.iter_mut().zip(&mut pieces).zip(&mut controls);
    for (((header, piece), control), message) in slots.zip(messages) {
        let header = &mut header.msg_hdr;
        piece.iov_base = message.bytes.as_ptr().cast_mut().cast();
        piece.iov_len = message.bytes.len();
        header.msg_iov = piece;
        header.msg_iovlen = 1;
        header.msg_name = message.name.as_ptr().cast_mut().cast();
        header.msg_namelen = message.name.len();
        if message.bytes.len() > message.segment {
            let segment = u16::try_from(message.segment).expect("UDP's sizes have 16 bits");
            control.cut_into(segment, header);
        }
        count += 1;
    }
    // SAFETY: the first `count` headers are filled in, and what they point at
    // outlives the call: `pieces` and `controls` on this stack, names and bytes
    // by the messages' lifetime. The kernel only reads those.
    let taken = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT)
    };
    usize::try_from(taken).map_err(|_| io::Error::last_os_error())
}

impl Run {
    fn packets(&self) -> usize {
        self.range.len().div_ceil(self.segment)
    }

    /// Whether a packet may follow: it stands right behind, is no longer than
    /// the others, none was shorter so far, and the kernel takes that many.
    fn takes(&self, packet: &Range<usize>) -> bool {
        self.range.end == packet.start
            && packet.len() <= self.segment
            && self.range.len().is_multiple_of(self.segment)
            && self.packets() < RUN_PACKETS
            && self.range.len() + packet.len() <= MESSAGE_BYTES
    }
}

/// EIO: the device computes no checksums, which segmentation needs. EINVAL,
/// EOPNOTSUPP: the kernel does not know the option, or not on this path.
fn refuses_segmentation(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP))
}

/// For an event loop that wants to be told to wait.
impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Blocked => io::ErrorKind::WouldBlock.into(),
            SendError::Refused { source, .. } => source,
            SendError::NoBuffers | SendError::TooLarge { .. } => Self::other(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> SendQueue {
        let mut queue = SendQueue::new(4, 100);
        queue.commit(100, &["127.0.0.1:1".parse().unwrap()]);
        queue
    }

    fn check(errno: i32, expected: &str, kept: bool) {
        let mut queue = queue();
        let error = queue.failed(io::Error::from_raw_os_error(errno));
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        assert_eq!(queue.is_empty(), !kept, "{error}");
    }

    #[test]
    fn errors_say_whether_to_wait_or_what_was_dropped() {
        check(libc::EAGAIN, "Blocked", true);
        check(libc::ENOBUFS, "NoBuffers", true);
        check(libc::EMSGSIZE, "TooLarge", false);
        check(libc::ECONNREFUSED, "Refused", false);
        check(libc::EPERM, "Refused", false);
    }

    #[test]
    fn an_event_loop_is_told_to_wait() {
        assert_eq!(io::Error::from(SendError::Blocked).kind(), io::ErrorKind::WouldBlock);
    }
}
