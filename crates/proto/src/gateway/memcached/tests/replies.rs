use super::*;

type Write = fn(&mut Writer<'_, '_>);

const FOUND: Found<'static> = Found {
    value: Text(b"12"),
    flags: 5,
    cas: 7,
    left_s: Some(30),
    idle_s: 4,
    fetched: true,
    stale: false,
    sent: false,
    won: false,
};

/// What a request is answered with.
fn answered(request: &[u8], write: Write) -> Vec<u8> {
    let mut parser = Parser::new(Limits::default());
    let parsed = parser.next(&mut &*request).expect("open").expect("complete");
    let Parsed::Request(request) = parsed else { panic!("{parsed:?}") };
    let mut out = b"before".to_vec();
    write(&mut Writer::new(&mut out, request.answer));
    out.split_off(6)
}

fn text(request: &str, write: Write, expected: &str) {
    let reply = answered(format!("{request}\r\n").as_bytes(), write);
    assert_eq!(String::from_utf8_lossy(&reply), expected, "{request}");
}

/// A request of the binary protocol with a key and as many extras.
fn binary(opcode: u8, extras: u8, write: Write) -> Option<(u16, u64, Vec<u8>)> {
    let key = if matches!(opcode, 0x07 | 0x0a | 0x0b | 0x10 | 0x17) { 0 } else { 1 };
    let mut request = vec![BINARY_REQUEST, opcode, 0, key, extras, 0, 0, 0];
    request.extend([0, 0, 0, key + extras, b'o', b'p', b'a', b'q', 0, 0, 0, 0, 0, 0, 0, 0]);
    request.resize(24 + usize::from(extras), 0);
    request.extend(std::iter::repeat_n(b'k', key.into()));
    let reply = answered(&request, write);
    if reply.is_empty() {
        return None;
    }
    assert_eq!((reply[0], reply[1], reply[5], &reply[12..16]), (0x81, opcode, 0, &b"opaq"[..]));
    let body = u32::from_be_bytes(reply[8..12].try_into().unwrap());
    assert_eq!(reply.len(), 24 + body as usize);
    // Extras and key stand before the value, so their lengths are told by it.
    let parts = [reply[4], reply[3]];
    let body = [&parts, &reply[24..]].concat();
    let status = u16::from_be_bytes([reply[6], reply[7]]);
    Some((status, u64::from_be_bytes(reply[16..24].try_into().unwrap()), body))
}

#[test]
fn the_text_protocol_is_answered() {
    text("get k", |w| w.hit(b"k", &FOUND), "VALUE k 5 2\r\n12\r\n");
    text("gets k", |w| w.hit(b"k", &FOUND), "VALUE k 5 2 7\r\n12\r\n");
    text("gats 1 k", |w| w.hit(b"k", &FOUND), "VALUE k 5 2 7\r\n12\r\n");
    text("get k", |w| w.miss(b"k"), "");
    text("get k", |w| w.end(), "END\r\n");
    text("set k 0 0 0\r\n", |w| w.stored(1), "STORED\r\n");
    text("set k 0 0 0\r\n", |w| w.not_stored(), "NOT_STORED\r\n");
    text("set k 0 0 0\r\n", |w| w.exists(), "EXISTS\r\n");
    text("set k 0 0 0\r\n", |w| w.not_found(), "NOT_FOUND\r\n");
    text("set k 0 0 0\r\n", |w| w.too_large(), "SERVER_ERROR object too large for cache\r\n");
    text("set k 0 0 0\r\n", |w| w.server_error("no"), "SERVER_ERROR no\r\n");
    text("delete k", |w| w.deleted(), "DELETED\r\n");
    text("touch k 1", |w| w.touched(&FOUND), "TOUCHED\r\n");
    text("incr k 1", |w| w.number(u64::MAX, &FOUND), "18446744073709551615\r\n");
    text(
        "incr k 1",
        |w| w.not_numeric(),
        "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
    );
    text("flush_all", |w| w.ok(), "OK\r\n");
    text("version", |w| w.version("1.2"), "VERSION 1.2\r\n");
    text("stats", |w| w.stat(b"pid", b"1"), "STAT pid 1\r\n");
    text("stats", |w| w.end_of_stats(), "END\r\n");
    text("stats x", |w| w.no_such_stats(), "ERROR\r\n");
    text("stats reset", |w| w.stats_reset(), "RESET\r\n");
    text("quit", |w| w.quit(), "");
    text("mn", |w| w.noop(), "MN\r\n");
}

#[test]
fn who_wants_no_reply_gets_none() {
    let all: &[Write] = &[
        |w| w.stored(1),
        |w| w.not_stored(),
        |w| w.not_found(),
        |w| w.number(1, &FOUND),
        |w| w.not_numeric(),
        |w| w.too_large(),
        |w| w.server_error("no"),
        |w| w.deleted(),
        |w| w.touched(&FOUND),
        |w| w.ok(),
    ];
    for write in all {
        text("touch k 1 noreply", *write, "");
    }
}

#[test]
fn meta_commands_are_answered() {
    text("mg k", |w| w.hit(b"k", &FOUND), "HD\r\n");
    text(
        "mg k s v t c f l h O12 k T5 u",
        |w| w.hit(b"k", &FOUND),
        "VA 2 s2 t30 c7 f5 l4 h1 O12 kk\r\n12\r\n",
    );
    text("mg k t", |w| w.hit(b"k", &Found { left_s: None, ..FOUND }), "HD t-1\r\n");
    text("mg k", |w| w.hit(b"k", &Found { stale: true, won: true, ..FOUND }), "HD X W\r\n");
    text("mg k k", |w| w.hit(b"k", &Found { sent: true, ..FOUND }), "HD kk Z\r\n");
    text("mg k O1 k v s", |w| w.miss(b"k"), "EN O1 kk\r\n");
    text("mg k q O1", |w| w.miss(b"k"), "");
    text("mg k q", |w| w.hit(b"k", &FOUND), "HD\r\n");
    text("mg k", |w| w.end(), "");
    text("ms k 0 c k O1 t\r\n", |w| w.stored(9), "HD c9 kk O1\r\n");
    text("ms k 0 q\r\n", |w| w.stored(9), "");
    text("ms k 0 q c\r\n", |w| w.not_stored(), "NS c0\r\n");
    text("ms k 0 q\r\n", |w| w.exists(), "EX\r\n");
    text("ms k 0 q O1\r\n", |w| w.not_found(), "NF O1\r\n");
    text("ms k 0 q\r\n", |w| w.too_large(), "SERVER_ERROR object too large for cache\r\n");
    text("ms Zg== 0 b k\r\n", |w| w.stored(9), "HD kZg== b\r\n");
    text("md k O1", |w| w.deleted(), "HD O1\r\n");
    text("md k q", |w| w.deleted(), "");
    text("md k q c O1", |w| w.not_found(), "NF O1\r\n");
    text("ma k c k", |w| w.exists(), "EX kk\r\n");
    text("ms k 0 c\r\n", |w| w.exists(), "EX c0\r\n");
    text("ma k", |w| w.number(12, &FOUND), "HD\r\n");
    text("ma k v t c O1 k N0", |w| w.number(12, &FOUND), "VA 2 t30 c7 O1 kk\r\n12\r\n");
    text("ma k q v", |w| w.number(12, &FOUND), "");
    let write: Write = |w| {
        w.inspected(&Inspected { left_s: Some(3), idle_s: 1, cas: 7, fetched: true, bytes: 99 });
    };
    text("me k", write, "ME k exp=-3 la=1 cas=7 fetch=yes cls=1 size=99\r\n");
    text(
        "me Zg== b",
        |w| w.inspected(&Inspected::default()),
        "ME Zg== exp=-1 la=0 cas=0 fetch=no cls=1 size=0\r\n",
    );
    text("me k", |w| w.miss(b"k"), "EN\r\n");
}

#[test]
fn the_binary_protocol_is_answered() {
    let flags = [0, 0, 0, 5];
    let body = |extras: u8, key: u8, rest: &[u8]| [&[extras, key], rest].concat();
    let value = |rest: &[u8]| [&flags, rest].concat();
    let hit: Write = |w| w.hit(b"k", &FOUND);
    for opcode in [0x00, 0x09] {
        assert_eq!(binary(opcode, 0, hit), Some((0, 7, body(4, 0, &value(b"12")))));
    }
    for opcode in [0x0c, 0x0d] {
        assert_eq!(binary(opcode, 0, hit), Some((0, 7, body(4, 1, &value(b"k12")))));
    }
    assert_eq!(binary(0x23, 4, hit), Some((0, 7, body(4, 1, &value(b"k12")))));
    assert_eq!(binary(0x1c, 4, |w| w.touched(&FOUND)), Some((0, 7, body(4, 0, &flags))));
    let miss: Write = |w| w.miss(b"k");
    assert_eq!(binary(0x00, 0, miss), Some((1, 0, body(0, 0, b"Not found"))));
    assert_eq!(binary(0x0c, 0, miss), Some((1, 0, body(0, 1, b"k"))));
    for quiet in [0x09, 0x0d] {
        assert_eq!(binary(quiet, 0, miss), None);
    }
    assert_eq!(binary(0x00, 0, |w| w.end()), None);
    let stored: Write = |w| w.stored(9);
    assert_eq!(binary(0x01, 8, stored), Some((0, 9, body(0, 0, b""))));
    assert_eq!(binary(0x11, 8, stored), None);
    let not_stored: Write = |w| w.not_stored();
    let exists = Some((2, 0, body(0, 0, b"Data exists for key.")));
    assert_eq!(binary(0x02, 8, not_stored), exists);
    assert_eq!(binary(0x12, 8, not_stored), exists);
    assert_eq!(binary(0x03, 8, not_stored), Some((1, 0, body(0, 0, b"Not found"))));
    assert_eq!(binary(0x0e, 0, not_stored), Some((5, 0, body(0, 0, b"Not stored."))));
    assert_eq!(binary(0x11, 8, |w| w.exists()), exists);
    assert_eq!(binary(0x14, 0, |w| w.not_found()), Some((1, 0, body(0, 0, b"Not found"))));
    assert_eq!(binary(0x14, 0, |w| w.deleted()), None);
    let number: Write = |w| w.number(258, &FOUND);
    assert_eq!(binary(0x05, 20, number), Some((0, 7, body(0, 0, &258u64.to_be_bytes()))));
    assert_eq!(binary(0x15, 20, number), None);
    let not_numeric = b"Non-numeric server-side value for incr or decr";
    assert_eq!(binary(0x15, 20, |w| w.not_numeric()), Some((6, 0, body(0, 0, not_numeric))));
    assert_eq!(binary(0x11, 8, |w| w.too_large()), Some((3, 0, body(0, 0, b"Too large."))));
    assert_eq!(binary(0x11, 8, |w| w.server_error("no")), Some((0x82, 0, body(0, 0, b"no"))));
    assert_eq!(binary(0x0b, 0, |w| w.version("1.2")), Some((0, 0, body(0, 0, b"1.2"))));
    assert_eq!(binary(0x0a, 0, |w| w.noop()), Some((0, 0, body(0, 0, b""))));
    assert_eq!(binary(0x07, 0, |w| w.quit()), Some((0, 0, body(0, 0, b""))));
    assert_eq!(binary(0x17, 0, |w| w.quit()), None);
    assert_eq!(binary(0x10, 0, |w| w.stat(b"pid", b"12")), Some((0, 0, body(0, 3, b"pid12"))));
    assert_eq!(binary(0x10, 0, |w| w.end_of_stats()), Some((0, 0, body(0, 0, b""))));
    assert_eq!(binary(0x10, 0, |w| w.no_such_stats()), Some((1, 0, body(0, 0, b"Not found"))));
}
