//! How soon TCP makes good what the network has lost.
//!
//! The kernel's own bounds are meant for the whole internet: what is not
//! acknowledged is sent again after 200 ms at the soonest, and an acknowledgement
//! may wait for 40 to 200 ms. Between machines of one network segment that is many
//! round trips, in which whatever comes behind has to wait.

use std::os::fd::AsFd;
use std::time::Duration;

use crate::call::{CallError, Named};
use crate::option;

/// The option's number (`linux/tcp.h`): the shortest retransmission timer, in
/// microseconds.
const TCP_RTO_MIN_US: i32 = 45;
/// The same: how long an acknowledgement may wait, in microseconds.
const TCP_DELACK_MAX_US: i32 = 46;

/// The shortest retransmission timer: longer than an acknowledgement waits, on a
/// machine that is busy.
const RTO_MIN: Duration = Duration::from_millis(20);
/// How long an acknowledgement waits for something to go with. Kernels take no less
/// than two ticks of their clock, of which most have 250 or 1,000 a second.
const DELAY_MAX: Duration = Duration::from_millis(8);

/// Has a connection to a machine nearby recover soon. Both its ends should. Says
/// whether this kernel can: Linux 6.15 and later do, unless their clock is too
/// coarse.
///
/// # Errors
///
/// `setsockopt`'s.
pub fn hasten(socket: impl AsFd) -> Result<bool, CallError> {
    for (option, name, bound) in [
        (TCP_RTO_MIN_US, "setsockopt TCP_RTO_MIN_US", RTO_MIN),
        (TCP_DELACK_MAX_US, "setsockopt TCP_DELACK_MAX_US", DELAY_MAX),
    ] {
        let micros = i32::try_from(bound.as_micros()).expect("it is below a second");
        match option::set(socket.as_fd(), libc::IPPROTO_TCP, option, micros) {
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::ENOPROTOOPT | libc::EINVAL)) =>
            {
                return Ok(false);
            }
            other => other.of(name)?,
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_that_is_hastened_has_a_short_timer() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let timer =
            || option::get::<i32>(socket.as_fd(), libc::IPPROTO_TCP, TCP_RTO_MIN_US).unwrap_or(0);
        let before = timer();
        let hastened = hasten(&socket).unwrap();
        assert_eq!(hastened, before > 0, "a kernel that knows the option takes it");
        assert!(!hastened || timer() < before, "{} and {before}", timer());
    }
}
