use super::*;

#[test]
fn commands_are_read() {
    check(b"mg a\r\n", &["fetch a None None None true"]);
    check(
        b"mg a T30 N60 R-1 u v t f k q\r\n",
        &["fetch a Some(In(30)) Some(In(60)) Some(Past) false quiet"],
    );
    check(b"mg Zm9v b\r\n", &["fetch foo None None None true"]);
    check(b"ms a 2\r\nxy\r\n", &["Set a 0 Never None xy"]);
    check(b"ms a 2 T90 F5 C7 I q\r\nxy\r\n", &["Set a 5 In(90) Some(7) invalidate xy quiet"]);
    for (mode, name) in
        [('S', "Set"), ('E', "Add"), ('A', "Append"), ('P', "Prepend"), ('R', "Replace")]
    {
        let expected = format!("{name} a 0 Never None x");
        check(format!("ms a 1 M{mode}\r\nx\r\n").as_bytes(), &[&expected]);
    }
    check(b"ms Zg== 1 b\r\nx\r\n", &["Set f 0 Never None x"]);
    check(b"md a\r\n", &["delete a None false None"]);
    check(b"md a I T30 C5 q\r\n", &["delete a Some(5) true Some(In(30)) quiet"]);
    check(b"ma a\r\n", &["a +1 None None None"]);
    check(b"ma a MD D5 J10 N0 C3 T9\r\n", &["a -5 Some((10, Never)) Some(3) Some(In(9))"]);
    check(b"ma a M-\r\nma a M+\r\n", &["a -1 None None None", "a +1 None None None"]);
    check(b"ma a J10\r\n", &["a +1 None None None"]);
    check(b"me a\r\nme Zg== b\r\n", &["inspect a", "inspect f"]);
    check(b"mg a Ppath Lpath O12345\r\n", &["fetch a None None None true"]);
}

#[test]
fn what_is_no_command_is_refused_in_memcacheds_words() {
    let refused = |line: &str, words: &str| {
        check(format!("{line}\r\n").as_bytes(), &[&format!("refused {words}\\r\\n")]);
    };
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    let bad_format = "CLIENT_ERROR bad command line format";
    for line in ["me", "ms a", "ms a x", "ms a -1", "mg a Fx", "me Z b"] {
        refused(line, bad_format);
    }
    for command in ["mg", "md", "ma", "me"] {
        refused(&format!("{command} {long}"), bad_format);
    }
    refused(&format!("ms {long} 1"), bad_format);
    refused("mg a v v", "CLIENT_ERROR duplicate flag");
    refused("mg a \u{e9}", "CLIENT_ERROR duplicate flag");
    refused("mg a !", "CLIENT_ERROR invalid flag");
    refused("mg a Tx", "CLIENT_ERROR bad token in command line format");
    refused("mg a Tx Fx", "CLIENT_ERROR bad token in command line format");
    refused("mg a Tx Jx", "CLIENT_ERROR invalid numeric initial value");
    refused("mg a Tx !", "CLIENT_ERROR invalid flag");
    refused("mg a Mxx", "CLIENT_ERROR incorrect length for M token");
    refused("mg Z b", "CLIENT_ERROR error decoding key");
    refused("md a v v", "CLIENT_ERROR invalid or duplicate flag");
    refused("ma a Dx", "CLIENT_ERROR invalid or duplicate flag");
    refused("ma a Mx", "CLIENT_ERROR invalid mode for ma M token");
    let opaque = "O".repeat(33);
    for command in ["mg", "md", "ma"] {
        refused(&format!("{command} a {opaque}"), "CLIENT_ERROR opaque token too long");
    }
    let many = " x".repeat(18);
    refused(&format!("mg a{many}"), "CLIENT_ERROR options flags are too long");
    refused(&format!("md a{many}"), "CLIENT_ERROR options flags too long");
}

#[test]
fn the_value_of_what_is_refused_is_passed_over() {
    for (flags, words) in [
        ("v v", "duplicate flag"),
        ("Mx", "invalid mode for ms M token"),
        ("Tx", "bad token in command line format"),
        ("OOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOO", "opaque token too long"),
        ("OOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOO Mx", "invalid mode for ms M token"),
    ] {
        let input = format!("ms a 2 q {flags}\r\nxy\r\nmn\r\n");
        let refused = format!("refused CLIENT_ERROR {words}\\r\\n");
        check(input.as_bytes(), &[&refused, "noop"]);
    }
    check(b"ms a 2 q\r\nxyzw", &["refused CLIENT_ERROR bad data chunk\\r\\n"]);
    check_within(
        Limits { value_bytes: 1 },
        b"ms a 2 ME\r\nxy\r\nmn\r\n",
        &["too large a true", "noop"],
    );
}

proptest! {
    #[test]
    fn keys_of_any_bytes_are_read_and_told(
        key in prop::collection::vec(any::<u8>(), 1..=187),
    ) {
        let mut text = Vec::new();
        base64::encode(&key, &mut text);
        prop_assume!(text.len() <= MAX_KEY_BYTES);
        let input = [b"mg ", text.as_slice(), b" k b\r\n"].concat();
        let mut parser = Parser::new(Limits::default());
        let parsed = parser.next(&mut input.as_slice()).expect("open").expect("complete");
        let Parsed::Request(request) = parsed else { panic!("{parsed:?}") };
        let Command::Fetch(fetch) = request.command else { panic!("{request:?}") };
        prop_assert_eq!(fetch.key.0, &key[..]);
        let mut out = Vec::new();
        Writer::new(&mut out, request.answer).hit(&key, &Found::default());
        prop_assert_eq!(out, [b"HD k", text.as_slice(), b" b\r\n"].concat());
    }
}
