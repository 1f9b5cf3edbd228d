//! Netlink, the little that is needed of it: requests with their answers, and
//! messages as sequences of attributes (RFC 3549).
//!
//! It knows the frame of messages. What they are about is the affair of
//! [`crate::address`] and [`crate::queue`].

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{NetlinkAddr, bind};
use socket2::{Domain, Protocol, Socket, Type};

use crate::call::{CallError, Named};

/// A netlink socket. It does not block.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Socket,
}

/// A message that is being made.
#[derive(Debug)]
pub(crate) struct Message(Vec<u8>);

/// A message of the kernel's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) kind: u16,
    /// What stands behind the header.
    pub(crate) body: &'a [u8],
}

/// A message's header (`struct nlmsghdr`), and one of an attribute
/// (`struct nlattr`), in bytes.
const HEADER_BYTES: usize = 16;
const ATTRIBUTE_BYTES: usize = 4;

/// Room for the answer to a request: an error repeats the request, and no
/// request of ours is longer than a few hundred bytes.
const ANSWER_BYTES: usize = 8 << 10;

/// How often an answer is waited for beside messages that are something else.
const MAX_STRANGERS: usize = 64;

impl Netlink {
    /// Opens one for a family (`NETLINK_ROUTE`, ...), which hears the groups of
    /// the bit mask.
    pub(crate) fn open(family: i32, groups: u32) -> Result<Self, CallError> {
        let (domain, protocol) = (Domain::from(libc::AF_NETLINK), Protocol::from(family));
        let socket = Socket::new(domain, Type::RAW, Some(protocol)).of("socket AF_NETLINK")?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups)).of("bind AF_NETLINK")?;
        socket.set_nonblocking(true).of("fcntl O_NONBLOCK")?;
        Ok(Self { socket })
    }

    /// One that another process has opened, and shared with this one.
    pub(crate) fn shared(file: OwnedFd) -> Self {
        Self { socket: file.into() }
    }

    /// The socket, for its options.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Sends messages that need no answer.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send(bytes).map(drop)
    }

    /// Takes what has come, into `buffer`; WouldBlock when there is nothing.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buffer)
    }

    /// Makes a request and waits for what the kernel makes of it: it answers
    /// within the call that sends it. Messages that come before are shown.
    pub(crate) fn request(
        &self,
        message: Message,
        call: &'static str,
        mut see: impl FnMut(Received<'_>),
    ) -> Result<(), CallError> {
        self.send(&message.finish()).of(call)?;
        let mut buffer = [0; ANSWER_BYTES];
        for _ in 0..MAX_STRANGERS {
            let length = self.receive(&mut buffer).of(call)?;
            for message in messages(&buffer[..length]) {
                match message.outcome() {
                    Some(0) => return Ok(()),
                    Some(error) => return Err(io::Error::from_raw_os_error(error)).of(call),
                    None => see(message),
                }
            }
        }
        Err(io::Error::from(io::ErrorKind::TimedOut)).of(call)
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Message {
    /// A request of that kind, whose answer says what became of it.
    pub(crate) fn request(kind: u16, flags: i32, fixed: &[u8]) -> Self {
        Self::new(kind, flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK, fixed)
    }

    /// A message of that kind with the part that has a fixed form.
    pub(crate) fn new(kind: u16, flags: i32, fixed: &[u8]) -> Self {
        Self::begin(Vec::with_capacity(128), kind, flags, fixed)
    }

    fn begin(mut bytes: Vec<u8>, kind: u16, flags: i32, fixed: &[u8]) -> Self {
        let start = bytes.len();
        // The length comes last; no sequence number, no port.
        bytes.resize(start + HEADER_BYTES, 0);
        bytes[start + 4..start + 6].copy_from_slice(&kind.to_ne_bytes());
        let flags = u16::try_from(flags).expect("flags have 16 bits");
        bytes[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Self(bytes)
    }

    /// Writes a message behind others, which go together.
    pub(crate) fn append(
        bytes: &mut Vec<u8>,
        kind: u16,
        fixed: &[u8],
        fill: impl FnOnce(Self) -> Self,
    ) {
        let start = bytes.len();
        let message = Self::begin(std::mem::take(bytes), kind, libc::NLM_F_REQUEST, fixed);
        *bytes = fill(message).finish_from(start);
    }

    /// Adds an attribute.
    pub(crate) fn attribute(mut self, kind: i32, value: &[u8]) -> Self {
        let length = u16::try_from(ATTRIBUTE_BYTES + value.len()).expect("attributes are short");
        let kind = u16::try_from(kind).expect("kinds have 16 bits");
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(aligned(self.0.len()), 0);
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.finish_from(0)
    }

    /// Every message of ours is a multiple of four bytes long, so that the next
    /// one can follow.
    fn finish_from(mut self, start: usize) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - start).expect("messages are short");
        self.0[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

impl Received<'_> {
    /// What became of a request: 0, or an error number. Nothing of another
    /// message.
    pub(crate) fn outcome(&self) -> Option<i32> {
        if i32::from(self.kind) != libc::NLMSG_ERROR {
            return None;
        }
        let number = self.body.get(..4)?.try_into().expect("four bytes");
        Some(i32::from_ne_bytes(number).saturating_neg())
    }
}

/// The messages in what was received. What is cut short is left out.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().expect("four bytes")) as usize;
        let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().expect("two bytes"));
        let body = bytes.get(HEADER_BYTES..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some(Received { kind, body })
    })
}

/// The attributes in a message behind its fixed part: their kinds and values.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (i32, &[u8])> {
    std::iter::from_fn(move || {
        let length = u16::from_ne_bytes(bytes.get(..2)?.try_into().expect("two bytes")).into();
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().expect("two bytes"));
        let value = bytes.get(ATTRIBUTE_BYTES..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        // The upper two bits say how the value is written.
        Some((i32::from(kind & 0x3FFF), value))
    })
}

/// Messages and attributes begin at multiples of four.
const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_attributes_come_back() {
        let message = Message::new(7, 1, &[1, 2, 3, 4]).attribute(5, b"odd").attribute(6, b"");
        let bytes = [message.finish(), Message::new(8, 0, &[]).finish()].concat();
        let found: Vec<_> = messages(&bytes).collect();
        assert_eq!(found.iter().map(|message| message.kind).collect::<Vec<_>>(), [7, 8]);
        let found: Vec<_> = attributes(&found[0].body[4..]).collect();
        assert_eq!(found, [(5, b"odd".as_slice()), (6, b"")]);
    }

    #[test]
    fn what_is_cut_short_ends_the_message() {
        let bytes = Message::new(7, 0, &[]).attribute(5, b"four").finish();
        for length in 0..bytes.len() {
            assert_eq!(messages(&bytes[..length]).count(), 0);
            let body = bytes[..length].get(HEADER_BYTES..).unwrap_or_default();
            assert_eq!(attributes(body).count(), 0);
        }
        // Lengths that say less than their own headers.
        assert_eq!(messages(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[0; 64]).count(), 0);
    }
}
