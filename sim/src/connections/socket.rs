//! What a kernel does with what it is given: acknowledges in order, keeps what it
//! sends until that is acknowledged, and says the same again.

use std::collections::BTreeMap;

use proto::connection::End;
use proto::connection::ledger::Ledger;

/// The largest segment.
const MSS: usize = 600;
/// How much may be under way.
const WINDOW: u64 = 6_000;

/// One end of a TCP connection.
#[derive(Debug, Default)]
pub struct Socket {
    /// Up to where input has come, and was read.
    next: u64,
    read: u64,
    unread: Vec<u8>,
    beyond: BTreeMap<u64, Vec<u8>>,
    ends: Option<u64>,
    /// The first byte that is not acknowledged, and the first not yet sent.
    unacknowledged: u64,
    sent: u64,
    output: Vec<u8>,
    fin: bool,
    fin_acknowledged: bool,
}

/// A segment to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where its first byte belongs.
    pub position: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether nothing comes after them.
    pub fin: bool,
}

impl Socket {
    /// The socket that goes on where a ledger stands.
    pub fn restore(ledger: &Ledger, end: End) -> Self {
        let side = ledger.side(end);
        let (input, output) = (&side.input, &side.output);
        let mut socket = Self {
            next: input.consumed().0,
            read: input.consumed().0,
            unacknowledged: output.unacknowledged().0,
            sent: output.unacknowledged().0,
            ..Self::default()
        };
        for chunk in output.chunks() {
            socket.output.extend_from_slice(chunk);
        }
        socket.fin = output.fin();
        socket.fin_acknowledged = output.acknowledged() > output.unacknowledged();
        let ordered = input.pieces().take_while(|(position, _)| *position < input.end());
        for (position, bytes) in ordered {
            socket.receive(position.0, bytes, false);
        }
        if let Some(fin) = input.fin().filter(|fin| *fin == input.end()) {
            socket.receive(fin.0, &[], true);
        }
        socket
    }

    /// Takes a segment.
    pub fn receive(&mut self, position: u64, bytes: &[u8], fin: bool) {
        if !bytes.is_empty() {
            self.beyond.entry(position).or_insert_with(|| bytes.to_vec());
        }
        if fin {
            self.ends = Some(position + bytes.len() as u64);
        }
        while let Some((position, bytes)) = self.beyond.pop_first() {
            if position > self.next {
                self.beyond.insert(position, bytes);
                break;
            }
            let known = usize::try_from(self.next - position).expect("within a segment");
            let new = bytes.get(known..).unwrap_or_default();
            self.unread.extend_from_slice(new);
            self.next += new.len() as u64;
        }
    }

    /// What it acknowledges.
    pub fn acknowledges(&self) -> u64 {
        self.next + u64::from(self.ends == Some(self.next))
    }

    /// Takes out what has come in order.
    pub fn read(&mut self, limit: usize) -> Vec<u8> {
        let len = self.unread.len().min(limit);
        self.read += len as u64;
        self.unread.drain(..len).collect()
    }

    /// Up to where it was read.
    pub const fn position(&self) -> u64 {
        self.read
    }

    /// Whether all was read, and nothing comes any more.
    pub fn is_ended(&self) -> bool {
        self.ends == Some(self.read)
    }

    /// Says more.
    pub fn write(&mut self, bytes: &[u8], fin: bool) {
        self.output.extend_from_slice(bytes);
        self.fin |= fin;
    }

    /// Where the next byte belongs that is written.
    pub const fn end(&self) -> u64 {
        self.unacknowledged + self.output.len() as u64
    }

    /// Hears what the peer has. Gives whether that is news.
    pub fn acknowledge(&mut self, position: u64) -> bool {
        let end = self.end();
        if position > end + u64::from(self.fin) || position <= self.unacknowledged {
            return false;
        }
        let known = self.fin_acknowledged;
        self.fin_acknowledged |= position > end;
        let gone = usize::try_from(position.min(end) - self.unacknowledged).expect("in memory");
        self.output.drain(..gone);
        self.unacknowledged = position.min(end);
        self.sent = self.sent.max(self.unacknowledged);
        gone > 0 || known != self.fin_acknowledged
    }

    /// What the peer has, the FIN included.
    pub fn acknowledged(&self) -> u64 {
        self.unacknowledged + u64::from(self.fin_acknowledged)
    }

    /// What it sends; again from the first that is not acknowledged, if asked to.
    pub fn transmit(&mut self, again: bool) -> Vec<Transmit> {
        if again {
            self.sent = self.unacknowledged;
        }
        let mut segments = Vec::new();
        let (end, limit) = (self.end(), self.unacknowledged + WINDOW);
        while self.sent < end.min(limit) {
            let from = usize::try_from(self.sent - self.unacknowledged).expect("in memory");
            let to = (from + MSS).min(self.output.len());
            let bytes = self.output[from..to].to_vec();
            let position = self.sent;
            self.sent += bytes.len() as u64;
            segments.push(Transmit { position, bytes, fin: self.fin && self.sent == end });
        }
        if segments.is_empty() && self.fin && !self.fin_acknowledged && again {
            segments.push(Transmit { position: end, bytes: Vec::new(), fin: true });
        }
        segments
    }
}
