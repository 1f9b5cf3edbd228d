//! Finding card numbers in texts, so that none is kept by mistake.
//!
//! A card's number has 13 to 19 digits, of which the last checks the others
//! (ISO/IEC 7812-1, annex B: Luhn's formula). People write it in groups, and
//! other digits may stand beside it, such as when the card ends. So every run
//! of neighbouring groups that has as many digits is looked at, and of digits
//! that nothing parts and that are more than a card has, every stretch.
//!
//! One of ten other numbers of that length checks as well and is refused with
//! them. What is cut up among letters or over several fields is not found: this
//! guards against mistakes, not against intent.

/// How many digits a card's number has.
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// How many characters may stand between two groups: ` - ` has three.
const MAX_GAP: usize = 3;

/// Whether a text holds what looks like a card's number.
pub(super) fn holds_card_number(text: &str) -> bool {
    let mut run = Run::default();
    for character in text.chars() {
        match digit(character) {
            Some(digit) => run.push(digit),
            None if is_separator(character) && run.gap < MAX_GAP => run.part(),
            None => {
                if run.has_card_number() {
                    return true;
                }
                run = Run::default();
            }
        }
    }
    run.has_card_number()
}

/// Whether a text is the number of an article (GTIN-13 or GTIN-14), by its own
/// check digit: from the last on, the digits count once and three times by turns
/// (GS1 General Specifications, 7.9).
pub(super) fn is_article_number(text: &str) -> bool {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let weights = [1, 3].into_iter().cycle();
    let sum: u32 = text
        .bytes()
        .rev()
        .zip(weights)
        .map(|(byte, weight)| weight * u32::from(byte.wrapping_sub(b'0')))
        .sum();
    is_number && matches!(text.len(), 13 | 14) && sum.is_multiple_of(10)
}

/// Digits with nothing but separators between them.
#[derive(Default)]
struct Run {
    digits: Vec<u8>,
    /// Where groups begin.
    groups: Vec<usize>,
    /// How many separators came last.
    gap: usize,
}

impl Run {
    fn push(&mut self, digit: u8) {
        if self.gap > 0 || self.digits.is_empty() {
            self.groups.push(self.digits.len());
        }
        self.gap = 0;
        self.digits.push(digit);
    }

    /// A separator: nothing before the first digit.
    const fn part(&mut self) {
        if !self.digits.is_empty() {
            self.gap += 1;
        }
    }

    fn has_card_number(&self) -> bool {
        if self.digits.len() < *DIGITS.start() {
            return false;
        }
        let ends = || self.groups.iter().skip(1).copied().chain([self.digits.len()]);
        let mut whole_groups = self.groups.iter().flat_map(|&begin| {
            let near = move |end: &usize| *end <= begin + DIGITS.end();
            ends().skip_while(move |end| *end <= begin).take_while(near).map(move |end| begin..end)
        });
        if whole_groups.any(|range| checks(&self.digits[range])) {
            return true;
        }
        let mut long = self.groups.iter().zip(ends()).filter(|(begin, end)| {
            // Of a group that is no longer the whole was looked at.
            end - **begin > *DIGITS.end()
        });
        long.any(|(&begin, end)| {
            let group = &self.digits[begin..end];
            DIGITS.clone().any(|len| group.windows(len).any(checks))
        })
    }
}

/// Whether these digits are as many as a card has, and the last one checks them.
/// Zeros alone do, and are no card's.
fn checks(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| u32::from(if place % 2 == 1 { doubled(digit) } else { digit }))
        .sum();
    DIGITS.contains(&digits.len()) && sum > 0 && sum.is_multiple_of(10)
}

/// The value of a digit, in the scripts whose digits keyboards give.
fn digit(character: char) -> Option<u8> {
    let code = u32::from(character);
    // Latin, Arabic, eastern Arabic, Devanagari, full-width.
    let zero = [0x30, 0x660, 0x6f0, 0x966, 0xff10].into_iter().find(|zero| {
        // Ten digits stand in a row.
        (*zero..*zero + 10).contains(&code)
    })?;
    u8::try_from(code - zero).ok()
}

/// What people write between groups of digits: spaces, dots, and dashes.
fn is_separator(character: char) -> bool {
    character.is_whitespace()
        || matches!(character, '-' | '.' | '_' | '\u{ad}' | '\u{200b}'..='\u{200d}')
        || matches!(character, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: bool) {
        assert_eq!(holds_card_number(text), expected, "{text:?}");
    }

    #[test]
    fn finds_numbers_that_networks_publish_for_tests() {
        for number in [
            "4111111111111111",
            "5555555555554444",
            "378282246310005",
            "6011111111111117",
            "3530111333300000",
            "4222222222222",
            "30569309025904",
            "2223003122003222",
            "6304000000000000",
            "6362970000457013",
        ] {
            check(number, true);
            check(&format!("card {number}."), true);
        }
    }

    #[test]
    fn finds_them_however_they_are_written() {
        check("4111 1111 1111 1111", true);
        check("4111-1111-1111-1111 12 29 123", true);
        check("12 4111.1111.1111.1111", true);
        check("4111\u{a0}1111\u{a0}1111\u{2011}1111", true);
        check("4111 - 1111 - 1111 - 1111", true);
        check("３７８２８２２４６３１０００５", true);
        check("٤١١١١١١١١١١١١١١١", true);
        check("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", true);
        check("00000000004111111111111111000000", true);
        check("x4111111111111111x", true);
    }

    #[test]
    fn knows_the_numbers_of_articles() {
        for (text, expected) in [
            ("4006381333931", true),
            ("04006381333931", true),
            ("4006381333932", false),
            ("4111111111111111", false),
            ("400638133393x", false),
        ] {
            assert_eq!(is_article_number(text), expected, "{text}");
        }
    }

    #[test]
    fn lets_other_numbers_pass() {
        check("", false);
        check("4111111111111112", false);
        check("411111111111", false);
        check("0000000000000000", false);
        check("+44 20 7946 0958", false);
        check("2026-11-28 07:59:18", false);
        check("411111a1111111111", false);
        check("order 100045, 3 pieces, 10115 Berlin", false);
    }
}
