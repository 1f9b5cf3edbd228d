//! What Redis takes for a request, and in which words it refuses what is none.
//!
//! The only command that is served here is `ECHO`: whatever a request's
//! arguments are, its reply shows them. One thing is left out: Redis finds a
//! line too long when 64 KiB have come and its end has not, so that it is a
//! matter of the pieces in which it comes; here it is not.

use proto::gateway::resp::{Limits, Parser, Request, Version, Writer};
use proto::rng::Rng;

use crate::peer::Peer;
use crate::{pick, shown};

/// So many streams take a second.
const STREAMS: u64 = 2_000;

/// As Redis has them.
const LIMITS: Limits =
    Limits { arguments: i32::MAX.cast_unsigned(), bulk_bytes: 512 << 20, total_bytes: 1 << 30 };

#[test]
fn streams_are_read_as_redis_reads_them() {
    compare(&Peer::redis(&[]), true);
}

#[test]
fn streams_of_who_has_not_logged_in_are_read_as_redis_reads_them() {
    compare(&Peer::redis(&["--requirepass", "secret"]), false);
}

fn compare(peer: &Peer, authenticated: bool) {
    for seed in 0..STREAMS {
        let stream = stream(&mut Rng::from_u64(seed));
        let (theirs, ours) = (peer.answers(&stream), answers(&stream, authenticated));
        assert_eq!(shown(&ours), shown(&theirs), "seed {seed}: {}", shown(&stream));
    }
}

fn answers(stream: &[u8], authenticated: bool) -> Vec<u8> {
    let mut parser = Parser::new(LIMITS, authenticated);
    let (mut out, mut rest) = (Vec::new(), stream);
    loop {
        match parser.next(&mut rest) {
            Ok(Some(request)) => {
                let mut writer = Writer::new(&mut out, Version::Resp2);
                answer(&request, authenticated, &mut writer);
            }
            Ok(None) => return out,
            Err(error) => {
                Writer::new(&mut out, Version::Resp2).protocol_error(error);
                return out;
            }
        }
    }
}

fn answer(request: &Request<'_>, authenticated: bool, writer: &mut Writer<'_>) {
    if !request.name().eq_ignore_ascii_case(b"echo") {
        return writer.error_bytes(&unknown(request));
    }
    match request.get(1) {
        Some(_) if request.count() == 2 && !authenticated => {
            writer.error("NOAUTH Authentication required.");
        }
        Some(text) if request.count() == 2 => writer.bulk(text),
        _ => writer.error("ERR wrong number of arguments for 'echo' command"),
    }
}

/// Redis names an unknown command with the beginning of its arguments. What
/// is behind a zero is none of it.
fn unknown(request: &Request<'_>) -> Vec<u8> {
    const SHOWN_BYTES: usize = 128;
    let begin = |text: &[u8], len: usize| -> Vec<u8> {
        text.iter().copied().take(len).take_while(|byte| *byte != 0).collect()
    };
    let mut arguments = Vec::new();
    for argument in request.arguments().skip(1) {
        if arguments.len() >= SHOWN_BYTES {
            break;
        }
        let shown = begin(argument, SHOWN_BYTES - arguments.len());
        arguments.extend([b"'".as_slice(), &shown, b"' "].concat());
    }
    let name = begin(request.name(), SHOWN_BYTES);
    let words: [&[u8]; 4] =
        [b"ERR unknown command '", &name, b"', with args beginning with: ", &arguments];
    words.concat()
}

/// Some requests, of which some are none.
fn stream(rng: &mut Rng) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..=rng.below(6) {
        match rng.below(12) {
            0..=3 => array(rng, &mut stream),
            4..=7 => typed(rng, &mut stream),
            8 => stream.extend_from_slice(pick(rng, COUNTS)),
            9 => stream.extend_from_slice(pick(rng, LENGTHS)),
            10 => stream.extend_from_slice(b"echo a\0b\r\n"),
            _ => {
                let printable = (0..rng.below(20)).map(|_| b' ' | rng.next_u64().to_le_bytes()[0]);
                stream.extend(printable);
                stream.extend_from_slice(b"\r\n");
            }
        }
    }
    stream
}

fn array(rng: &mut Rng, stream: &mut Vec<u8>) {
    let mut text = [0; 40];
    rng.fill(&mut text);
    let text = &text[..usize::try_from(rng.below(40)).expect("small")];
    stream.extend_from_slice(format!("*2\r\n$4\r\nECHO\r\n${}\r\n", text.len()).as_bytes());
    stream.extend_from_slice(text);
    stream.extend_from_slice(b"\r\n");
}

fn typed(rng: &mut Rng, stream: &mut Vec<u8>) {
    const PARTS: &[&str] =
        &["\"", "'", "\\", "a", "x41", "\\x4f", "\\n", " ", "\t", "\x0b", "b\"", "\\\"", "\\'"];
    stream.extend_from_slice(b"echo");
    for _ in 0..rng.below(4) {
        stream.push(b' ');
        for _ in 0..rng.below(8) {
            stream.extend_from_slice(pick(rng, PARTS).as_bytes());
        }
    }
    stream.extend_from_slice(pick(rng, &["\r\n", "\n", "\r\r\n"]).as_bytes());
}

const COUNTS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*-5\r\n",
    b"*\r\n",
    b"*x\r\n",
    b"*01\r\n",
    b"*+1\r\n",
    b"* 1\r\n",
    b"*1 \r\n",
    b"*2147483648\r\n",
    b"*2147483647\r\n",
    b"*-9223372036854775809\r\n",
    b"*1\rx",
    b"*-0\r\n",
    b"*11\r\n",
    b"*12345678\r\n",
    b"*1\r\n*1\r\n",
];

const LENGTHS: &[&[u8]] = &[
    b"*1\r\n$-1\r\n",
    b"*1\r\n$x\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$536870912\r\n",
    b"*1\r\n\r\n",
    b"*1\r\n\n\r\n",
    b"*1\r\n$04\r\nECHO\r\n",
    b"*1\r\nECHO\r\n",
    b"*2\r\n$4\rxECHOab$1\rxaxx",
    b"*1\r\n:1\r\n",
    b"*1\r\n$0\r\n\r\n",
    b"*1\r\n$16385\r\n",
    b"*1\r\n$16384\r\n",
    b"*1\r\n$+4\r\n",
    b"*1\r\n$4 \r\n",
];
