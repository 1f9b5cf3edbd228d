use proptest::prelude::*;

use super::*;
use crate::gateway::testing::cut;

type Words = Vec<Vec<u8>>;

fn words(words: &[&str]) -> Words {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// What a client sends for a command.
fn encode(arguments: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        out.extend(format!("${}\r\n", argument.len()).bytes());
        out.extend(argument);
        out.extend(b"\r\n");
    }
    out
}

/// The requests that come in such pieces, what is left, and how it ends.
fn read<'a>(
    parser: &mut Parser,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Words>, Result<Vec<u8>, ProtocolError>) {
    let (mut requests, mut buffer) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut rest = buffer.as_slice();
        loop {
            match parser.next(&mut rest) {
                Ok(Some(request)) => {
                    assert_eq!(request.get(0), Some(request.name()));
                    assert_eq!(request.arguments().len(), request.count());
                    requests.push(request.arguments().map(<[u8]>::to_vec).collect());
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(parser.next(&mut rest).err(), Some(error), "it stays so");
                    return (requests, Err(error));
                }
            }
        }
        assert!(parser.missing() > 0);
        buffer = rest.to_vec();
    }
    (requests, Ok(buffer))
}

fn parser() -> Parser {
    Parser::new(Limits::default(), true)
}

fn check(input: &[u8], expected: &[&[&str]]) {
    let expected: Vec<Words> = expected.iter().map(|request| words(request)).collect();
    let whole = read(&mut parser(), [input]);
    assert_eq!(whole, (expected, Ok(Vec::new())), "{}", input.escape_ascii());
    assert_eq!(read(&mut parser(), input.chunks(1)), whole, "{}", input.escape_ascii());
}

fn refused(input: &[u8], reply: &str) {
    refused_by(parser, input, reply);
}

fn refused_by(parser: impl Fn() -> Parser, input: &[u8], reply: &str) {
    let (requests, end) = read(&mut parser(), [input]);
    let error = end.expect_err(&input.escape_ascii().to_string());
    let mut out = Vec::new();
    Writer::new(&mut out, Version::Resp2).protocol_error(error);
    assert_eq!(String::from_utf8_lossy(&out), format!("-ERR Protocol error: {reply}\r\n"));
    assert_eq!(read(&mut parser(), input.chunks(1)), (requests, Err(error)));
}

#[test]
fn keys_are_seen_ahead() {
    let check = |stream: &[u8], expected: &[&str]| {
        let ahead = first_arguments(stream).map(|key| String::from_utf8_lossy(key).into_owned());
        assert_eq!(ahead.collect::<Vec<_>>(), expected, "{}", stream.escape_ascii());
    };
    let get = encode(&words(&["GET", "one"]));
    let set = encode(&words(&["SET", "other", "value", "EX", "10"]));
    check(&[get.clone(), set.clone()].concat(), &["one", "other"]);
    check(&[get.clone(), set[..set.len() - 1].to_vec()].concat(), &["one"]);
    check(&[get.clone(), b"PING\r\n".to_vec(), get].concat(), &["one"]);
    check(&encode(&words(&["PING"])), &[]);
    check(b"*2\r\n$9999999\r\n", &[]);
    check(b"", &[]);
}

#[test]
fn requests_are_read() {
    check(b"", &[]);
    check(b"*1\r\n$4\r\nPING\r\n", &[&["PING"]]);
    check(b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", &[&["GET", ""]]);
    check(b"PING\r\n", &[&["PING"]]);
    check(b"PING\n", &[&["PING"]]);
    check(
        b"set k \"a \\x41\"\r\n*1\r\n$4\r\nPING\r\nQUIT\n",
        &[&["set", "k", "a A"], &["PING"], &["QUIT"]],
    );
}

#[test]
fn empty_requests_are_none() {
    check(b"\r\n\n  \r\n*0\r\n*-1\r\n*-7\r\nPING\r\n", &[&["PING"]]);
    check(b"*0\r\n\r\n", &[]);
}

#[test]
fn what_ends_a_line_is_not_looked_at_as_in_redis() {
    check(b"*1\rx$4\rxPINGxx", &[&["PING"]]);
}

#[test]
fn what_can_be_no_request_is_refused_in_redis_words() {
    for count in ["", "x", "01", "+1", "1 ", "1048577", "-", "9223372036854775808"] {
        refused(format!("*{count}\r\n").as_bytes(), "invalid multibulk length");
    }
    for length in ["", "x", "-1", "4194305", "4294967296", "00"] {
        refused(format!("*1\r\n${length}\r\n").as_bytes(), "invalid bulk length");
    }
    refused(b"*1\r\nPING\r\n", "expected '$', got 'P'");
    refused(b"*1\r\n\r\n", "expected '$', got ' '");
    refused(b"*1\r\n\n\r\n", "expected '$', got ' '");
    refused(b"PING\r\n*2\r\n$4\r\nECHO\r\n*1\r\n", "expected '$', got '*'");
    refused(b"echo \"a\r\n", "unbalanced quotes in request");
    let long = vec![b'1'; MAX_LINE_BYTES];
    refused(&[b"*", long.as_slice()].concat(), "too big mbulk count string");
    refused(&[b"*1\r\n$", long.as_slice()].concat(), "too big bulk count string");
    refused(&[b"x", long.as_slice()].concat(), "too big inline request");
    // A zero hides the end of the line that it is in.
    refused(&[b"x\0\n", long.as_slice()].concat(), "too big inline request");
}

#[test]
fn the_longest_line_is_read() {
    let name = "x".repeat(MAX_LINE_BYTES - 1);
    check(format!("{name}\r\n").as_bytes(), &[&[&name]]);
    refused(format!("xx{name}\r\n").as_bytes(), "too big inline request");
}

#[test]
fn an_error_names_the_byte_that_it_found() {
    let mut out = Vec::new();
    Writer::new(&mut out, Version::Resp3).protocol_error(ProtocolError::ExpectedBulk(0xff));
    assert_eq!(out, b"-ERR Protocol error: expected '$', got '\xff'\r\n");
}

#[test]
fn who_has_not_logged_in_may_send_little() {
    let stranger = || Parser::new(Limits::default(), false);
    refused_by(stranger, b"*11\r\n", "unauthenticated multibulk length");
    refused_by(stranger, b"*1\r\n$16385\r\n", "unauthenticated bulk length");
    let most = encode(&vec![vec![b'x'; 16384]; 10]);
    let (requests, end) = read(&mut stranger(), [most.as_slice()]);
    assert_eq!((requests.len(), end), (1, Ok(Vec::new())));
    let mut parser = stranger();
    parser.set_authenticated(true);
    assert_eq!(read(&mut parser, [b"*11\r\n".as_slice()]).1, Ok(b"*11\r\n".to_vec()));
}

#[test]
fn a_request_is_bounded_as_a_whole() {
    let limits = Limits { arguments: 100, bulk_bytes: 10, total_bytes: 40 };
    let small = || Parser::new(limits, true);
    // "*4\r\n" and three of "$2\r\nxx\r\n" leave 12 bytes.
    let fits = encode(&[vec![b'x'; 2], vec![b'x'; 2], vec![b'x'; 2], vec![b'x'; 6]]);
    assert_eq!(fits.len(), 40);
    assert_eq!(read(&mut small(), [fits.as_slice()]).0.len(), 1);
    let more = encode(&[vec![b'x'; 2], vec![b'x'; 2], vec![b'x'; 2], vec![b'x'; 7]]);
    refused_by(small, &more, "too big request");
    refused_by(small, b"*101\r\n", "invalid multibulk length");
    refused_by(small, b"*1\r\n$11\r\n", "invalid bulk length");
}

#[test]
fn what_is_missing_is_known() {
    fn missing(input: &[u8]) -> usize {
        let mut parser = parser();
        assert!(read(&mut parser, [input]).1.is_ok());
        parser.missing()
    }
    assert_eq!(missing(b""), 1);
    assert_eq!(missing(b"*1"), 1);
    assert_eq!(missing(b"*1\r\n$1000\r"), 1);
    assert_eq!(missing(b"*1\r\n$1000\r\n"), 1002);
    assert_eq!(missing(b"*1\r\n$1000\r\nxxx"), 999);
    assert_eq!(missing(b"PING"), 1);
    // A promise costs nothing.
    let mut promised = parser();
    read(&mut promised, [b"*1048576\r\n$4194304\r\n".as_slice()]).1.unwrap();
    assert!(promised.missing() > 4_000_000);
}

#[test]
fn requests_and_errors_keep_secrets() {
    let (mut parser, mut input) = (parser(), b"auth hunter2\r\n".as_slice());
    let request = parser.next(&mut input).unwrap().unwrap();
    assert_eq!(format!("{request:?}"), "Request(2 arguments, 11 bytes)");
    assert_eq!(format!("{:?}", request.arguments()), "Arguments(2 left)");
}

#[test]
fn replies_are_written_in_both_versions() {
    type Write = fn(&mut Writer<'_>);
    let replies: &[(Write, &str, &str)] = &[
        (|w| w.ok(), "+OK\r\n", "+OK\r\n"),
        (|w| w.simple("PONG"), "+PONG\r\n", "+PONG\r\n"),
        (|w| w.error("ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n"),
        (|w| w.integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
        (|w| w.bulk(b"a\r\n"), "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n"),
        (|w| w.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n"),
        (|w| w.bulk_integer(-12), "$3\r\n-12\r\n", "$3\r\n-12\r\n"),
        (
            |w| w.bulk_integer(i64::MIN),
            "$20\r\n-9223372036854775808\r\n",
            "$20\r\n-9223372036854775808\r\n",
        ),
        (|w| w.null(), "$-1\r\n", "_\r\n"),
        (|w| w.null_array(), "*-1\r\n", "_\r\n"),
        (|w| w.boolean(true), ":1\r\n", "#t\r\n"),
        (|w| w.boolean(false), ":0\r\n", "#f\r\n"),
        (|w| w.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"),
        (|w| w.double(f64::INFINITY), "$3\r\ninf\r\n", ",inf\r\n"),
        (
            |w| w.double(-1.234_567_890_123_456_7e-300),
            "$24\r\n-1.2345678901234568e-300\r\n",
            ",-1.2345678901234568e-300\r\n",
        ),
        (|w| w.big_number("123"), "$3\r\n123\r\n", "(123\r\n"),
        (|w| w.verbatim(*b"txt", b"hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"),
        (|w| w.array(12), "*12\r\n", "*12\r\n"),
        (|w| w.map(3), "*6\r\n", "%3\r\n"),
        (|w| w.set(3), "*3\r\n", "~3\r\n"),
        (|w| w.push(3), "*3\r\n", ">3\r\n"),
    ];
    for (write, resp2, resp3) in replies {
        for (version, expected) in [(Version::Resp2, resp2), (Version::Resp3, resp3)] {
            let mut out = b"before".to_vec();
            write(&mut Writer::new(&mut out, version));
            assert_eq!(String::from_utf8_lossy(&out[6..]), **expected);
        }
    }
}

/// Bytes that look like requests here and there.
fn junk() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"*1\r\n".to_vec()),
        Just(b"*2\r\n$3\r\nGET\r\n".to_vec()),
        Just(b"$3\r\nabc\r\n".to_vec()),
        Just(b"$1048576\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"set \"k\\x00\" 'v'\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
        "[*$\r\n\"'0-9a ]{0,8}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_stream_reads_the_same_however_it_is_cut(
        requests in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6), 0..6),
        at in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let stream: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
        prop_assert_eq!(read(&mut parser(), cut(&stream, &at)), (requests, Ok(Vec::new())));
    }

    #[test]
    fn junk_reads_the_same_however_it_is_cut(
        stream in junk(),
        authenticated: bool,
        at in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let limits = Limits { arguments: 50, bulk_bytes: 2_000_000, total_bytes: 3_000_000 };
        let parser = || Parser::new(limits, authenticated);
        let whole = read(&mut parser(), [stream.as_slice()]);
        prop_assert_eq!(read(&mut parser(), cut(&stream, &at)), whole);
    }

    #[test]
    fn what_is_seen_ahead_is_what_comes(stream in junk()) {
        let (requests, _) = read(&mut parser(), [stream.as_slice()]);
        let ahead: Vec<&[u8]> = first_arguments(&stream).collect();
        let come = requests.iter().map(|request| request.get(1).map_or(&[][..], Vec::as_slice));
        prop_assert!(ahead.len() <= requests.len());
        prop_assert!(ahead.iter().copied().eq(come.take(ahead.len())));
    }
}
