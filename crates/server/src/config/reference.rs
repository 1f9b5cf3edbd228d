//! The reference of all keys, told from the types that read them: their names from
//! what serde accepts, what they mean from the comments of [`super::sections`] and
//! its like, their defaults from the values themselves, their bounds from
//! [`super::bounds`]. How it is printed is none of its business.

use std::fmt;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::connections::{Connections, Plain};
use super::memcached::Memcached;
use super::redis::{Listener, NamedUser, Redis};
use super::sections::{
    Admin, Cache, Certificate, Farm, Log, Node, Portion, Prefix, Tls, Upstream, Writes,
};

/// A section and its keys.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name, as `redis.users`.
    pub(crate) path: &'static str,
    /// Whether there may be several.
    pub(crate) is_repeated: bool,
    /// What it is for.
    pub(crate) about: String,
    /// How many there may be, if that is bounded.
    pub(crate) bounds: Option<String>,
    /// What it has, in reading order.
    pub(crate) keys: Vec<Key>,
}

/// A key of a section.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name within the section.
    pub(crate) name: &'static str,
    /// What it means.
    pub(crate) about: String,
    /// The form of its values.
    pub(crate) takes: String,
    /// Its values one by one, with what each means, where there are few.
    pub(crate) choices: Vec<(String, String)>,
    /// Which values of that form are accepted.
    pub(crate) bounds: Option<String>,
    /// What holds if it is not given.
    pub(crate) default: Default,
    /// A value that may stand there, in TOML. None: its values are sections.
    pub(crate) example: Option<String>,
}

/// What holds if a key is not given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Default {
    /// It has to be given.
    Required,
    /// What its description says.
    None,
    /// This value, in TOML.
    Value(String),
}

impl Section {
    /// How it stands in a file.
    pub(crate) fn header(&self) -> String {
        if self.is_repeated { format!("[[{}]]", self.path) } else { format!("[{}]", self.path) }
    }

    /// The environment variable that overrides a key of it. Repeated sections have
    /// none: the list as a whole is a key of the section that they are in.
    pub(crate) fn variable(&self, key: &Key) -> Option<String> {
        let name = format!("{}.{}", self.path, key.name).replace('.', "__");
        (!self.is_repeated).then(|| format!("SEGUE_{}", name.to_ascii_uppercase()))
    }
}

/// Every section that a configuration may have, in reading order.
pub(crate) fn sections() -> Vec<Section> {
    vec![
        section::<Node>("node"),
        section::<Farm>("farm"),
        section::<Cache>("cache"),
        section::<Portion>("portion"),
        repeated::<Upstream>("upstream"),
        section::<Writes>("writes"),
        repeated::<Prefix>("writes.prefix"),
        section::<Tls>("tls"),
        repeated::<Certificate>("tls.certificates"),
        section::<Redis>("redis"),
        repeated::<NamedUser>("redis.users"),
        repeated::<Listener>("redis.listener"),
        section::<Memcached>("memcached"),
        section::<Connections>("connections"),
        repeated::<Plain>("connections.plain"),
        section::<Admin>("admin"),
        section::<Log>("log"),
    ]
}

fn repeated<'de, T: JsonSchema + Deserialize<'de>>(path: &'static str) -> Section {
    Section { is_repeated: true, ..section::<T>(path) }
}

fn section<'de, T: JsonSchema + Deserialize<'de>>(path: &'static str) -> Section {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    let keys = fields::<T>().iter().map(|&name| key(path, name, &schema)).collect();
    let bounds = schema["bounds"].as_str().map(str::to_owned);
    Section { path, is_repeated: false, about: about(&schema), bounds, keys }
}

fn key(path: &str, name: &'static str, schema: &Value) -> Key {
    let described = &schema["properties"][name];
    let kind = without_null(described);
    let is_required = schema["required"].as_array().is_some_and(|it| it.contains(&name.into()));
    let default = match &described["default"] {
        _ if is_required => Default::Required,
        Value::Null => Default::None,
        Value::Array(list) if list.is_empty() => Default::None,
        value @ (Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_)) => Default::Value(toml(value)),
    };
    let example = match (&described["examples"][0], &default) {
        (Value::Null, Default::Value(value)) => Some(value.clone()),
        (Value::Null, Default::Required | Default::None) => None,
        (example, _) => Some(toml(example)),
    };
    let bounds = described["bounds"].as_str().map(str::to_owned).or_else(|| limits(kind));
    let takes = takes(&format!("{path}.{name}"), kind);
    let about = about(described);
    Key { name, about, takes, choices: choices(kind), bounds, default, example }
}

/// What a schema says that a value means. Where a line ends is the source's matter.
fn about(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}

/// The schema of a value that is given: TOML has no null.
fn without_null(schema: &Value) -> &Value {
    let any = schema["anyOf"].as_array().into_iter().flatten();
    any.into_iter().find(|one| one["type"] != "null").unwrap_or(schema)
}

/// The values of an enumeration, with what each means.
fn choices(schema: &Value) -> Vec<(String, String)> {
    let one_of = schema["oneOf"].as_array().into_iter().flatten();
    one_of.map(|one| (toml(&one["const"]), about(one))).collect()
}

/// The form of a key's values.
fn takes(path: &str, schema: &Value) -> String {
    let kinds = schema["type"].as_array();
    let given = kinds.and_then(|kinds| kinds.iter().find(|&kind| kind != "null"));
    let kind = given.unwrap_or_else(|| &schema["type"]);
    let one = match (schema["form"].as_str(), kind.as_str()) {
        (Some(form), _) => form.to_owned(),
        (None, Some("boolean")) => "true or false".to_owned(),
        (None, Some("integer")) => "a whole number".to_owned(),
        (None, Some("number")) => "a number".to_owned(),
        (None, Some("string")) => "a text".to_owned(),
        (None, Some("array")) => format!("sections `[[{path}]]`"),
        (None, Some("object")) => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let names: Vec<_> = properties.map(|(name, _)| format!("`{name}`")).collect();
            format!("a table of {}", names.join(" and "))
        }
        (None, _) => "one of those below".to_owned(),
    };
    if schema["or_list"] == true { format!("{one}; or a list of such") } else { one }
}

/// What a number's type bounds it by, unless that is what nobody gives.
fn limits(schema: &Value) -> Option<String> {
    let (least, most) = (schema["minimum"].as_u64()?, schema["maximum"].as_u64()?);
    Some(format!("from {least} to {most}"))
}

/// A value as it stands in a file, in one line.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            format!("[{}]", list.iter().map(toml).collect::<Vec<_>>().join(", "))
        }
        Value::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| format!("{name} = {}", toml(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        // JSON's texts and numbers are TOML's as well.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// The names of the keys that a section's type accepts, as it tells serde.
fn fields<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    match T::deserialize(Asked) {
        Err(Fields(fields)) => fields,
        Ok(_) => &[],
    }
}

/// Takes note of what is asked for.
struct Asked;

/// The fields that were asked for, on the way that errors take.
#[derive(Debug)]
struct Fields(&'static [&'static str]);

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

impl std::error::Error for Fields {}

impl serde::de::Error for Fields {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }
}

impl<'de> Deserializer<'de> for Asked {
    type Error = Fields;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fields> {
        Err(Fields(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fields> {
        Err(Fields(fields))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
        ignored_any
    }
}

#[cfg(test)]
mod tests;
