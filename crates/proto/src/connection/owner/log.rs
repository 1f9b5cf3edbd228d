//! What was told the understudy and is not held yet, in order.

use std::collections::VecDeque;

use crate::connection::GroupId;
use crate::connection::epoch::Term;
use crate::connection::stream::Message;
use crate::time::Instant;

/// What one message takes beside its bytes: its place here and what waits for it.
/// Pure FINs and closes are bounded by it.
const MESSAGE_BYTES: usize = 256;

/// What was told and is not held yet.
#[derive(Debug)]
pub(super) struct Log {
    messages: VecDeque<(Instant, Message)>,
    bytes: usize,
    /// How many messages are held.
    held: u64,
    /// How many of those that are not have gone out over this stream.
    sent: usize,
    stream: Stream,
    /// Since when there has been no stream, while there is none.
    down_since: Instant,
}

#[derive(Debug, PartialEq, Eq)]
enum Stream {
    Down,
    /// Up, and nothing said yet.
    New,
    Begun,
}

impl Log {
    pub(super) const fn new(now: Instant) -> Self {
        let messages = VecDeque::new();
        Self { messages, bytes: 0, held: 0, sent: 0, stream: Stream::Down, down_since: now }
    }

    /// How many messages were told.
    pub(super) fn told(&self) -> u64 {
        self.held + self.messages.len() as u64
    }

    pub(super) const fn held(&self) -> u64 {
        self.held
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is a stream to the understudy.
    pub(super) fn is_heard(&self) -> bool {
        self.stream != Stream::Down
    }

    /// Since when the understudy is waited for: with the oldest message, or with
    /// its stream. Without a stream an owner that has nothing to say would never
    /// hear that another has taken over.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let down = (self.stream == Stream::Down).then_some(self.down_since);
        self.messages.front().map(|(since, _)| *since).into_iter().chain(down).min()
    }

    pub(super) fn tell(&mut self, now: Instant, message: Message) {
        self.bytes += cost(&message);
        self.messages.push_back((now, message));
    }

    /// Lets go what is held; false when more is said to be than was told.
    pub(super) fn hold(&mut self, count: u64) -> bool {
        if count > self.told() {
            return false;
        }
        while self.held < count {
            let Some((_, message)) = self.messages.pop_front() else { break };
            self.bytes -= cost(&message);
            self.sent = self.sent.saturating_sub(1);
            self.held += 1;
        }
        true
    }

    pub(super) const fn begin(&mut self) {
        self.stream = Stream::New;
        self.sent = 0;
    }

    pub(super) fn end(&mut self, now: Instant) {
        if self.stream != Stream::Down {
            self.stream = Stream::Down;
            self.down_since = now;
        }
    }

    pub(super) fn poll_transmit(&mut self, group: GroupId, term: Term) -> Option<Message> {
        match self.stream {
            Stream::Down => None,
            Stream::New => {
                self.stream = Stream::Begun;
                Some(Message::Begin { group, term, first: self.held + 1 })
            }
            Stream::Begun => {
                let (_, message) = self.messages.get(self.sent)?;
                self.sent += 1;
                Some(message.clone())
            }
        }
    }
}

fn cost(message: &Message) -> usize {
    MESSAGE_BYTES + message.payload_bytes()
}
