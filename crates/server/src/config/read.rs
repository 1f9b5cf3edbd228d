//! Layered values as serde's input, so that every error carries the place of
//! the value that it is about.

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::fault::Fault;
use super::value::{Data, Value};

/// What `value` says, as a `T`.
///
/// # Errors
///
/// The first value that does not fit, with its place.
pub(crate) fn read<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, Fault> {
    T::deserialize(Reader { value, key: String::new() })
}

/// Reads one value; `key` is its dotted name.
struct Reader<'de> {
    value: &'de Value,
    key: String,
}

impl<'de> Reader<'de> {
    /// The dotted name of an entry of this table.
    fn key_of(&self, entry: &str) -> String {
        if self.key.is_empty() { entry.to_owned() } else { format!("{}.{entry}", self.key) }
    }

    /// Hands a visitor untyped text as what the key's type asked for, where
    /// the text is that; everything else as what it is.
    fn visit_as<T: std::str::FromStr, V: Visitor<'de>>(
        self,
        visitor: V,
        visit: impl FnOnce(V, T) -> Result<V::Value, Fault>,
    ) -> Result<V::Value, Fault> {
        if let Data::Untyped(text) = &self.value.data
            && let Ok(typed) = text.parse()
        {
            return visit(visitor, typed);
        }
        self.deserialize_any(visitor)
    }

    /// Reads the value as `seed` wants it. What goes wrong is about this
    /// value, unless it is about one inside it.
    fn read<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        let place = (&self.value.origin, self.key.clone());
        seed.deserialize(self).map_err(|fault| fault.at(place.0, &place.1))
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value.data {
            Data::Untyped(text) | Data::String(text) => visitor.visit_borrowed_str(text),
            Data::Integer(number) => visitor.visit_i64(*number),
            Data::Float(number) => visitor.visit_f64(*number),
            Data::Boolean(value) => visitor.visit_bool(*value),
            Data::List(items) => visitor.visit_seq(Items { list: &self, items, next: 0 }),
            Data::Table(entries) => {
                visitor.visit_map(Entries { table: &self, rest: entries.iter(), current: None })
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit_as(visitor, |visitor, value| visitor.visit_bool(value))
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit_as(visitor, |visitor, number| visitor.visit_i64(number))
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit_as(visitor, |visitor, number| visitor.visit_i64(number))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit_as(visitor, |visitor, number| visitor.visit_f64(number))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.value.data {
            Data::Untyped(text) | Data::String(text) => {
                visitor.visit_enum(StrDeserializer::new(text))
            }
            Data::Integer(_)
            | Data::Float(_)
            | Data::Boolean(_)
            | Data::List(_)
            | Data::Table(_) => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u16 u64 u128 f32 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The elements of a list.
struct Items<'de, 'r> {
    list: &'r Reader<'de>,
    items: &'de [Value],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some(value) = self.items.get(self.next) else { return Ok(None) };
        let key = format!("{}[{}]", self.list.key, self.next);
        self.next += 1;
        Reader { value, key }.read(seed).map(Some)
    }
}

/// The entries of a table.
struct Entries<'de, 'r> {
    table: &'r Reader<'de>,
    rest: std::collections::btree_map::Iter<'de, String, Value>,
    current: Option<(&'de str, &'de Value)>,
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.current = Some((name, value));
        seed.deserialize(StrDeserializer::new(name))
            .map(Some)
            .map_err(|fault: Fault| fault.at(&value.origin, &self.table.key_of(name)))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (name, value) = self.current.take().expect("serde asks for a key before its value");
        Reader { value, key: self.table.key_of(name) }.read(seed)
    }
}
