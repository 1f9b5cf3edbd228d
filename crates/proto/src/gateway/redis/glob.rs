//! Patterns as `KEYS` and `SCAN` take them: `*`, `?`, `[a-z]`, `[^a]` and a
//! backslash.

/// Whether all of `text` is as `pattern` says.
///
/// A star is tried again from the last one only, so that the work is at most
/// the product of both lengths.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        if let Some(next) = one(pattern, p, text[t]) {
            (p, t) = (next, t + 1);
            continue;
        }
        let Some((after, from)) = star else { return false };
        star = Some((after, from + 1));
        (p, t) = (after, from + 1);
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// The most characters and classes of a [`Pattern`].
pub const MAX_PATTERN_PARTS: usize = 127;

/// A pattern that is tried on many texts, in a time that grows with the text
/// alone: the places in the pattern where a text may have come to are bits of one
/// word (Baeza-Yates and Gonnet, "A new approach to text searching", 1992).
pub struct Pattern {
    /// By byte: the places behind which it may stand.
    takes: Box<[u128; 256]>,
    /// The places with a star, where any byte may stand.
    stars: u128,
    end: u128,
}

impl Pattern {
    /// None if it has more than [`MAX_PATTERN_PARTS`].
    #[must_use]
    pub fn new(pattern: &[u8]) -> Option<Self> {
        let mut takes = Box::new([0_u128; 256]);
        let (mut stars, mut place, mut p) = (0, 0, 0);
        while p < pattern.len() {
            if pattern[p] == b'*' {
                stars |= 1 << place;
                p += 1;
                continue;
            }
            if place == MAX_PATTERN_PARTS {
                return None;
            }
            let mut next = p;
            for (byte, takes) in (0..=u8::MAX).zip(takes.iter_mut()) {
                let (is_it, behind) = part(pattern, p, byte);
                *takes |= u128::from(is_it) << place;
                next = behind;
            }
            (p, place) = (next, place + 1);
        }
        Some(Self { takes, stars, end: 1 << place })
    }

    /// Whether all of `text` is as it says.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        let step = |places: u128, byte: &u8| {
            (places & self.takes[usize::from(*byte)]) << 1 | places & self.stars
        };
        text.iter().fold(1, step) & self.end != 0
    }
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pattern").finish_non_exhaustive()
    }
}

/// Where the pattern goes on after `byte`, if what stands at `p` is it.
fn one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    if p == pattern.len() {
        return None;
    }
    let (is_it, next) = part(pattern, p, byte);
    is_it.then_some(next)
}

/// Whether what stands at `p` is `byte`, and where the pattern goes on behind it.
fn part(pattern: &[u8], p: usize, byte: u8) -> (bool, usize) {
    match pattern[p] {
        b'?' => (true, p + 1),
        b'[' => class(pattern, p + 1, byte),
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte, p + 2),
        other => (other == byte, p + 1),
    }
}

fn class(pattern: &[u8], mut p: usize, byte: u8) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    loop {
        match pattern.get(p) {
            // Redis takes a class that does not end for one that ends there.
            None => break,
            Some(b']') => {
                p += 1;
                break;
            }
            Some(b'\\') if p + 1 < pattern.len() => {
                found |= pattern[p + 1] == byte;
                p += 2;
            }
            Some(&low) if pattern.get(p + 1) == Some(&b'-') && p + 2 < pattern.len() => {
                let high = pattern[p + 2];
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                p += 3;
            }
            Some(&other) => {
                found |= other == byte;
                p += 1;
            }
        }
    }
    (found != negated, p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pattern_for_many_texts_says_the_same(
            pattern in "[ab*?\\\\\\[\\]^-]{0,12}",
            texts in prop::collection::vec("[abc*-]{0,12}", 1..8),
        ) {
            let compiled = Pattern::new(pattern.as_bytes()).expect("it is short");
            for text in texts {
                let expected = matches(pattern.as_bytes(), text.as_bytes());
                prop_assert_eq!(compiled.matches(text.as_bytes()), expected, "{}", text);
            }
        }
    }

    #[test]
    fn a_pattern_has_as_many_parts_as_a_word_has_room_for() {
        let longest = vec![b'a'; MAX_PATTERN_PARTS];
        let pattern = Pattern::new(&longest).expect("it just fits");
        assert!(pattern.matches(&longest) && !pattern.matches(&longest[1..]));
        assert!(Pattern::new(&[b'a'; MAX_PATTERN_PARTS + 1]).is_none());
        assert!(Pattern::new(&[b'*'; 1_000]).is_some_and(|all| all.matches(b"anything")));
    }

    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
    }

    #[test]
    fn patterns_are_those_of_redis() {
        check("*", "", true);
        check("sess:*", "sess:1", true);
        check("sess:*", "cart:1", false);
        check("h?llo", "hello", true);
        check("h?llo", "hllo", false);
        check("h[ae]llo", "hallo", true);
        check("h[^e]llo", "hello", false);
        check("h[a-c]llo", "hbllo", true);
        check(r"h\*llo", "h*llo", true);
        check(r"h\*llo", "hello", false);
        check("*a*b*c", "xxaxxbxxc", true);
        check("*a*b*c", "xxaxxbxx", false);
        check("[", "a", false);
    }
}
