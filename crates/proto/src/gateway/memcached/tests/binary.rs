use super::*;

/// What a client sends.
fn packet(opcode: u8, cas: u64, [extras, key, value]: [&[u8]; 3]) -> Vec<u8> {
    let body = u32::try_from(extras.len() + key.len() + value.len()).expect("short");
    let mut packet = vec![BINARY_REQUEST, opcode];
    packet.extend(u16::try_from(key.len()).expect("short").to_be_bytes());
    packet.extend([u8::try_from(extras.len()).expect("short"), 0, 0, 0]);
    packet.extend(body.to_be_bytes());
    packet.extend(*b"opaq");
    packet.extend(cas.to_be_bytes());
    [packet.as_slice(), extras, key, value].concat()
}

const SET_EXTRAS: &[u8] = &[0, 0, 0, 5, 0, 0, 0, 9];
const COUNT_EXTRAS: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9];

/// Opcodes, the loud one first; extras, key and value; what they are read as.
type Case<'a> = (&'a [u8], [&'a [u8]; 3], &'a str);

#[test]
fn every_opcode_is_read() {
    let four: &[u8] = &[0, 0, 0, 9];
    let all: [Case<'_>; 22] = [
        (&[0x00, 0x09], [b"", b"k", b""], "get k None"),
        (&[0x0c, 0x0d], [b"", b"k with blanks", b""], "get k with blanks None"),
        (&[0x01, 0x11], [SET_EXTRAS, b"k", b"value"], "Set k 5 In(9) None value"),
        (&[0x02, 0x12], [SET_EXTRAS, b"k", b""], "Add k 5 In(9) None "),
        (&[0x03, 0x13], [SET_EXTRAS, b"k", b"v"], "Replace k 5 In(9) None v"),
        (&[0x04, 0x14], [b"", b"k", b""], "delete k None false None"),
        (&[0x05, 0x15], [COUNT_EXTRAS, b"k", b""], "k +3 Some((7, In(9))) None None"),
        (&[0x06, 0x16], [COUNT_EXTRAS, b"k", b""], "k -3 Some((7, In(9))) None None"),
        (&[0x07, 0x17], [b"", b"", b""], "quit"),
        (&[0x08, 0x18], [b"", b"", b""], "flush Never"),
        (&[0x08, 0x18], [four, b"", b""], "flush In(9)"),
        (&[0x0a], [b"", b"", b""], "noop"),
        (&[0x0b], [b"", b"", b""], "version"),
        (&[0x0e, 0x19], [b"", b"k", b"v"], "Append k 0 Never None v"),
        (&[0x0f, 0x1a], [b"", b"k", b"v"], "Prepend k 0 Never None v"),
        (&[0x10], [b"", b"", b""], "stats "),
        (&[0x10], [b"", b"settings", b""], "stats settings"),
        (&[0x1b], [four, b"", b""], "verbosity"),
        (&[0x1c], [four, b"k", b""], "touch k In(9)"),
        (&[0x1d, 0x1e], [four, b"k", b""], "get k Some(In(9))"),
        (&[0x23, 0x24], [four, b"k", b""], "get k Some(In(9))"),
        (&[0x04], [b"", &[b'k'; MAX_KEY_BYTES], b""], ""),
    ];
    for (opcodes, parts, expected) in all {
        for (index, opcode) in opcodes.iter().enumerate() {
            let input = packet(*opcode, 0, parts);
            if expected.is_empty() {
                assert_eq!(read(Limits::default(), [input.as_slice()]).0.len(), 1);
                continue;
            }
            let quiet = if index == 1 { " quiet" } else { "" };
            check(&input, &[&format!("{expected}{quiet}")]);
        }
    }
}

#[test]
fn a_number_makes_a_store_conditional() {
    check(&packet(0x01, 7, [SET_EXTRAS, b"k", b"v"]), &["Set k 5 In(9) Some(7) v"]);
    check(&packet(0x02, 7, [SET_EXTRAS, b"k", b"v"]), &["Set k 5 In(9) Some(7) v"]);
    check(&packet(0x04, 7, [b"", b"k", b""]), &["delete k Some(7) false None"]);
    let never = [&COUNT_EXTRAS[..16], &[0xff; 4]].concat();
    check(&packet(0x05, 7, [&never, b"k", b""]), &["k +3 None Some(7) None"]);
}

#[test]
fn what_does_not_fit_its_opcode_closes() {
    let invalid: &[(u8, [&[u8]; 3])] = &[
        (0x00, [b"", b"", b""]),
        (0x00, [b"", b"k", b"v"]),
        (0x00, [b"1234", b"k", b""]),
        (0x01, [b"", b"k", b"v"]),
        (0x01, [SET_EXTRAS, b"", b"v"]),
        (0x04, [b"", b"", b""]),
        (0x05, [SET_EXTRAS, b"k", b""]),
        (0x08, [SET_EXTRAS, b"", b""]),
        (0x0a, [b"", b"k", b""]),
        (0x0b, [b"", b"k", b""]),
        (0x0e, [SET_EXTRAS, b"k", b"v"]),
        (0x0e, [b"", b"", b"v"]),
        (0x07, [b"", b"k", b""]),
        (0x10, [b"1234", b"", b""]),
        (0x1c, [b"", b"k", b""]),
        (0x20, [b"", b"PLAIN", b""]),
        (0x21, [b"", b"", b"value"]),
        (0x22, [b"1", b"PLAIN", b""]),
        (0x04, [b"", &[b'k'; MAX_KEY_BYTES + 1], b""]),
        (0x55, [b"", &[b'k'; MAX_KEY_BYTES + 1], b""]),
    ];
    for (opcode, parts) in invalid {
        let input = packet(*opcode, 0, *parts);
        let (seen, _) = read(Limits::default(), [input.as_slice()]);
        let [only] = &seen[..] else { panic!("{seen:?}") };
        assert!(only.contains("\\x00\\x04") && only.ends_with("Invalid arguments, closes"));
        assert_eq!(read(Limits::default(), input.chunks(1)).0, seen);
    }
    // The key is longer than all of it.
    let mut endless = packet(0x00, 0, [b"", b"k", b""]);
    endless[11] = 0;
    let (seen, _) = read(Limits::default(), [endless.as_slice()]);
    assert!(seen[0].ends_with("Unknown command, closes"), "{seen:?}");
}

#[test]
fn an_unknown_opcode_is_refused_and_passed_over() {
    for opcode in [0x21, 0x22, 0x1f, 0x30, 0xff] {
        let mut input = packet(opcode, 0, [b"", b"PLAIN", b"\0user\0password"]);
        input.extend(packet(0x0a, 0, [b"", b"", b""]));
        let (seen, end) = read(Limits::default(), [input.as_slice()]);
        assert_eq!((seen.len(), &seen[1][..], end), (2, "noop", Ok(Vec::new())));
        assert!(seen[0].ends_with("Unknown command"), "{seen:?}");
    }
}

#[test]
fn a_value_that_is_too_long_is_passed_over() {
    let limits = Limits { value_bytes: 3 };
    let noop = packet(0x0a, 0, [b"", b"", b""]);
    for (opcode, forget) in [(0x01, true), (0x02, false), (0x0e, false)] {
        let extras = if opcode == 0x0e { b"" } else { SET_EXTRAS };
        let input = [packet(opcode, 0, [extras, b"k", b"wxyz"]), noop.clone()].concat();
        check_within(limits, &input, &[&format!("too large k {forget}"), "noop"]);
    }
    check_within(limits, &packet(0x01, 0, [SET_EXTRAS, b"k", b"xyz"]), &["Set k 5 In(9) None xyz"]);
}

#[test]
fn the_first_byte_decides_and_holds() {
    let input = [packet(0x0a, 0, [b"", b"", b""]), b"version\r\n".to_vec()].concat();
    assert_eq!(
        read(Limits::default(), [input.as_slice()]),
        (vec!["noop".to_owned()], Err(Closed::Magic(b'v')))
    );
    let mut parser = Parser::new(Limits::default());
    assert_eq!(parser.is_binary(), None);
    assert!(parser.next(&mut b"mn\r\n".as_slice()).unwrap().is_some());
    assert_eq!(parser.is_binary(), Some(false));
    let (seen, _) = read(Limits::default(), [b"mn\r\n\x80\x0a\r\n".as_slice()]);
    assert_eq!(seen[1], "refused ERROR\\r\\n");
}

proptest! {
    #[test]
    fn requests_read_as_a_client_writes_them(
        key in prop::collection::vec(any::<u8>(), 1..=250),
        (flags, seconds, cas) in any::<(u32, u32, u64)>(),
        value in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let extras = [flags.to_be_bytes(), seconds.to_be_bytes()].concat();
        let input = packet(0x01, cas, [&extras, &key, &value]);
        let mut parser = Parser::new(Limits::default());
        let parsed = parser.next(&mut input.as_slice()).expect("open").expect("complete");
        let Parsed::Request(request) = parsed else { panic!("{parsed:?}") };
        let expected = Command::Store(Store {
            mode: Mode::Set,
            key: Text(&key),
            flags,
            expiry: Expiry::from_unsigned(seconds),
            cas: (cas != 0).then_some(cas),
            invalidate: false,
            value: Text(&value),
        });
        prop_assert_eq!(request.command, expected);
    }
}
