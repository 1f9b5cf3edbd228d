use proptest::prelude::*;

use super::*;

fn double(value: f64) -> String {
    let mut out = Vec::new();
    append_f64(&mut out, value);
    String::from_utf8(out).expect("digits")
}

#[test]
fn integers_are_read_as_redis_reads_them() {
    for (text, value) in [
        ("0", Some(0)),
        ("7", Some(7)),
        ("-1", Some(-1)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("18446744073709551616", None),
        ("", None),
        ("-", None),
        ("-0", None),
        ("01", None),
        ("+1", None),
        (" 1", None),
        ("1 ", None),
        ("1a", None),
    ] {
        assert_eq!(parse_i64(text.as_bytes()), value, "{text:?}");
    }
}

#[test]
fn doubles_are_written_as_redis_writes_them() {
    for (value, text) in [
        (0.1, "0.1"),
        (-0.1, "-0.1"),
        (3.0, "3"),
        (-0.0, "-0"),
        (1.5, "1.5"),
        (123.456, "123.456"),
        (1e18, "1000000000000000000"),
        (1e19, "1e+19"),
        (1.25e20, "1.25e+20"),
        (12_345_678_901_234_567_000.0, "12345678901234567000"),
        (1e-7, "1e-7"),
        (0.001, "0.001"),
        (0.000_001, "0.000001"),
        (1.234_567_89e-5, "1.23456789e-5"),
        (1.234_567_89e-3, "0.00123456789"),
        (f64::MAX, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ] {
        assert_eq!(double(value), text);
    }
}

proptest! {
    #[test]
    fn integers_read_as_they_are_written(value: i64) {
        let mut out = Vec::new();
        append_i64(&mut out, value);
        let text = value.to_string().into_bytes();
        prop_assert_eq!(&out, &text);
        prop_assert_eq!(parse_i64(&out), Some(value));
    }

    #[test]
    fn doubles_read_as_they_are_written(bits: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(!value.is_nan());
        prop_assert_eq!(double(value).parse::<f64>().expect("a double"), value);
    }

    #[test]
    fn any_bytes_are_an_integer_or_none(text in prop::collection::vec(any::<u8>(), 0..24)) {
        if let Some(value) = parse_i64(&text) {
            prop_assert_eq!(value.to_string().into_bytes(), text);
        }
    }
}
