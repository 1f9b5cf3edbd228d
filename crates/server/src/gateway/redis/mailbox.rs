//! What waits for one subscriber: bounded, so that one who does not read costs
//! only his own connection.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use proto::gateway::resp::Writer;
use tokio::sync::Notify;

/// How much may wait for one subscriber, some overhead counted: eight messages
/// of the largest size. It is what Redis allows a subscriber for a minute.
const MOST_BYTES: usize = 8 << 20;
/// What a message costs beside its bytes, about.
const MESSAGE_BYTES: usize = 64;

/// A message, shared by all who get it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) channel: Vec<u8>,
    pub(super) text: Vec<u8>,
}

/// A message, and the pattern that it came by.
#[derive(Debug)]
struct Mail {
    message: Arc<Message>,
    pattern: Option<Arc<[u8]>>,
}

/// What waits for a subscriber.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    /// Told once there was too much.
    overflow: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    mail: VecDeque<Mail>,
    bytes: usize,
    /// Whether there was too much: nothing comes in any more.
    overflowed: bool,
}

/// The subscriber did not read in time.
#[derive(Debug)]
pub(super) struct Overflowed;

impl Mailbox {
    /// Takes a message; gives whether this is the one that is too much.
    pub(super) fn put(&self, message: &Arc<Message>, pattern: Option<&Arc<[u8]>>) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.overflowed {
            return false;
        }
        let by = pattern.map_or(0, |pattern| pattern.len());
        waiting.bytes += by + message.channel.len() + message.text.len() + MESSAGE_BYTES;
        let overflows = waiting.bytes > MOST_BYTES;
        if overflows {
            *waiting = Waiting { overflowed: true, ..Waiting::default() };
            self.overflow.notify_one();
        } else {
            let (message, pattern) = (Arc::clone(message), pattern.cloned());
            waiting.mail.push_back(Mail { message, pattern });
        }
        drop(waiting);
        self.arrived.notify_one();
        overflows
    }

    /// Waits until there was too much.
    pub(super) async fn overflowed(&self) {
        self.overflow.notified().await;
    }

    /// Waits until something has come since this was last asked.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Writes what waits.
    pub(super) fn take(&self, reply: &mut Writer<'_>) -> Result<(), Overflowed> {
        let taken = std::mem::take(&mut *self.waiting.lock());
        if taken.overflowed {
            return Err(Overflowed);
        }
        for Mail { message, pattern } in taken.mail {
            match &pattern {
                None => {
                    reply.push(3);
                    reply.bulk(b"message");
                }
                Some(pattern) => {
                    reply.push(4);
                    reply.bulk(b"pmessage");
                    reply.bulk(pattern);
                }
            }
            reply.bulk(&message.channel);
            reply.bulk(&message.text);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::gateway::resp::Version;

    #[test]
    fn what_is_written_with_a_message_counts() {
        let mailbox = Mailbox::default();
        let message = Arc::new(Message { channel: b"c".to_vec(), text: Vec::new() });
        let pattern = Arc::from(vec![b'*'; 1_000]);
        let put = (0..100_000).take_while(|_| !mailbox.put(&message, Some(&pattern))).count();
        assert!(put * 1_000 < MOST_BYTES, "{put} messages");
    }

    #[test]
    fn a_subscriber_gets_what_was_said_and_not_more_than_the_bound() {
        let message = |bytes| Message { channel: b"c".to_vec(), text: vec![b'x'; bytes] };
        let mailbox = Mailbox::default();
        let mut out = Vec::new();
        mailbox.put(&Arc::new(message(2)), None);
        mailbox.put(&Arc::new(message(1)), Some(&Arc::from(&b"*"[..])));
        mailbox.take(&mut Writer::new(&mut out, Version::Resp3)).unwrap();
        let one = &b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nxx\r\n"[..];
        let other = &b">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$1\r\nx\r\n"[..];
        assert_eq!(out, [one, other].concat());
        let large = Arc::new(message(1 << 20));
        assert!((0..7).all(|_| !mailbox.put(&large, None)));
        mailbox.take(&mut Writer::new(&mut out, Version::Resp3)).unwrap();
        let too_much: Vec<bool> = (0..9).map(|_| mailbox.put(&large, None)).collect();
        assert_eq!(too_much, [vec![false; 7], vec![true, false]].concat());
        assert!(mailbox.take(&mut Writer::new(&mut out, Version::Resp3)).is_err());
    }
}
