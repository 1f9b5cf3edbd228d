//! What the load says to a server, and what that has to answer, in Redis'
//! protocol or in memcached's text.
//!
//! All requests of one sort have one length, and so have their replies: the
//! load only counts, so that it costs every server the same and little itself.

use proto::rng::Rng;

/// Digits of the number in a key: a hundred million of them.
const NUMBER_BYTES: usize = 8;
/// A key's first bytes: with the number 32, as session stores' keys have them.
const KEY_PREFIX: &str = "session:0123456789abcdef";
/// How long a value stays: an hour, which no run comes near to.
const LIFETIME_SECONDS: u32 = 3600;

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Redis,
    Memcached,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Get,
    Set,
}

/// Requests of one sort, as many as are sent together.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) operation: Operation,
    pub(super) bytes: Vec<u8>,
    /// How long a request is.
    length: usize,
    /// Where the number of its key is, and where its value.
    number: usize,
    value: Option<usize>,
    pub(super) reply: Reply,
    pub(super) count: usize,
}

/// What every request of a batch is answered by.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    /// How it begins.
    pub(super) head: Vec<u8>,
    /// Where in it the value begins, if it has one.
    pub(super) value: usize,
    pub(super) length: usize,
}

impl Protocol {
    /// A batch of `count` requests, with values of `value_bytes`.
    pub(super) fn batch(self, operation: Operation, count: usize, value_bytes: usize) -> Batch {
        let key = format!("{KEY_PREFIX}{}", "0".repeat(NUMBER_BYTES));
        let (key_bytes, value) = (key.len(), vec![b'v'; value_bytes]);
        let (mut request, end) = match (self, operation) {
            (Self::Redis, Operation::Get) => {
                (format!("*2\r\n$3\r\nGET\r\n${key_bytes}\r\n{key}\r\n").into_bytes(), None)
            }
            (Self::Redis, Operation::Set) => (
                format!("*5\r\n$3\r\nSET\r\n${key_bytes}\r\n{key}\r\n${value_bytes}\r\n")
                    .into_bytes(),
                Some(format!("\r\n$2\r\nEX\r\n$4\r\n{LIFETIME_SECONDS}\r\n")),
            ),
            (Self::Memcached, Operation::Get) => (format!("get {key}\r\n").into_bytes(), None),
            (Self::Memcached, Operation::Set) => (
                format!("set {key} 0 {LIFETIME_SECONDS} {value_bytes}\r\n").into_bytes(),
                Some("\r\n".to_owned()),
            ),
        };
        let prefix = KEY_PREFIX.as_bytes();
        let place = request.windows(prefix.len()).position(|window| window == prefix);
        let number = place.expect("a request has its key") + prefix.len();
        let value = end.map(|end| {
            let place = request.len();
            request.extend_from_slice(&value);
            request.extend_from_slice(end.as_bytes());
            place
        });
        let reply = self.reply(operation, key_bytes, value_bytes);
        let (length, bytes) = (request.len(), request.repeat(count));
        Batch { operation, bytes, length, number, value, reply, count }
    }

    fn reply(self, operation: Operation, key_bytes: usize, value_bytes: usize) -> Reply {
        let (head, tail, whole) = match (self, operation) {
            (Self::Redis, Operation::Get) => (format!("${value_bytes}\r\n"), 2, None),
            (Self::Redis, Operation::Set) => ("+OK\r\n".to_owned(), 0, Some(5)),
            (Self::Memcached, Operation::Get) => ("VALUE ".to_owned(), "\r\nEND\r\n".len(), None),
            (Self::Memcached, Operation::Set) => ("STORED\r\n".to_owned(), 0, Some(8)),
        };
        let mut value = head.len();
        if (self, operation) == (Self::Memcached, Operation::Get) {
            value += key_bytes + format!(" 0 {value_bytes}\r\n").len();
        }
        let length = whole.unwrap_or(value + value_bytes + tail);
        Reply { head: head.into_bytes(), value, length }
    }
}

impl Batch {
    /// Makes the requests be about these keys, with values that have not been
    /// there: one that is written again would only be a touch.
    pub(super) fn turn(&mut self, mut key: impl FnMut() -> u32, rng: &mut Rng) {
        for request in self.bytes.chunks_exact_mut(self.length) {
            let mut rest = key();
            for digit in request[self.number..][..NUMBER_BYTES].iter_mut().rev() {
                *digit = b'0' + u8::try_from(rest % 10).expect("a digit");
                rest /= 10;
            }
            if let Some(value) = self.value {
                for (place, byte) in rng.next_u64().to_le_bytes().into_iter().enumerate() {
                    // Letters, two to a byte.
                    request[value + 2 * place] = b'a' + (byte & 15);
                    request[value + 2 * place + 1] = b'a' + (byte >> 4);
                }
            }
        }
    }

    /// The first bytes of the value that the first request writes.
    pub(super) fn mark(&self) -> &[u8] {
        self.value.map_or(&[], |value| &self.bytes[value..][..MARK_BYTES])
    }

    /// How long all replies are together.
    pub(super) const fn reply_bytes(&self) -> usize {
        self.count * self.reply.length
    }
}

/// What of a value differs from every other value: a random number's letters.
pub(super) const MARK_BYTES: usize = 16;
