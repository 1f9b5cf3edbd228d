//! Packets that have arrived.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::slice::ChunksMut;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{SockAddr, SockAddrStorage};

use super::CALL_MESSAGES;
use super::control::{Control, Notes, read_notes};

/// Room for one message. With UDP_GRO the kernel may hand over as much as 64
/// KiB at once, whatever the size of the packets, and would cut off what does
/// not fit.
const BUFFER_BYTES: usize = 64 << 10;

/// Room for packets that arrive, and the last ones that did.
///
/// It belongs to one socket, whose overflow count it follows.
#[derive(Debug)]
pub struct ReceiveBatch {
    bytes: Box<[u8]>,
    /// The messages of the last call; the first is in the first buffer.
    messages: Vec<Message>,
    /// The kernel's count of overflows when it was last told.
    overflows_seen: u32,
    overflows: u64,
}

/// One packet, or several of one size from one sender.
#[derive(Debug, Clone, Copy)]
struct Message {
    from: SocketAddr,
    buffer: usize,
    bytes: usize,
    segment: usize,
    overflows: u64,
}

/// A packet that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Who sent it, as far as the network says.
    pub from: SocketAddr,
    /// What is in it.
    pub bytes: &'a [u8],
    /// How many packets this socket had dropped when this one arrived, as its
    /// receive buffer was full.
    pub overflows: u64,
}

impl ReceiveBatch {
    /// Room for up to `messages` messages a call, of 64 KiB each, for `socket`.
    /// A message is up to 64 KiB of packets; 32 of them are the most that a
    /// call gives.
    ///
    /// From here on the socket gives packets several at a time where the
    /// kernel can, so it must not be read in another way.
    ///
    /// # Panics
    ///
    /// If `messages` is 0.
    #[must_use]
    pub fn new(socket: impl AsFd, messages: usize) -> Self {
        assert!(messages > 0, "a batch holds something");
        // A kernel without UDP_GRO (before 5.0) gives them one by one.
        let _ = setsockopt(&socket.as_fd(), sockopt::UdpGroSegment, &true);
        let messages = messages.min(CALL_MESSAGES);
        Self {
            bytes: vec![0; messages * BUFFER_BYTES].into(),
            messages: Vec::with_capacity(messages),
            overflows_seen: 0,
            overflows: 0,
        }
    }

    /// Takes what has arrived, in place of what [`Self::packets`] gave before,
    /// and says whether that filled the room, so that there may be more.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing has arrived; else `recvmmsg`'s.
    pub fn receive(&mut self, socket: impl AsFd) -> io::Result<bool> {
        self.messages.clear();
        // SAFETY: these are C structures for which zeros mean "nothing there".
        let (mut headers, mut pieces) = unsafe {
            (
                std::mem::zeroed::<[libc::mmsghdr; CALL_MESSAGES]>(),
                std::mem::zeroed::<[libc::iovec; CALL_MESSAGES]>(),
            )
        };
        let mut names: [_; CALL_MESSAGES] = std::array::from_fn(|_| SockAddrStorage::zeroed());
        let mut controls = [Control::EMPTY; CALL_MESSAGES];
        let mut count = 0;
        let slots = headers.iter_mut().zip(&mut pieces).zip(&mut names).zip(&mut controls);
        let buffers = self.bytes.chunks_exact_mut(BUFFER_BYTES);
        for ((((header, piece), name), control), buffer) in slots.zip(buffers) {
            let header = &mut header.msg_hdr;
            piece.iov_base = buffer.as_mut_ptr().cast();
            piece.iov_len = buffer.len();
            header.msg_iov = piece;
            header.msg_iovlen = 1;
            header.msg_namelen = name.size_of();
            header.msg_name = (&raw mut *name).cast();
            control.attach(header);
            count += 1;
        }
        // SAFETY: the first `count` headers are filled in, each with memory of
        // its own, exclusively borrowed, that outlives the call.
        let arrived = unsafe { receive_messages(socket.as_fd(), &mut headers[..count]) }?;
        for (buffer, (header, name)) in headers.iter().zip(names).take(arrived).enumerate() {
            // SAFETY: the kernel has filled this header in, so it wrote the
            // control messages that it names, and `controls` is alive.
            let notes = unsafe { read_notes(&header.msg_hdr) };
            // SAFETY: the kernel has written the sender's address and length.
            let name = unsafe { SockAddr::new(name, header.msg_hdr.msg_namelen) };
            self.accept(buffer, header.msg_len as usize, &name, notes);
        }
        Ok(arrived == count)
    }

    /// The packets that the last call took, in order of arrival.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.messages.iter().flat_map(|message| {
            let start = message.buffer * BUFFER_BYTES;
            let bytes = &self.bytes[start..start + message.bytes];
            let Message { from, segment, overflows, .. } = *message;
            bytes.chunks(segment).map(move |bytes| Packet { from, bytes, overflows })
        })
    }

    /// The same packets, to be changed where they are: opened in place, say.
    /// `take` is given those that arrived together, one behind the other.
    pub fn for_each_run(&mut self, mut take: impl FnMut(SocketAddr, ChunksMut<'_, u8>)) {
        for message in &self.messages {
            let start = message.buffer * BUFFER_BYTES;
            let bytes = &mut self.bytes[start..start + message.bytes];
            take(message.from, bytes.chunks_mut(message.segment));
        }
    }

    /// How many packets the kernel has dropped since the socket was opened, as
    /// its receive buffer was full. It is told with the next packet that finds
    /// room.
    #[must_use]
    pub fn overflows(&self) -> u64 {
        self.overflows
    }

    fn accept(&mut self, buffer: usize, bytes: usize, from: &SockAddr, notes: Notes) {
        if let Some(count) = notes.overflows {
            self.overflows += u64::from(count.wrapping_sub(self.overflows_seen));
            self.overflows_seen = count;
        }
        // A packet without content is one that nothing is in.
        if let Some(from) = from.as_socket().filter(|_| bytes > 0) {
            let segment = notes.segment.filter(|segment| *segment > 0).unwrap_or(bytes);
            let overflows = self.overflows;
            self.messages.push(Message { from, buffer, bytes, segment, overflows });
        }
    }
}

/// Fills in headers with what has arrived, and says how many.
///
/// # Safety
///
/// Each header must point at memory that the kernel may write to.
unsafe fn receive_messages(
    socket: BorrowedFd<'_>,
    headers: &mut [libc::mmsghdr],
) -> io::Result<usize> {
    let room = u32::try_from(headers.len()).expect("a call has a few messages");
    loop {
        // SAFETY: `room` is the number of headers, and they are as they should
        // be by the caller's promise.
        let arrived = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                room,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        match usize::try_from(arrived).map_err(|_| io::Error::last_os_error()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
