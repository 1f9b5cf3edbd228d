//! Whether a watermark ever passes a hole.
//!
//! It knows in which packet of which stream each write went out. A node that
//! says that it has everything of a stream up to there must hold the write, or
//! what took its place, however it came: in its packet, or fetched otherwise.

use std::collections::BTreeMap;

use proto::nak::receiver::Receiver;
use proto::wire::header::Incarnation;

use crate::farm::Farm;
use crate::farm::running::{Packet, Running};
use crate::model::{Holding, holding};

/// The writes of each stream, and how far each node was looked at.
#[derive(Debug, Default)]
pub struct Holes {
    writes: BTreeMap<Incarnation, Vec<(u64, Holding)>>,
    looked: BTreeMap<(Incarnation, Incarnation), Looked>,
}

/// How far a node was looked at.
#[derive(Debug, Clone, Copy, Default)]
struct Looked {
    /// Where it followed the stream from.
    start: u64,
    /// How many of the stream's writes were looked for.
    writes: usize,
}

impl Holes {
    /// A write went out, with the last of its bytes in that packet.
    pub fn wrote(&mut self, packet: Packet, holding: Holding) {
        self.writes.entry(packet.stream).or_default().push((packet.sequence, holding));
    }

    /// Looks at all writes that watermarks have passed since the last look.
    ///
    /// # Errors
    ///
    /// Whose watermark has passed a write that is not there.
    pub fn check(&mut self, farm: &Farm) -> Result<(), String> {
        for (number, running) in farm.nodes.iter().enumerate() {
            let Some(running) = running else { continue };
            for (&stream, peer) in running.node.peers() {
                self.check_stream(running, stream, &peer.receiver)
                    .map_err(|what| format!("node {number} {what}"))?;
            }
        }
        Ok(())
    }

    fn check_stream(
        &mut self,
        running: &Running,
        stream: Incarnation,
        receiver: &Receiver,
    ) -> Result<(), String> {
        let Some(writes) = self.writes.get(&stream) else { return Ok(()) };
        let looked = self.looked.entry((running.incarnation(), stream)).or_default();
        if looked.start != receiver.start() {
            // It follows the stream from elsewhere.
            *looked = Looked { start: receiver.start(), writes: 0 };
        }
        for (sequence, wrote) in &writes[looked.writes..] {
            if *sequence > receiver.watermark() {
                break;
            }
            looked.writes += 1;
            let held = holding(&running.holdings, &wrote.key);
            let has = held.as_ref().is_some_and(|held| wrote.is_superseded_by(held));
            // What was written before it followed the stream comes otherwise.
            if *sequence > looked.start && !has {
                let watermark = receiver.watermark();
                return Err(format!(
                    "has all of {stream:?} up to {watermark}, but of packet {sequence} \
                     not {wrote:?}, but {held:?}"
                ));
            }
        }
        Ok(())
    }
}
