//! Commands that are typed: one line of words, which may be quoted. It knows
//! the rules of quoting and nothing else.
//!
//! The rules are those of `sdssplitargs` of Redis: words are parted by white
//! space; a word may begin a quoted part anywhere, but ends with it. Within
//! double quotes a backslash gives the usual control characters, `\xhh` any
//! byte, and otherwise the next byte as it is; within single quotes it gives
//! a single quote alone.

/// Quotes that do not end, or end within a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unbalanced;

/// Appends the words of `line` to `words`, one after the other, and tells
/// `ends` where each of them ends. Words are never longer than the line.
pub(super) fn split(
    line: &[u8],
    words: &mut Vec<u8>,
    mut ends: impl FnMut(usize),
) -> Result<(), Unbalanced> {
    let mut rest = line;
    loop {
        while let [byte, after @ ..] = rest
            && is_space(*byte)
        {
            rest = after;
        }
        if rest.is_empty() {
            return Ok(());
        }
        rest = word(rest, words)?;
        ends(words.len());
    }
}

/// Appends the word that `rest` begins with, and gives what is behind it.
fn word<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        match rest {
            // Other white space than this parts words only where they begin.
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Ok(rest),
            [b'"', after @ ..] => return ended(double_quoted(after, words)?),
            [b'\'', after @ ..] => return ended(single_quoted(after, words)?),
            [byte, after @ ..] => {
                words.push(*byte);
                rest = after;
            }
        }
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        let (byte, after) = match rest {
            [] => return Err(Unbalanced),
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (nibble(*high) << 4 | nibble(*low), after)
            }
            [b'\\', escaped, after @ ..] => (unescaped(*escaped), after),
            [byte, after @ ..] => (*byte, after),
        };
        words.push(byte);
        rest = after;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        let (byte, after) = match rest {
            [] => return Err(Unbalanced),
            [b'\'', after @ ..] => return Ok(after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [byte, after @ ..] => (*byte, after),
        };
        words.push(byte);
        rest = after;
    }
}

/// What may be behind a closing quote: white space, or nothing.
fn ended(rest: &[u8]) -> Result<&[u8], Unbalanced> {
    match rest.first() {
        Some(byte) if !is_space(*byte) => Err(Unbalanced),
        _ => Ok(rest),
    }
}

const fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// C's `isspace`.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &[u8], expected: Option<&[&[u8]]>) {
        let (mut words, mut ends) = (Vec::new(), vec![0]);
        let split = split(line, &mut words, |end| ends.push(end));
        let found: Vec<&[u8]> = ends.windows(2).map(|pair| &words[pair[0]..pair[1]]).collect();
        assert_eq!(split.ok().map(|()| &found[..]), expected, "{:?}", line.escape_ascii());
    }

    #[test]
    fn words_are_split_as_redis_splits_them() {
        check(b"", Some(&[]));
        check(b" \t ", Some(&[]));
        check(b"get key", Some(&[b"get", b"key"]));
        check(b"  get\t key  ", Some(&[b"get", b"key"]));
        check(b"a\x0bb \x0bc", Some(&[b"a\x0bb", b"c"]));
        check(br#"set k "a b""#, Some(&[b"set", b"k", b"a b"]));
        check(br#"set k """#, Some(&[b"set", b"k", b""]));
        check(br#"x"y z""#, Some(&[b"xy z"]));
        check(br#""\n\r\t\b\a\q\"\\""#, Some(&[b"\n\r\t\x08\x07q\"\\"]));
        check(br#""\x41\xfF\xg0\x4""#, Some(&[b"A\xffxg0x4"]));
        check(br"'a b\'c\n'", Some(&[br"a b'c\n"]));
        check(br"\n\x41", Some(&[br"\n\x41"]));
    }

    #[test]
    fn quotes_end_at_the_end_of_a_word() {
        for line in
            [r#"""#, "'", r#""a"#, r#""a"b"#, "'a'b", r#""a"""#, r#""a\""#, r"'a\'", r#""\"#]
        {
            check(line.as_bytes(), None);
        }
    }
}
