//! What stands by for when a node's process is killed.
//!
//! It takes away the virtual address ([`sys::guardian`]). What clients have sent and
//! nothing was decided about, read or not, waits in the queue that it shares: that it
//! passes on to whoever has the address next. Were it lost, a client would wait for
//! an answer to its last request until its own 200 ms are over.

use std::io;
use std::os::fd::AsFd as _;

use sys::call::CallError;
use sys::guardian::{self, Outcome};
use sys::queue::Leftover;
use sys::repair::{Forge, MAX_DATA_BYTES};
use sys::rules::MARK;

use crate::arrived;
use crate::late::Late;

/// How much is passed on. Until the kernel hears who has the address it keeps 212,992
/// bytes of packets, its own overhead included (arp(7), `unres_qlen_bytes`), and beyond
/// that drops the oldest: whoever began with a gap would be slower than without.
const MOST_BYTES: usize = 190_000;
/// The kernel's overhead of a packet.
const PACKET_BYTES: usize = 1_300;

/// Does it: with orders from standard input, answers to standard output, and the queue
/// of that number in the place of standard error.
///
/// # Errors
///
/// What could not be done; nobody can be told.
pub fn guard(queue: Option<u16>) -> Result<(), CallError> {
    match (guardian::run(io::stdin(), io::stdout())?, queue) {
        (Outcome::Alone, Some(queue)) => pass_on(queue),
        (Outcome::Orderly, _) | (Outcome::Alone, None) => Ok(()),
    }
}

/// Passes on what waits. The address is not here any more, so nothing is added to
/// it; the kernel sends it as soon as it hears who has the address.
fn pass_on(queue: u16) -> Result<(), CallError> {
    let Ok(file) = io::stderr().as_fd().try_clone_to_owned() else { return Ok(()) };
    let mut leftover = Leftover::of(queue, file)?;
    let mut late = Late::default();
    let mut room = MOST_BYTES;
    loop {
        let more = leftover.receive()?;
        for packet in leftover.packets().filter(|packet| !packet.leaves) {
            let pieces = packet.bytes.len().div_ceil(MAX_DATA_BYTES);
            match room.checked_sub(packet.bytes.len() + pieces * PACKET_BYTES) {
                Some(left) => room = left,
                None => return late.pass_on(&Forge::open(MARK)?),
            }
            if let Some(segment) = arrived::segment(&packet) {
                late.keep(&segment);
            }
        }
        if !more {
            return late.pass_on(&Forge::open(MARK)?);
        }
    }
}
