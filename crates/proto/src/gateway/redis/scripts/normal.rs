//! A script's text as its words: two texts that differ in blanks, line ends,
//! comments, quotes, or the case of commands are one script.
//!
//! Clients' texts come with the line ends and indentation of whatever they were
//! built from. No interpreter is needed to see that they are the same: words
//! and signs in the same order mean the same.

/// The longest text that is looked at: several times the longest that is known.
const MOST_BYTES: usize = 16 * 1024;

/// The words of a script. None where the text has what is not read here: long
/// brackets, escapes, or a text without an end.
#[must_use]
pub fn normal(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > MOST_BYTES || text.windows(2).any(|pair| pair == b"[[" || pair == b"[=") {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut apart = false;
    while let Some((&byte, behind)) = rest.split_first() {
        if rest.starts_with(b"--") {
            let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            (rest, apart) = (&rest[end..], true);
        } else if byte.is_ascii_whitespace() {
            (rest, apart) = (behind, true);
        } else if matches!(byte, b'"' | b'\'') {
            let end = behind.iter().position(|&other| other == byte)?;
            let literal = &behind[..end];
            if literal.iter().any(|byte| matches!(byte, b'"' | b'\'' | b'\\' | b'\n')) {
                return None;
            }
            let is_command = out.ends_with(b"redis.call(") || out.ends_with(b"redis.pcall(");
            out.push(b'"');
            let shown = |byte: &u8| if is_command { byte.to_ascii_lowercase() } else { *byte };
            out.extend(literal.iter().map(shown));
            out.push(b'"');
            (rest, apart) = (&behind[end + 1..], false);
        } else {
            if apart && out.last().is_some_and(|&last| needs_blank(last, byte)) {
                out.push(b' ');
            }
            out.push(byte);
            (rest, apart) = (behind, false);
        }
    }
    Some(out)
}

/// Whether a blank between the two means anything: they would be one word
/// without it, or the begin of a comment or of long brackets.
const fn needs_blank(before: u8, behind: u8) -> bool {
    let are_one_sign = matches!((before, behind), (b'-', b'-') | (b'[', b'[' | b'='));
    are_one_sign || (is_of_word(before) && is_of_word(behind))
}

const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_their_own_words(text in "([a-zA-Z_0-9 \\[\\]'\"=~#(),.\\\\-]|\n|redis\\.call\\(){0,60}") {
            if let Some(words) = normal(text.as_bytes()) {
                prop_assert_eq!(normal(&words), Some(words));
            }
        }

        #[test]
        fn any_bytes_are_read(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = normal(&text);
        }
    }

    #[test]
    fn what_means_the_same_has_the_same_words() {
        let check = |text: &str, expected: Option<&str>| {
            let found = normal(text.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{text}");
        };
        let one = "if redis.call(\"get\",KEYS[1])==ARGV[1]then return 1 end";
        check(one, Some(one));
        check(
            "\r\n if  redis.call( 'GET' , KEYS[1] ) == ARGV[1] -- ours\r\nthen\r\n\treturn 1 end ",
            Some(one),
        );
        // What is no command keeps its case.
        check("return 'OK'", Some("return\"OK\""));
        check("local newttl = 1", Some("local newttl=1"));
        for unread in ["return [[x]]", "return 'a\\n'", "return 'x", "--[[ x ]] return 1"] {
            check(unread, None);
        }
    }
}
