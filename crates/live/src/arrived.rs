//! What a packet says that waited in a queue.

use proto::connection::segment::{Checksum, Segment};
use sys::queue::{self, Packet};

/// Its segment; none, where the kernel would take it for no segment either, or did
/// not give all of it.
pub(crate) fn segment<'a>(packet: &Packet<'a>) -> Option<Segment<'a>> {
    let checksum = match packet.checksum {
        queue::Checksum::Right => Checksum::Trust,
        queue::Checksum::Unknown => Checksum::Verify,
    };
    Segment::decode(packet.bytes, checksum).ok().filter(|_| packet.whole)
}
