//! A socket that does not block, with TLS or without.
//!
//! It says when what it reads came to this machine, by the kernel's stamp and not
//! by when somebody had time to read it: where clients and servers share a few
//! processors, a reader waits its turn for longer than connections pause.

use std::io::{self, ErrorKind, IoSliceMut, Read, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::Security;
use crate::SERVER_NAME;

/// A socket, and when what was last read of it came.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    came: Instant,
    /// Room for a stamp, kept from one call to the next.
    control: Vec<u8>,
}

/// One end's way to the other.
#[derive(Debug)]
pub(super) struct Channel {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
}

impl Channel {
    /// A channel over a connection that is there.
    pub(super) fn new(socket: TcpStream, security: &Security) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        let control = nix::cmsg_space!(TimeSpec);
        let socket = Socket { stream: socket, came: Instant::now(), control };
        let tls = match security {
            Security::Plain => None,
            Security::Tls(config) => {
                let name = ServerName::try_from(SERVER_NAME).expect("it is a host name");
                let connection = ClientConnection::new(Arc::clone(config), name);
                Some(Box::new(connection.map_err(io::Error::other)?))
            }
        };
        Ok(Self { socket, tls })
    }

    /// Reads what has come; zero at its end.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return uninterrupted(|| self.socket.read(bytes)) };
        loop {
            match tls.reader().read(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            uninterrupted(|| tls.read_tls(&mut self.socket))?;
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// When the last bytes that were read came to this machine: of several that one
    /// call read, the last.
    pub(super) fn came(&self) -> Instant {
        self.socket.came
    }

    /// Takes bytes to send, as many as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return uninterrupted(|| self.socket.stream.write(bytes));
        };
        if tls.is_handshaking() {
            // Rustls would take them and keep them.
            return Err(ErrorKind::WouldBlock.into());
        }
        match tls.writer().write(bytes)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    /// Sends no more after this.
    pub(super) fn close(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => self.socket.stream.shutdown(Shutdown::Write),
            Some(tls) => {
                tls.send_close_notify();
                Ok(())
            }
        }
    }

    /// Sends what it has taken and not sent.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(tls) = self.tls.as_mut().filter(|tls| tls.wants_write()) {
            match uninterrupted(|| tls.write_tls(&mut self.socket.stream)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                other => other?,
            };
        }
        Ok(())
    }

    /// Whether something waits to be sent, or may not begin before.
    pub(super) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Whether what is written has to wait for something to be read.
    pub(super) fn is_shaking_hands(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Has the connection end with a reset when this is dropped.
    pub(super) fn abort(&self) -> io::Result<()> {
        socket2::SockRef::from(&self.socket.stream).set_linger(Some(Duration::ZERO))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.stream.as_fd()
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut parts = [IoSliceMut::new(bytes)];
        let control = Some(&mut self.control[..]);
        let file = self.stream.as_raw_fd();
        let message = recvmsg::<()>(file, &mut parts, control, MsgFlags::empty())?;
        let mut stamp = None;
        for one in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmTimestampns(of) = one {
                stamp = Some(Duration::from(of));
            }
        }
        if let Some(stamp) = stamp {
            // The stamp is of the clock on the wall.
            let age = Duration::from(clock_gettime(ClockId::CLOCK_REALTIME)?).saturating_sub(stamp);
            let now = Instant::now();
            self.came = now.checked_sub(age).unwrap_or(now);
        }
        Ok(message.bytes)
    }
}

/// Calls end when a process is stopped and goes on (signal(7)).
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
