//! What a pipeline will ask for, seen at a glance: whoever answers it can have
//! the memory of several keys fetched at a time. Nothing is decided by it.

use super::request::short;

/// So many arguments a request is looked through for: those that session
/// stores send have fewer.
const MAX_ARGUMENTS: u32 = 8;

/// The first argument of each request at the start of `input`, mostly a key. It
/// ends before a request that is not all there, has no argument or very many,
/// or is typed.
#[must_use]
pub const fn first_arguments(input: &[u8]) -> FirstArguments<'_> {
    FirstArguments { rest: input }
}

/// See [`first_arguments`].
#[derive(Debug, Clone)]
pub struct FirstArguments<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for FirstArguments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let input = self.rest;
        let (count, mut at) = short(input, 0).filter(|_| input[0] == b'*')?;
        if !(2..=MAX_ARGUMENTS).contains(&count) {
            return None;
        }
        let mut first = None;
        for place in 0..count {
            let (length, start) = short(input, at).filter(|_| input[at] == b'$')?;
            let end = start + length as usize;
            if input.len() < end + 2 {
                return None;
            }
            if place == 1 {
                first = Some(&input[start..end]);
            }
            at = end + 2;
        }
        self.rest = &input[at..];
        first
    }
}
