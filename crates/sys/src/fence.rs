//! A fence around a TCP socket: what arrives for it is dropped, as if the wire
//! had lost it, and the socket stays as it is.
//!
//! That is how a connection stands still while it is read or built: the peer
//! keeps what is not acknowledged, and sends it again to whoever owns the
//! connection then. Nothing is answered, so nobody learns of the fence.

use std::os::fd::AsFd;

use crate::call::{CallError, Named};
use crate::option;

/// One instruction of the classic packet filter: `ret #0`, take no byte of any
/// packet (`BPF_RET | BPF_K` is 6).
const DROP_ALL: libc::sock_filter = libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0 };

/// The same with all of a packet (a segment is never that long).
const TAKE_ALL: libc::sock_filter = libc::sock_filter { code: 6, jt: 0, jf: 0, k: u32::MAX };

/// Puts the fence up. What had been taken in stays taken in.
///
/// # Errors
///
/// `setsockopt`'s; EPERM when somebody has locked another filter in.
pub fn raise(socket: impl AsFd) -> Result<(), CallError> {
    attach(socket, &mut [DROP_ALL])
}

/// Opens the fence for the answer to a byte that the peer had already, at
/// `sequence`: an acknowledgement that reports that byte as a duplicate
/// (RFC 2883), its options in the order that Linux, the BSDs and Windows use.
///
/// # Errors
///
/// As [`raise`].
pub fn open_for_duplicate(socket: impl AsFd, sequence: u32) -> Result<(), CallError> {
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // Two of no operation, and blocks, whose length is left out.
    const BLOCKS: u32 = 0x0101_0500;
    let mut program = [
        // Right behind the header ...
        step(LOAD_WORD, 0, 0, 20),
        step(AND, 0, 0, 0xFFFF_FF00),
        step(IF_EQUAL, 5, 0, BLOCKS),
        // ... or behind a timestamp of 12 bytes.
        step(LOAD_WORD, 0, 0, 32),
        step(AND, 0, 0, 0xFFFF_FF00),
        step(IF_EQUAL, 0, 5, BLOCKS),
        step(LOAD_WORD, 0, 0, 36),
        step(JUMP, 0, 0, 1),
        step(LOAD_WORD, 0, 0, 24),
        step(IF_EQUAL, 0, 1, sequence),
        TAKE_ALL,
        DROP_ALL,
    ];
    attach(socket, &mut program)
}

/// Codes of the classic packet filter (`linux/bpf_common.h`).
const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const IF_EQUAL: u16 = 0x15;
const JUMP: u16 = 0x05;

/// Puts a program in place of the one that is there.
fn attach(socket: impl AsFd, program: &mut [libc::sock_filter]) -> Result<(), CallError> {
    let len = u16::try_from(program.len()).expect("a few instructions");
    let described = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    // The kernel copies the program during the call, so it may be on the stack.
    option::set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, described)
        .of("setsockopt SO_ATTACH_FILTER")
}

/// Takes the fence away.
///
/// # Errors
///
/// `setsockopt`'s; ENOENT when there is none.
pub fn lower(socket: impl AsFd) -> Result<(), CallError> {
    option::set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0_i32)
        .of("setsockopt SO_DETACH_FILTER")
}
