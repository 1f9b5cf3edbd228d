//! Tests of all three protocols through the parser and the writer.

mod binary;
mod meta;
mod replies;
mod text;

use proptest::prelude::*;

use super::*;
use crate::gateway::testing::cut;

/// A request or a refusal as one line.
fn shown(parsed: &Parsed<'_>) -> String {
    let key = |key: &Text<'_>| key.0.escape_ascii().to_string();
    let request = match parsed {
        Parsed::Request(request) => request,
        Parsed::Refused(refusal) => {
            let mut out = Vec::new();
            refusal.write(&mut out);
            let closes = if refusal.closes() { ", closes" } else { "" };
            return format!("refused {}{closes}", out.escape_ascii());
        }
    };
    let command = match &request.command {
        Command::Get { keys, touch } => {
            let keys: Vec<_> = keys.map(|key| key.escape_ascii().to_string()).collect();
            format!("get {} {touch:?}", keys.join(","))
        }
        Command::Fetch(fetch) => {
            let Fetch { touch, vivify, recache, counts, .. } = fetch;
            format!("fetch {} {touch:?} {vivify:?} {recache:?} {counts}", key(&fetch.key))
        }
        Command::Store(store) => {
            let Store { mode, flags, expiry, cas, invalidate, value, .. } = store;
            let value = value.0.escape_ascii();
            let invalidate = if *invalidate { " invalidate" } else { "" };
            format!("{mode:?} {} {flags} {expiry:?} {cas:?}{invalidate} {value}", key(&store.key))
        }
        Command::TooLarge { key: name, forget } => format!("too large {} {forget}", key(name)),
        Command::Delete(delete) => {
            let Delete { cas, invalidate, expiry, .. } = delete;
            format!("delete {} {cas:?} {invalidate} {expiry:?}", key(&delete.key))
        }
        Command::Arithmetic(arithmetic) => {
            let Arithmetic { up, delta, initial, cas, touch, .. } = arithmetic;
            let sign = if *up { '+' } else { '-' };
            format!("{} {sign}{delta} {initial:?} {cas:?} {touch:?}", key(&arithmetic.key))
        }
        Command::Touch { key: name, expiry } => format!("touch {} {expiry:?}", key(name)),
        Command::Inspect { key: name } => format!("inspect {}", key(name)),
        Command::FlushAll { at } => format!("flush {at:?}"),
        Command::Stats { group } => format!("stats {}", key(group)),
        Command::Verbosity => "verbosity".to_owned(),
        Command::Version => "version".to_owned(),
        Command::Noop => "noop".to_owned(),
        Command::Quit => "quit".to_owned(),
    };
    // What the client hears when all went well says how it is answered.
    let mut out = Vec::new();
    Writer::new(&mut out, request.answer).stored(0);
    if out.is_empty() { format!("{command} quiet") } else { command }
}

/// What comes in such pieces, and how it ends: with what is left of the input,
/// or by closing.
fn read<'a>(
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<String>, Result<Vec<u8>, Closed>) {
    let mut parser = Parser::new(limits);
    let (mut seen, mut buffer) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut rest = buffer.as_slice();
        loop {
            match parser.next(&mut rest) {
                Ok(Some(parsed)) => {
                    seen.push(shown(&parsed));
                    if matches!(parsed, Parsed::Refused(refusal) if refusal.closes()) {
                        return (seen, Ok(Vec::new()));
                    }
                }
                Ok(None) => break,
                Err(closed) => return (seen, Err(closed)),
            }
        }
        assert!(parser.missing() > 0);
        buffer = rest.to_vec();
    }
    (seen, Ok(buffer))
}

/// Checks what a whole input is read as, in one piece and byte by byte.
fn check(input: &[u8], expected: &[&str]) {
    check_within(Limits::default(), input, expected);
}

fn check_within(limits: Limits, input: &[u8], expected: &[&str]) {
    let whole = read(limits, [input]);
    let (seen, end) = &whole;
    assert_eq!(seen, expected, "{}", input.escape_ascii());
    assert_eq!(end, &Ok(Vec::new()), "{}", input.escape_ascii());
    assert_eq!(read(limits, input.chunks(1)), whole, "{}", input.escape_ascii());
}

/// Checks that an input closes the connection, however it comes.
fn closes(input: &[u8], expected: Closed) {
    // Byte by byte, but for what is longer than a few lines.
    let size = 1 + input.len() / 4096;
    for pieces in [vec![input], input.chunks(size).collect()] {
        assert_eq!(read(Limits::default(), pieces), (Vec::new(), Err(expected)));
    }
}

/// Bytes that look like requests here and there.
fn junk() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "(get|gets|gat|set|cas|incr|delete|mg|ms|ma|md|me|mn|touch|stats)( [a-zA-Z0-9=]{1,4}){0,6}\r\n"
            .prop_map(String::into_bytes),
        "set k 0 0 [0-9]{1,3}\r\n[a-c]{0,20}\r\n".prop_map(String::into_bytes),
        "ms [a-zA-Z0-9]{1,8} [0-9]{1,2}( [bckIqMTOFC][0-9a-zA-Z]{0,3}){0,4}\r\n[a-c]{0,20}\r\n"
            .prop_map(String::into_bytes),
        (any::<u8>(), 0u8..4, prop_oneof![Just(0u8), Just(4), Just(8), Just(20)], 0u8..40).prop_map(
            |(opcode, key, extras, body)| {
                let mut packet = vec![BINARY_REQUEST, opcode % 0x28, 0, key, extras, 0, 0, 0];
                packet.extend([0, 0, 0, body, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 9]);
                packet.extend(std::iter::repeat_n(b'x', body.into()));
                packet
            }
        ),
        prop::collection::vec(any::<u8>(), 0..30),
        Just(vec![b' '; 2100]),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_stream_reads_the_same_however_it_is_cut(
        stream in junk(),
        at in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let limits = Limits { value_bytes: 100 };
        let whole = read(limits, [stream.as_slice()]);
        prop_assert_eq!(read(limits, cut(&stream, &at)), whole);
    }
}
