//! What the bytes of other stores' clients are read by, one parser each.
//!
//! As of [`decoders`](crate::decoders), nothing here asks what bytes mean:
//! only that reading them ends without a panic, that they read the same
//! however they are cut, and that what was read and is written again reads the
//! same; so does a value that a client of memcached has changed (`memory`). The
//! fuzzers and the tests call the same functions.

mod memory;

use memory::Memory;
use proto::gateway::memcached::{self, Command, Found, Inspected, Parsed};
use proto::gateway::resp::{self, ProtocolError};

/// A stream and the places where it is cut: the first two bytes say into how
/// long pieces, or that it is not cut.
fn pieces(bytes: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let (size, stream) = bytes.split_first_chunk()?;
    let size = match u16::from_be_bytes(*size) {
        0 => stream.len().max(1),
        size => size.into(),
    };
    Some((stream, stream.chunks(size).collect()))
}

type Arguments = Vec<Vec<u8>>;

/// Bytes of a client of Redis.
///
/// # Panics
///
/// When they read differently in pieces, or do not read as what they are
/// written as.
pub fn redis(bytes: &[u8]) {
    let Some((stream, pieces)) = pieces(bytes) else { return };
    for authenticated in [true, false] {
        let whole = requests(authenticated, &[stream]);
        if authenticated {
            let ahead = resp::first_arguments(stream);
            let come = whole.0.iter().map(|request| request.get(1).map_or(&[][..], Vec::as_slice));
            assert!(ahead.clone().eq(come.take(ahead.count())), "what is seen ahead comes");
        }
        assert_eq!(requests(authenticated, &pieces), whole);
        let mut written = Vec::new();
        for request in &whole.0 {
            write(request, &mut written);
        }
        // Who has not logged in may type more than it may send otherwise.
        assert_eq!(requests(true, &[&written]), (whole.0, None));
    }
}

fn requests(authenticated: bool, pieces: &[&[u8]]) -> (Vec<Arguments>, Option<ProtocolError>) {
    // Small, so that a short stream comes to them; but a typed line has as many
    // words as it likes.
    let small = resp::Limits { arguments: 8, bulk_bytes: 60, total_bytes: 200 };
    let limits = if authenticated { resp::Limits::default() } else { small };
    let mut parser = resp::Parser::new(limits, authenticated);
    let (mut requests, mut buffer) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut rest = buffer.as_slice();
        loop {
            match parser.next(&mut rest) {
                Ok(Some(request)) => {
                    requests.push(request.arguments().map(<[u8]>::to_vec).collect());
                }
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
        assert!(parser.missing() > 0);
        buffer = rest.to_vec();
    }
    (requests, None)
}

/// Writes a request as a client does.
fn write(request: &[Vec<u8>], out: &mut Vec<u8>) {
    let mut writer = resp::Writer::new(out, resp::Version::Resp2);
    writer.array(request.len());
    for argument in request {
        writer.bulk(argument);
    }
}

/// Bytes of a client of memcached.
///
/// # Panics
///
/// When they read differently in pieces, or when what becomes of a value is not
/// what its bytes say.
pub fn memcached(bytes: &[u8]) {
    let Some((stream, pieces)) = pieces(bytes) else { return };
    assert_eq!(answers(&pieces), answers(&[stream]));
}

/// What is read, and how it is answered, whatever comes of it.
fn answers(pieces: &[&[u8]]) -> (Vec<String>, Vec<u8>) {
    // Small, so that a short stream comes to it.
    let mut parser = memcached::Parser::new(memcached::Limits { value_bytes: 1_000 });
    let (mut read, mut out, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
    let mut memory = Memory::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut rest = buffer.as_slice();
        while let Ok(found) = parser.next(&mut rest) {
            match found {
                Some(Parsed::Request(request)) => {
                    read.push(format!("{request:?}"));
                    answer(&request, &mut out);
                    memory.run(&request, &mut out);
                }
                Some(Parsed::Refused(refusal)) => {
                    refusal.write(&mut out);
                    if refusal.closes() {
                        return (read, out);
                    }
                }
                None => break,
            }
        }
        buffer = rest.to_vec();
    }
    (read, out)
}

fn answer(request: &memcached::Request<'_>, out: &mut Vec<u8>) {
    let found = |value| Found { value: memcached::Text(value), cas: 7, ..Found::default() };
    let mut writer = memcached::Writer::new(out, request.answer);
    match &request.command {
        Command::Get { keys, .. } => {
            for key in *keys {
                assert!((1..=memcached::MAX_KEY_BYTES).contains(&key.len()));
                writer.hit(key, &found(b"value"));
                writer.miss(key);
            }
            writer.end();
        }
        Command::Fetch(fetch) => {
            writer.hit(fetch.key.0, &found(b"value"));
            writer.miss(fetch.key.0);
        }
        Command::Store(store) => {
            assert!(store.value.0.len() <= 1_000);
            writer.hit(store.key.0, &found(store.value.0));
            writer.stored(7);
            writer.not_stored();
            writer.exists();
        }
        Command::TooLarge { .. } => writer.too_large(),
        Command::Delete(_) => {
            writer.deleted();
            writer.not_found();
        }
        Command::Arithmetic(arithmetic) => {
            writer.number(arithmetic.delta, &found(b""));
            writer.not_numeric();
        }
        Command::Touch { .. } => writer.touched(&found(b"")),
        Command::Inspect { .. } => writer.inspected(&Inspected::default()),
        Command::Stats { group } => {
            writer.stat(b"name", group.0);
            writer.end_of_stats();
        }
        Command::FlushAll { .. } | Command::Verbosity => writer.ok(),
        Command::Version => writer.version("1"),
        Command::Noop => writer.noop(),
        Command::Quit => writer.quit(),
    }
    writer.server_error("no");
}
