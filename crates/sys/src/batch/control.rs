//! Control messages: what travels beside a packet between us and the kernel
//! (cmsg(3)).

use std::ptr;

/// Room for the control messages of one packet: on the way out the size of the
/// segments, on the way in that and the count of overflows.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control([u8; CONTROL_BYTES]);

/// Two messages of a header (16 bytes) and a number (4, padded to 8).
const CONTROL_BYTES: usize = 48;

/// The size of a segment is told in 16 bits.
const SEGMENT_BYTES: u32 = 2;

/// What the kernel said beside a packet that arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// The size of the segments that the message consists of (UDP_GRO).
    pub(super) segment: Option<usize>,
    /// How many packets the socket has dropped since it was opened, as its
    /// receive buffer was full (SO_RXQ_OVFL); it wraps.
    pub(super) overflows: Option<u32>,
}

impl Control {
    /// Room with nothing in it.
    pub(super) const EMPTY: Self = Self([0; CONTROL_BYTES]);

    /// Lets the kernel write into this room when it fills `header`.
    ///
    /// `header` then points at `self`, which must stay where it is for as long
    /// as the header is used.
    pub(super) fn attach(&mut self, header: &mut libc::msghdr) {
        header.msg_control = self.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_BYTES;
    }

    /// Asks the kernel to cut the message of `header` into packets of
    /// `segment` bytes. Points `header` at `self`, as [`Self::attach`] does.
    pub(super) fn cut_into(&mut self, segment: u16, header: &mut libc::msghdr) {
        self.attach(header);
        // SAFETY: the header describes this room, which is large enough and
        // aligned for one control message with a u16: so CMSG_FIRSTHDR is not
        // null, and CMSG_DATA and the length stay within the room.
        unsafe {
            let message = libc::CMSG_FIRSTHDR(header);
            (*message).cmsg_level = libc::SOL_UDP;
            (*message).cmsg_type = libc::UDP_SEGMENT;
            (*message).cmsg_len = libc::CMSG_LEN(SEGMENT_BYTES) as usize;
            ptr::write_unaligned(libc::CMSG_DATA(message).cast::<u16>(), segment);
            header.msg_controllen = libc::CMSG_SPACE(SEGMENT_BYTES) as usize;
        }
    }
}

/// Reads the control messages of a packet that the kernel has filled in.
///
/// # Safety
///
/// `msg_control` of `header` must point at `msg_controllen` readable bytes that
/// the kernel has written, or `msg_controllen` must be 0.
pub(super) unsafe fn read_notes(header: &libc::msghdr) -> Notes {
    let mut notes = Notes::default();
    // SAFETY: by the caller's promise the header describes control messages
    // that the kernel wrote; the CMSG macros stay within msg_controllen.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, so it points at a whole control message.
        let (level, kind, data) =
            unsafe { ((*message).cmsg_level, (*message).cmsg_type, libc::CMSG_DATA(message)) };
        if (level, kind) == (libc::SOL_UDP, libc::UDP_GRO) {
            // SAFETY: the kernel puts an int here (udp(7), UDP_GRO).
            let size = unsafe { ptr::read_unaligned(data.cast::<libc::c_int>()) };
            notes.segment = usize::try_from(size).ok();
        } else if (level, kind) == (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) {
            // SAFETY: the kernel puts a 32-bit count here (socket(7)).
            notes.overflows = Some(unsafe { ptr::read_unaligned(data.cast::<u32>()) });
        }
        // SAFETY: both are of the same buffer, as above.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    notes
}
