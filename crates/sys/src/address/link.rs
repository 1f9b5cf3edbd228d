//! Whether an interface is connected, and being told when that changes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::call::{CallError, Named};
use crate::netlink::{Message, Netlink, Received, messages};

/// What an interface is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// It is up and has a carrier.
    Up,
    /// It is off, or its cable is pulled.
    Down,
    /// There is no such interface any more.
    Gone,
}

/// Watches an interface. Its file descriptor can be read when something about
/// some interface has changed.
#[derive(Debug)]
pub struct LinkWatch {
    netlink: Netlink,
    interface: u32,
}

/// `struct ifinfomsg`: family, padding, type (16 bits), index, flags, changes.
const FIXED_BYTES: usize = 16;

/// Up, and with a carrier (`linux/if.h`).
const IFF_UP: u32 = 1;
const IFF_LOWER_UP: u32 = 1 << 16;

/// Room for one message about an interface, with all its statistics.
const MESSAGE_BYTES: usize = 16 << 10;

/// How many messages one call takes at most; the rest can still be read then.
const MAX_MESSAGES: usize = 64;

impl LinkWatch {
    /// Watches the interface of that index.
    ///
    /// # Errors
    ///
    /// `socket`'s or `bind`'s.
    pub fn of(interface: u32) -> Result<Self, CallError> {
        let groups = libc::RTMGRP_LINK.unsigned_abs();
        Ok(Self { netlink: Netlink::open(libc::NETLINK_ROUTE, groups)?, interface })
    }

    /// How the interface is.
    ///
    /// # Errors
    ///
    /// `sendto`'s or `recvfrom`'s.
    pub fn ask(&self) -> Result<LinkState, CallError> {
        let mut fixed = [0; FIXED_BYTES];
        fixed[4..8].copy_from_slice(&self.interface.to_ne_bytes());
        // Another socket: the answer would stand behind what this one hears.
        let asking = Netlink::open(libc::NETLINK_ROUTE, 0)?;
        let mut state = LinkState::Gone;
        let request = Message::request(libc::RTM_GETLINK, 0, &fixed);
        let result = asking.request(request, "netlink RTM_GETLINK", |message| {
            state = self.read(message).unwrap_or(state);
        });
        match result {
            Ok(()) => Ok(state),
            Err(error) if error.is(libc::ENODEV) => Ok(LinkState::Gone),
            Err(error) => Err(error),
        }
    }

    /// Reads what has changed: how the interface is since, or nothing if it was
    /// another interface's change.
    ///
    /// # Errors
    ///
    /// `recvfrom`'s, other than that there is nothing.
    pub fn changed(&self) -> Result<Option<LinkState>, CallError> {
        let mut buffer = vec![0; MESSAGE_BYTES];
        let mut state = None;
        for _ in 0..MAX_MESSAGES {
            match self.netlink.receive(&mut buffer) {
                Ok(length) => {
                    state =
                        messages(&buffer[..length]).filter_map(|m| self.read(m)).last().or(state);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Some messages did not fit: whatever they said, this is so.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    state = Some(self.ask()?);
                }
                Err(error) => return Err(error).of("recv AF_NETLINK"),
            }
        }
        Ok(state)
    }

    fn read(&self, message: Received<'_>) -> Option<LinkState> {
        let field = |start: usize| {
            let bytes = message.body.get(start..start + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().expect("four bytes")))
        };
        if field(4)? != self.interface {
            return None;
        }
        let flags = field(8)?;
        match message.kind {
            libc::RTM_DELLINK => Some(LinkState::Gone),
            libc::RTM_NEWLINK if flags & IFF_UP != 0 && flags & IFF_LOWER_UP != 0 => {
                Some(LinkState::Up)
            }
            libc::RTM_NEWLINK => Some(LinkState::Down),
            _ => None,
        }
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}
