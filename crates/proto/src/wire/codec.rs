//! Reading integers and slices off untrusted bytes, and writing them.

use super::header::MAX_SEQUENCE;
use crate::time::Wall;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end before the field does.
    #[error("the bytes end inside {0}")]
    Truncated(&'static str),
    /// A field has a value that it cannot have.
    #[error("{0} has a value it cannot have")]
    Invalid(&'static str),
    /// Bytes are left after the last field.
    #[error("bytes are left over after {0}")]
    Trailing(&'static str),
}

/// A cursor over borrowed bytes.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`], naming `field`, when there are fewer.
    pub fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Truncated(field))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`], naming `field`, when there are fewer.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated(field))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// The next byte.
    ///
    /// # Errors
    ///
    /// As [`Reader::array`].
    pub fn u8(&mut self, field: &'static str) -> Result<u8, Malformed> {
        self.array(field).map(u8::from_be_bytes)
    }

    /// The next two bytes as an integer.
    ///
    /// # Errors
    ///
    /// As [`Reader::array`].
    pub fn u16(&mut self, field: &'static str) -> Result<u16, Malformed> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// The next four bytes as an integer.
    ///
    /// # Errors
    ///
    /// As [`Reader::array`].
    pub fn u32(&mut self, field: &'static str) -> Result<u32, Malformed> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// The next six bytes as an integer.
    ///
    /// # Errors
    ///
    /// As [`Reader::array`].
    pub fn u48(&mut self, field: &'static str) -> Result<u64, Malformed> {
        let low: [u8; 6] = self.array(field)?;
        let mut wide = [0; 8];
        wide[2..].copy_from_slice(&low);
        Ok(u64::from_be_bytes(wide))
    }

    /// The next eight bytes as an integer.
    ///
    /// # Errors
    ///
    /// As [`Reader::array`].
    pub fn u64(&mut self, field: &'static str) -> Result<u64, Malformed> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// The next eight bytes as the number of a packet, 0 for "none".
    ///
    /// # Errors
    ///
    /// As [`Reader::array`], and [`Malformed::Invalid`] above [`MAX_SEQUENCE`].
    pub fn sequence(&mut self, field: &'static str) -> Result<u64, Malformed> {
        let number = self.u64(field)?;
        if number > MAX_SEQUENCE { Err(Malformed::Invalid(field)) } else { Ok(number) }
    }

    /// The next six bytes as a time of day.
    ///
    /// # Errors
    ///
    /// As [`Reader::array`].
    pub fn wall(&mut self, field: &'static str) -> Result<Wall, Malformed> {
        self.u48(field).map(Wall::from_millis)
    }

    /// What has not been read.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether all has been read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Checks that all has been read.
    ///
    /// # Errors
    ///
    /// [`Malformed::Trailing`], naming `what`, when something is left.
    pub const fn finish(&self, what: &'static str) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed::Trailing(what)) }
    }
}

/// Appends the low six bytes of `value`.
pub fn put_u48(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes()[2..]);
}
