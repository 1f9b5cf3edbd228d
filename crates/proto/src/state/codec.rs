//! Fields that several types have, as bytes: the head, texts, lists.

use zeroize::Zeroizing;

use super::text::Text;
use super::{HEAD_BYTES, MARK, Type};
use crate::wire::codec::{Malformed, Reader, put_u48};

/// A value that is being written.
pub(in crate::state) struct Writing(Zeroizing<Vec<u8>>);

impl Writing {
    /// A value of a type, in its present schema.
    pub(in crate::state) fn new(of: Type, schema: u8) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(256));
        bytes.extend_from_slice(&MARK);
        bytes.extend_from_slice(&[of as u8, schema]);
        Self(bytes)
    }

    pub(in crate::state) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(in crate::state) fn u8(&mut self, number: u8) {
        self.bytes(&[number]);
    }

    pub(in crate::state) fn u32(&mut self, number: u32) {
        self.bytes(&number.to_be_bytes());
    }

    pub(in crate::state) fn u48(&mut self, number: u64) {
        put_u48(number, &mut self.0);
    }

    pub(in crate::state) fn u64(&mut self, number: u64) {
        self.bytes(&number.to_be_bytes());
    }

    /// How many follow.
    pub(in crate::state) fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("more would not fit any payload"));
    }

    pub(in crate::state) fn text(&mut self, text: &Text) {
        let len = u16::try_from(text.as_str().len()).expect("texts are shorter");
        self.bytes(&len.to_be_bytes());
        self.bytes(text.as_str().as_bytes());
    }

    /// Something that may not be there.
    pub(in crate::state) fn option<T>(
        &mut self,
        value: Option<&T>,
        write: impl FnOnce(&mut Self, &T),
    ) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(in crate::state) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// Reads a value's head. Gives what reads its fields, and their schema, which is
/// from 1 to `newest`.
pub(in crate::state) fn open(
    bytes: &[u8],
    of: Type,
    newest: u8,
) -> Result<(Reader<'_>, u8), Malformed> {
    let mut reader = Reader::new(bytes);
    let [mark_0, mark_1, found, schema] = reader.array::<HEAD_BYTES>("head")?;
    if [mark_0, mark_1] != MARK || found != of as u8 {
        return Err(Malformed::Invalid("type"));
    }
    if schema == 0 || schema > newest {
        return Err(Malformed::Invalid("schema"));
    }
    Ok((reader, schema))
}

/// A text of at most so many bytes.
pub(in crate::state) fn text(
    reader: &mut Reader<'_>,
    field: &'static str,
    limit: usize,
) -> Result<Text, Malformed> {
    let len = reader.u16(field)?;
    let bytes = reader.take(usize::from(len), field)?;
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Invalid(field))?;
    Text::new(field, text, limit).map_err(|_| Malformed::Invalid(field))
}

/// Something that may not be there.
pub(in crate::state) fn option<'a, T>(
    reader: &mut Reader<'a>,
    field: &'static str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    match reader.u8(field)? {
        0 => Ok(None),
        1 => read(reader).map(Some),
        _ => Err(Malformed::Invalid(field)),
    }
}

/// A list whose items stand in their order, none of them twice. It takes no more
/// memory than what the bytes that are there can hold.
pub(in crate::state) fn ascending<'a, K: Ord, T>(
    reader: &mut Reader<'a>,
    field: &'static str,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<(K, T), Malformed>,
) -> Result<std::collections::BTreeMap<K, T>, Malformed> {
    let count = reader.u32(field)?;
    let mut items = std::collections::BTreeMap::new();
    for _ in 0..count {
        let (key, item) = read(reader)?;
        if items.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(Malformed::Invalid(field));
        }
        items.insert(key, item);
    }
    Ok(items)
}
