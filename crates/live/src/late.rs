//! What peers say while connections move: segments that come to where a connection
//! was, and are passed on to where it is.
//!
//! Were they dropped, their sender would wait for an acknowledgement before it sent
//! them again: for two round trips and 8 ms where TCP probes the tail of what it
//! sent (RFC 8985, section 7), and for 200 ms where it does not.

use std::net::SocketAddr;

use bytes::Bytes;
use proto::connection::segment::{Segment, Timestamps};
use proto::secret::secret;
use sys::call::CallError;
use sys::repair::{Flags, Forge, Forged, MAX_DATA_BYTES};

/// How much is kept of an end, or of a queue: what a LAN has on its way.
/// 64 connections of two ends, and two batches of them for a group, are 32 MiB.
const MOST_BYTES: usize = 128 << 10;
/// How many segments are passed on: as many small ones as large ones would be.
const MOST: usize = MOST_BYTES / MAX_DATA_BYTES;

/// The timestamps option behind two of no operation, so that it is of whole words
/// (RFC 7323, appendix A).
const STAMPS_BYTES: usize = 12;

/// Segments that came while their connection stood still.
#[derive(Debug, Default)]
pub(crate) struct Late {
    segments: Vec<Kept>,
    bytes: usize,
    /// How many segments they are when they are passed on.
    pieces: usize,
}

#[derive(Debug)]
struct Kept {
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    acknowledged: u32,
    window: u16,
    timestamps: Option<Timestamps>,
    data: Bytes,
    fin: bool,
}

impl Late {
    /// Keeps a segment. What begins or breaks off a connection, is urgent, or has no
    /// room any more is lost instead, and comes again.
    pub(crate) fn keep(&mut self, segment: &Segment<'_>) {
        let flags = segment.flags;
        let ordinary = flags.ack() && !flags.syn() && !flags.rst() && !flags.urg();
        let bytes = self.bytes + segment.data.len();
        let pieces = self.pieces + segment.data.len().div_ceil(MAX_DATA_BYTES).max(1);
        if !ordinary || bytes > MOST_BYTES || pieces > MOST {
            return;
        }
        (self.bytes, self.pieces) = (bytes, pieces);
        self.segments.push(Kept {
            from: segment.from,
            to: segment.to,
            sequence: segment.sequence,
            acknowledged: segment.acknowledged,
            window: segment.window,
            timestamps: segment.options.timestamps,
            data: secret(segment.data),
            fin: flags.fin(),
        });
    }

    /// Sends all of them to whoever has their address now, in the order in which
    /// they came.
    ///
    /// # Errors
    ///
    /// The first that could not be sent; those behind it are not.
    pub(crate) fn pass_on(self, forge: &Forge) -> Result<(), CallError> {
        self.segments.iter().try_for_each(|kept| kept.pass_on(forge))
    }
}

impl Kept {
    fn pass_on(&self, forge: &Forge) -> Result<(), CallError> {
        let stamps = self.timestamps.map(option);
        let options = stamps.as_ref().map_or(&[][..], |stamps| &stamps[..]);
        // The kernel may have put several segments together: they go one by one.
        let mut from = 0;
        loop {
            let to = self.data.len().min(from + MAX_DATA_BYTES);
            let is_last = to == self.data.len();
            let offset = u32::try_from(from).expect("a packet has less than 64 KiB");
            forge.send(&Forged {
                from: self.from,
                to: self.to,
                sequence: self.sequence.wrapping_add(offset),
                acknowledged: self.acknowledged,
                flags: if self.fin && is_last { Flags::Fin } else { Flags::Ack },
                window: self.window,
                options,
                data: &self.data[from..to],
            })?;
            if is_last {
                return Ok(());
            }
            from = to;
        }
    }
}

fn option(stamps: Timestamps) -> [u8; STAMPS_BYTES] {
    let mut option = [1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
    option[4..8].copy_from_slice(&stamps.value.to_be_bytes());
    option[8..12].copy_from_slice(&stamps.echo.to_be_bytes());
    option
}

#[cfg(test)]
mod tests {
    use proto::connection::segment::Checksum;

    use super::*;

    /// A segment of so many bytes, over IPv4 and with timestamps.
    fn packet(flags: u8, data: usize) -> Vec<u8> {
        let mut packet = vec![0; 20 + 32 + data];
        let length = u16::try_from(packet.len()).expect("short");
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet[9] = 6;
        packet[20 + 12] = 8 << 4;
        packet[20 + 13] = flags;
        let stamps = Timestamps { value: 0x0102_0304, echo: 0x0506_0708 };
        packet[40..52].copy_from_slice(&option(stamps));
        packet
    }

    const ACK: u8 = 0x10;

    fn keep(late: &mut Late, packet: &[u8]) {
        late.keep(&Segment::decode(packet, Checksum::Trust).expect("it is a segment"));
    }

    #[test]
    fn its_clock_is_written_as_it_is_read() {
        let mut late = Late::default();
        keep(&mut late, &packet(ACK, 7));
        let stamps = late.segments[0].timestamps.unwrap();
        assert_eq!((stamps.value, stamps.echo), (0x0102_0304, 0x0506_0708));
        assert_eq!(late.segments[0].data.len(), 7);
    }

    #[test]
    fn what_begins_breaks_off_or_is_urgent_is_not_kept() {
        let mut late = Late::default();
        for flags in [0x00, ACK | 0x02, ACK | 0x04, ACK | 0x20] {
            keep(&mut late, &packet(flags, 1));
        }
        assert!(late.segments.is_empty());
        keep(&mut late, &packet(ACK | 0x01, 1));
        assert!(late.segments[0].fin);
    }

    #[test]
    fn a_peer_that_goes_on_and_on_takes_no_more_than_its_share() {
        for data in [0, 1, MAX_DATA_BYTES, 60_000] {
            let mut late = Late::default();
            let packet = packet(ACK, data);
            (0..1_000).for_each(|_| keep(&mut late, &packet));
            assert!(late.bytes <= MOST_BYTES && late.pieces <= MOST && !late.segments.is_empty());
            let more = data.div_ceil(MAX_DATA_BYTES).max(1);
            assert!(late.pieces + more > MOST || late.bytes + data > MOST_BYTES);
        }
    }
}
