//! Values that know where they were given.
//!
//! What a key means is none of this module's business; it knows tables,
//! lists and scalars, and the line or variable that each came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue, Error};

use super::fault::{Fault, Origin, quoted};

/// A value and where it was given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Value {
    /// Where it was given.
    pub(crate) origin: Origin,
    /// What it is.
    pub(crate) data: Data,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    /// Text from outside a TOML file, which has no quotes to tell a string
    /// from a number: its key's type decides.
    Untyped(String),
    /// A string.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// A list.
    List(Vec<Value>),
    /// Keys and their values, in a stable order.
    Table(BTreeMap<String, Value>),
}

impl Value {
    /// A table without entries.
    pub(crate) fn empty() -> Self {
        Self { origin: Origin::Default, data: Data::Table(BTreeMap::new()) }
    }

    /// The table of a TOML document, `path` being its name in messages.
    ///
    /// # Errors
    ///
    /// When the text is no TOML.
    pub(crate) fn document(path: &Path, text: &str) -> Result<Self, Fault> {
        let ground = Ground::File { path: Arc::new(path.to_owned()), text };
        let table = DeTable::parse(text).map_err(|error| ground.syntax(&error))?;
        Ok(Self { origin: ground.at(0), data: ground.table(table.into_inner()) })
    }

    /// The value of text from outside a file: TOML where it is a list, an
    /// inline table or a quoted string, and untyped otherwise.
    ///
    /// # Errors
    ///
    /// When what looks like TOML is none.
    pub(crate) fn text(origin: &Origin, text: &str) -> Result<Self, Fault> {
        if !text.starts_with(['[', '{', '"', '\'']) {
            return Ok(Self { origin: origin.clone(), data: Data::Untyped(text.to_owned()) });
        }
        let ground = Ground::Elsewhere(origin);
        let value = DeValue::parse(text).map_err(|error| ground.syntax(&error))?;
        Ok(ground.value(value.into_inner(), 0))
    }

    /// Puts a value at a dotted key, over what is there.
    ///
    /// # Errors
    ///
    /// When the key leads through something that is no table.
    pub(crate) fn overlay(&mut self, key: &str, given: Self) -> Result<(), Fault> {
        let (section, name) = match key.rsplit_once('.') {
            Some((section, name)) => (section.split('.').collect(), name),
            None => (Vec::new(), key),
        };
        let mut table = self;
        for step in section {
            let origin = given.origin.clone();
            table = table
                .entries(key, &given.origin)?
                .entry(step.to_owned())
                .or_insert_with(|| Self { origin, data: Data::Table(BTreeMap::new()) });
        }
        table.entries(key, &given.origin)?.insert(name.to_owned(), given);
        Ok(())
    }

    fn entries(
        &mut self,
        key: &str,
        origin: &Origin,
    ) -> Result<&mut BTreeMap<String, Self>, Fault> {
        let Data::Table(entries) = &mut self.data else {
            let fault = Fault::mismatch(quoted(key), "a section's key, as tls.listen");
            return Err(fault.at(origin, key));
        };
        Ok(entries)
    }

    /// The value at a dotted key, as `tls.certificates[0].cert`.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        key.split('.').try_fold(self, |value, step| {
            let Data::Table(table) = &value.data else { return None };
            match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
                None => table.get(step),
                Some((name, index)) => match table.get(name) {
                    Some(Self { data: Data::List(list), .. }) => {
                        list.get(index.parse::<usize>().ok()?)
                    }
                    // A list of one may be written without its brackets.
                    other => other,
                },
            }
        })
    }

    /// Where the value at a dotted key was given.
    pub(crate) fn origin_of(&self, key: &str) -> Origin {
        self.get(key).map_or(Origin::Default, |value| value.origin.clone())
    }
}

/// What the values being converted stand in.
enum Ground<'a> {
    /// A file with this text.
    File { path: Arc<PathBuf>, text: &'a str },
    /// A variable or an argument.
    Elsewhere(&'a Origin),
}

impl Ground<'_> {
    /// The origin of what begins at this byte.
    fn at(&self, byte: usize) -> Origin {
        match self {
            Self::File { path, text } => {
                let before = &text.as_bytes()[..byte.min(text.len())];
                let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
                Origin::File { path: Arc::clone(path), line }
            }
            Self::Elsewhere(origin) => (*origin).clone(),
        }
    }

    /// What the TOML parser refused, in one line.
    fn syntax(&self, error: &Error) -> Fault {
        let origin = self.at(error.span().map_or(0, |span| span.start));
        Fault::other(format!("not TOML: {}", error.message().replace('\n', ", "))).at(&origin, "")
    }

    fn value(&self, value: DeValue<'_>, at: usize) -> Value {
        let data = match value {
            DeValue::String(text) => Data::String(text.into_owned()),
            // No key takes a number past 64 bits, nor a date: their own text
            // is the clearest thing to refuse.
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Data::Untyped(number.to_string()), Data::Integer),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or_else(|_| Data::Untyped(number.to_string()), Data::Float),
            DeValue::Datetime(time) => Data::Untyped(time.to_string()),
            DeValue::Boolean(value) => Data::Boolean(value),
            DeValue::Array(list) => {
                let items = list.into_iter().map(|item| {
                    let at = item.span().start;
                    self.value(item.into_inner(), at)
                });
                Data::List(items.collect())
            }
            DeValue::Table(table) => self.table(table),
        };
        Value { origin: self.at(at), data }
    }

    fn table(&self, table: DeTable<'_>) -> Data {
        let entries = table.into_iter().map(|(key, value)| {
            let at = key.span().start;
            (key.into_inner().into_owned(), self.value(value.into_inner(), at))
        });
        Data::Table(entries.collect())
    }
}
