use super::*;

#[test]
fn commands_are_read() {
    check(b"get a\r\n", &["get a None"]);
    check(b"get  a b \r\n", &["get a,b None"]);
    check(b"gets a\n", &["get a None"]);
    check(b"bget a\r\n", &["get a None"]);
    check(b"gat 10 a b\r\n", &["get a,b Some(In(10))"]);
    check(b"gats -1 a\r\n", &["get a Some(Past)"]);
    check(b"gat 10\r\n", &["get  Some(In(10))"]);
    check(b"set a 1 0 2\r\nxy\r\n", &["Set a 1 Never None xy"]);
    check(b"set a 1 0 2 noreply\r\n\r\n\r\n", &["Set a 1 Never None \\r\\n quiet"]);
    check(b"add a 0 2592000 0\r\n\r\n", &["Add a 0 In(2592000) None "]);
    check(b"replace a 0 2592001 0 \r\n\r\n", &["Replace a 0 At(2592001) None "]);
    check(b"append a 0 0 1\r\nx\r\n", &["Append a 0 Never None x"]);
    check(b"prepend a 0 0 1\r\nx\r\n", &["Prepend a 0 Never None x"]);
    check(b"cas a 0 0 1 7\r\nx\r\n", &["Set a 0 Never Some(7) x"]);
    check(b"cas a 0 0 1 7 noreply\r\nx\r\n", &["Set a 0 Never Some(7) x quiet"]);
    check(b"delete a\r\n", &["delete a None false None"]);
    check(b"delete a 0 noreply\r\n", &["delete a None false None quiet"]);
    check(b"incr a 5\r\n", &["a +5 None None None"]);
    check(
        b"decr a 18446744073709551615 noreply\r\n",
        &["a -18446744073709551615 None None None quiet"],
    );
    check(b"touch a 10 noreply\r\n", &["touch a In(10) quiet"]);
    check(b"flush_all\r\n", &["flush Never"]);
    check(b"flush_all noreply\r\n", &["flush Never quiet"]);
    check(b"flush_all 5 noreply\r\n", &["flush In(5) quiet"]);
    check(b"stats\r\n", &["stats "]);
    check(b"stats  detail on \r\n", &["stats detail on"]);
    check(b"verbosity 1\r\n", &["verbosity"]);
    check(b"version\r\nquit\r\n", &["version", "quit"]);
    check(b"mn\r\nmn x\r\n", &["noop", "noop"]);
}

#[test]
fn what_is_no_command_is_refused_in_memcacheds_words() {
    let bad_format = "refused CLIENT_ERROR bad command line format\\r\\n";
    let error = "refused ERROR\\r\\n";
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    for line in [
        "",
        "x",
        "get",
        "gets ",
        "gat",
        "GET a",
        "nonsense a",
        "set a 0 0",
        "set a 0 0 1 x x",
        "cas a 0 0 1",
        "incr a",
        "incr a 1 x x",
        "delete",
        "delete a b c d",
        "touch a",
        "mx k",
        "flush_all 1 2 3",
        "verbosity",
        "slabs reassign 1 2",
        "shutdown",
        "m",
        "mg",
        "ms",
        "a\0set",
    ] {
        check(format!("{line}\r\n").as_bytes(), &[error]);
    }
    for line in [
        format!("get {long}"),
        format!("get a {long}"),
        format!("gat 1 {long}"),
        format!("set {long} 0 0 1"),
        format!("delete {long}"),
        format!("touch {long} 1"),
        format!("incr {long} 1"),
        "set a x 0 1".to_owned(),
        "set a 0 x 1".to_owned(),
        "set a 0 0 x".to_owned(),
        "set a 0 0 -1".to_owned(),
        "set a 0 0 2147483646".to_owned(),
        "cas a 0 0 1 x".to_owned(),
        "verbosity x".to_owned(),
    ] {
        check(format!("{line}\r\n").as_bytes(), &[bad_format]);
    }
    check(b"gat x a\r\n", &["refused CLIENT_ERROR invalid exptime argument\\r\\n"]);
    check(b"touch a x\r\n", &["refused CLIENT_ERROR invalid exptime argument\\r\\n"]);
    check(b"flush_all x\r\n", &["refused CLIENT_ERROR invalid exptime argument\\r\\n"]);
    check(b"incr a x\r\n", &["refused CLIENT_ERROR invalid numeric delta argument\\r\\n"]);
    check(
        b"delete a 1\r\n",
        &["refused CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\\r\\n"],
    );
    check(
        b"set a 0 0 2\r\nxyz\r\n",
        &["refused CLIENT_ERROR bad data chunk\\r\\n", "refused ERROR\\r\\n"],
    );
}

#[test]
fn who_wants_no_reply_hears_of_no_error_either() {
    for line in ["set a x 0 1 noreply", "delete a 1 noreply", "incr a x noreply"] {
        check(format!("{line}\r\n").as_bytes(), &["refused "]);
    }
    check(b"set a 0 0 1 noreply\r\nxyz", &["refused "]);
}

#[test]
fn a_zero_ends_a_line_as_in_memcached() {
    check(b"get a\0b\r\n", &["get a None"]);
}

#[test]
fn the_longest_key_and_value_are_taken() {
    let key = "k".repeat(MAX_KEY_BYTES);
    check(format!("get {key}\r\n").as_bytes(), &[&format!("get {key} None")]);
    let limits = Limits { value_bytes: 3 };
    check_within(limits, b"set a 0 0 3\r\nxyz\r\n", &["Set a 0 Never None xyz"]);
}

#[test]
fn a_value_that_is_too_long_is_passed_over() {
    let limits = Limits { value_bytes: 3 };
    check_within(limits, b"set a 0 0 4\r\nwxyz\r\nget a\r\n", &["too large a true", "get a None"]);
    check_within(
        limits,
        b"add a 0 0 4 noreply\r\nwxyz\r\nget a\r\n",
        &["too large a false quiet", "get a None"],
    );
    check_within(limits, b"cas a 0 0 4 1\r\nwxyz\r\n", &["too large a false"]);
}

#[test]
fn a_promise_costs_nothing() {
    let mut parser = Parser::new(Limits { value_bytes: usize::MAX });
    let mut input = b"set a 0 0 2147483645\r\nx".as_slice();
    assert!(parser.next(&mut input).unwrap().is_none());
    assert_eq!(parser.missing(), 2_147_483_645 + 2 - 1);
}

#[test]
fn a_line_that_does_not_end_closes() {
    closes(&[b'x'; MAX_LINE_BYTES + 1], Closed::EndlessLine);
    let mut line = b"get ".to_vec();
    line.resize(MAX_MULTIGET_BYTES + 1, b'k');
    closes(&line, Closed::EndlessLine);
}

#[test]
fn many_keys_are_one_request() {
    let keys: Vec<String> = (0..2_000).map(|key| format!("key-{key}")).collect();
    let line = format!(" get {}\r\n", keys.join(" "));
    assert!(line.len() > MAX_LINE_BYTES);
    check(line.as_bytes(), &[&format!("get {} None", keys.join(","))]);
}

#[test]
fn a_browser_is_sent_away() {
    closes(b"POST / HTTP/1.1\r\nHost: x\r\n", Closed::Http);
    closes(b"GET / HTTP/1.1\r\n", Closed::Http);
}

#[test]
fn keys_are_not_printed() {
    let mut parser = Parser::new(Limits::default());
    for input in [b"get secret\r\n".as_slice(), b"set secret 0 0 6\r\nsecret\r\n"] {
        let mut rest = input;
        let parsed = parser.next(&mut rest).unwrap().unwrap();
        assert!(!format!("{parsed:?}").contains("secret"));
    }
}

proptest! {
    #[test]
    fn requests_read_as_a_client_writes_them(
        key in "[!-~]{1,250}",
        (flags, seconds, cas) in any::<(u32, i32, Option<u64>)>(),
        value in prop::collection::vec(any::<u8>(), 0..100),
        quiet: bool,
    ) {
        let name = if cas.is_some() { "cas" } else { "set" };
        let mut input = format!("{name} {key} {flags} {seconds} {}", value.len());
        if let Some(cas) = cas {
            input += &format!(" {cas}");
        }
        if quiet {
            input += " noreply";
        }
        let input = [input.as_bytes(), b"\r\n", &value, b"\r\n"].concat();
        let mut parser = Parser::new(Limits::default());
        let parsed = parser.next(&mut input.as_slice()).expect("open").expect("complete");
        let Parsed::Request(request) = parsed else { panic!("{parsed:?}") };
        let expected = Command::Store(Store {
            mode: Mode::Set,
            key: Text(key.as_bytes()),
            flags,
            expiry: Expiry::from_signed(seconds),
            cas,
            invalidate: false,
            value: Text(&value),
        });
        prop_assert_eq!(request.command, expected);
    }
}
