use proptest::prelude::*;

use super::*;

fn check(text: &[u8], expected: Option<&[u8]>) {
    let mut out = [0; MAX_DECODED_BYTES];
    let len = decode(text, &mut out);
    assert_eq!(len.map(|len| &out[..len]), expected, "{}", text.escape_ascii());
}

#[test]
fn keys_are_decoded() {
    check(b"Zm9v", Some(b"foo"));
    check(b"Zm8=", Some(b"fo"));
    check(b"Zg==", Some(b"f"));
    check(b"Z-m9-v", Some(b"foo"));
    check(b"Zg==Zg==", Some(b"f"));
    check(b"/+8A", Some(b"\xff\xef\0"));
    for text in [b"".as_slice(), b"Zm9", b"----", b"Z===", b"====", b"Zm9vZ"] {
        check(text, None);
    }
}

proptest! {
    #[test]
    fn keys_decode_as_they_are_encoded(
        key in prop::collection::vec(any::<u8>(), 1..=MAX_DECODED_BYTES),
    ) {
        let mut text = Vec::new();
        encode(&key, &mut text);
        check(&text, Some(&key));
    }

    #[test]
    fn any_text_is_decoded_or_not(
        text in prop::collection::vec(any::<u8>(), 0..=MAX_KEY_BYTES),
    ) {
        decode(&text, &mut [0; MAX_DECODED_BYTES]);
    }
}
