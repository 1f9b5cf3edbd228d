//! A cart as bytes. Reading takes only what writing makes: items, lanes and
//! attributes in their order, and nothing that joining would let go of.

use zeroize::Zeroizing;

use super::item::{Attribute, Counts, Item};
use super::{Cart, Lane, MAX_ATTRIBUTE_BYTES, MAX_VALUE_BYTES};
use crate::record::{Hlc, Version, Writer};
use crate::state::codec::{Writing, ascending, open, option, text};
use crate::state::{Text, Type};
use crate::wire::codec::{Malformed, Reader};

const SCHEMA: u8 = 1;
/// How much one lane may count: the largest quantity a thousand million times,
/// which no cart lives to see.
const MAX_COUNT: u64 = 1 << 47;

impl Cart {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writing = Writing::new(Type::Cart, SCHEMA);
        writing.count(self.items.len());
        for (sku, item) in &self.items {
            writing.text(sku);
            writing.count(item.lanes.len());
            for (lane, counts) in &item.lanes {
                writing.u32(lane.0);
                let Counts { added, taken, added_gone, taken_gone } = *counts;
                [added, taken, added_gone, taken_gone].iter().for_each(|&count| writing.u48(count));
            }
            put_version(&mut writing, item.removed);
            writing.count(item.attributes.len());
            for (name, attribute) in &item.attributes {
                writing.text(name);
                put_version(&mut writing, attribute.version);
                writing.option(attribute.value.as_ref(), Writing::text);
            }
        }
        writing.finish()
    }

    /// Reads what [`Cart::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut reader, _) = open(bytes, Type::Cart, SCHEMA)?;
        let items = ascending(&mut reader, "items", |reader| Ok((sku(reader)?, item(reader)?)))?;
        reader.finish("cart")?;
        Ok(Self { items })
    }
}

fn sku(reader: &mut Reader<'_>) -> Result<Text, Malformed> {
    let len = usize::from(reader.u16("item")?);
    let sku = std::str::from_utf8(reader.take(len, "item")?);
    sku.ok().and_then(|sku| Text::article(sku).ok()).ok_or(Malformed::Invalid("item"))
}

fn item(reader: &mut Reader<'_>) -> Result<Item, Malformed> {
    let lanes =
        ascending(reader, "lanes", |reader| Ok((Lane(reader.u32("lane")?), counts(reader)?)))?;
    let removed = version(reader)?;
    let attributes = ascending(reader, "attributes", |reader| attribute(reader, removed))?;
    Ok(Item { lanes, removed, attributes })
}

fn counts(reader: &mut Reader<'_>) -> Result<Counts, Malformed> {
    let counts = Counts {
        added: reader.u48("count")?,
        taken: reader.u48("count")?,
        added_gone: reader.u48("count")?,
        taken_gone: reader.u48("count")?,
    };
    let can_be = counts.added <= MAX_COUNT
        && counts.taken <= MAX_COUNT
        && counts.added_gone <= counts.added
        && counts.taken_gone <= counts.taken;
    can_be.then_some(counts).ok_or(Malformed::Invalid("count"))
}

fn attribute(reader: &mut Reader<'_>, removed: Version) -> Result<(Text, Attribute), Malformed> {
    let name = text(reader, "attribute's name", MAX_ATTRIBUTE_BYTES)?;
    let version = version(reader)?;
    let value = option(reader, "attribute", |reader| text(reader, "attribute", MAX_VALUE_BYTES))?;
    if version <= removed {
        return Err(Malformed::Invalid("attribute"));
    }
    Ok((name, Attribute { version, value }))
}

fn put_version(writing: &mut Writing, version: Version) {
    writing.u64(version.time.0);
    writing.u32(version.writer.0);
}

fn version(reader: &mut Reader<'_>) -> Result<Version, Malformed> {
    let time = Hlc(reader.u64("version's time")?);
    Ok(Version { time, writer: Writer(reader.u32("version's writer")?) })
}
