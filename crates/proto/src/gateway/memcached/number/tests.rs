use super::*;

#[test]
fn signed_numbers_are_read_as_by_strtol() {
    for (word, value) in [
        ("0", Some(0)),
        ("-1", Some(-1)),
        ("+7", Some(7)),
        ("007", Some(7)),
        ("\t7\tx", Some(7)),
        ("2147483647", Some(i32::MAX)),
        ("2147483648", Some(i32::MIN)),
        ("4294967296", Some(0)),
        ("-9223372036854775808", Some(0)),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("", None),
        ("-", None),
        ("x", None),
        ("7x", None),
        ("\t", None),
    ] {
        assert_eq!(signed(word.as_bytes()), value, "{word:?}");
    }
}

#[test]
fn unsigned_numbers_are_read_as_by_strtoul() {
    for (word, value) in [
        ("0", Some(0)),
        ("-0", Some(0)),
        ("-1", None),
        ("-18446744073709551615", Some(1)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("9223372036854775808", Some(1 << 63)),
        ("1.5", None),
    ] {
        assert_eq!(unsigned(word.as_bytes()), value, "{word:?}");
    }
    assert_eq!(unsigned_32(b"4294967297"), Some(1));
}
