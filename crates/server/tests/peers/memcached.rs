//! What memcached takes for a request, in which words it refuses what is
//! none, and each of its replies.
//!
//! Where memcached is known to do otherwise, nothing is sent that shows it:
//!
//! - a key that is too long among several of a `get` throws away the replies
//!   to the requests before it; an opaque flag that is too long is refused
//!   when the command is done, and not before;
//! - a quiet `ma` that creates its number answers all the same;
//! - a key in base64 is told as what it stands for when the value was created by
//!   `mg` or `ma`, and not in the form of the request;
//! - of a packet with an unknown opcode it passes over extras and key twice;
//! - a number that becomes shorter is written over the longer one only when no
//!   reply still holds that: all are sent before;
//! - in the memory behind a number of 2^63 and more it looks for a minus sign, so
//!   numbers stay below, as long as a stream is;
//! - a connection that it ends without a word loses the replies before, so
//!   there they are compared as far as they came.

use proto::gateway::memcached::{Closed, Command, Limits, Parsed, Parser};
use proto::rng::Rng;

use crate::peer::Peer;
use crate::store::Store;
use crate::{lines, packets, shown};

/// So many streams take a second.
const STREAMS: u64 = 1_000;

/// Every key that is sent.
pub(crate) fn keys() -> Vec<String> {
    let longest = "k".repeat(proto::gateway::memcached::MAX_KEY_BYTES);
    ["a", "b", "c", "f", "Zg=="].iter().map(|key| (*key).to_owned()).chain([longest]).collect()
}

#[test]
fn lines_are_answered_as_by_memcached() {
    compare(lines::stream);
}

#[test]
fn packets_are_answered_as_by_memcached() {
    compare(packets::stream);
}

fn compare(stream: fn(&mut Rng, u64) -> Vec<u8>) {
    let peer = Peer::memcached();
    for seed in 0..STREAMS {
        let last = prepare(&peer);
        let stream = stream(&mut Rng::from_u64(seed), last);
        let (theirs, (ours, closed)) = (peer.answers(&stream), answers(&stream, last));
        if closed.is_none() || !ours.starts_with(&theirs) {
            assert_eq!(shown(&ours), shown(&theirs), "seed {seed}: {}", shown(&stream));
        }
    }
}

/// Empties the peer, and gives the last number that it gave a value: every
/// value gets the next one.
fn prepare(peer: &Peer) -> u64 {
    let mut request = String::new();
    for key in keys() {
        request += &format!("delete {key} noreply\r\n");
    }
    request += "set number 0 0 0\r\n\r\ngets number\r\n";
    let reply = String::from_utf8(peer.answers(request.as_bytes())).expect("words");
    let value = reply.lines().find(|line| line.starts_with("VALUE")).expect("it is stored");
    value.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// All answers, and why there are no more if that is not said.
fn answers(stream: &[u8], last: u64) -> (Vec<u8>, Option<Closed>) {
    let mut parser = Parser::new(Limits::default());
    let mut store = Store::new(last);
    let (mut out, mut rest) = (Vec::new(), stream);
    loop {
        match parser.next(&mut rest) {
            Ok(Some(Parsed::Request(request))) => {
                store.answer(&request, &mut out);
                if request.command == Command::Quit {
                    return (out, None);
                }
            }
            Ok(Some(Parsed::Refused(refusal))) => {
                refusal.write(&mut out);
                if refusal.closes() {
                    return (out, None);
                }
            }
            Ok(None) => return (out, None),
            Err(closed) => return (out, Some(closed)),
        }
    }
}
