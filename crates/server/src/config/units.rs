//! The forms in which values are written: times and sizes with their units,
//! addresses with their ports, one thing or a list of them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, SeqAccess, Unexpected, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::fault::quoted;
use crate::front::Backend;
use crate::gateway::Listen;

/// A text form: what its values look like and how they are read.
pub(super) trait Form: Sized {
    /// What is expected, with an example.
    const EXPECTED: &'static str;

    /// The value that `text` says, if it says one.
    fn parse(text: &str) -> Option<Self>;

    /// The text that says this value.
    fn show(&self) -> String;
}

/// A length of time, written with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

impl Form for Time {
    const EXPECTED: &'static str = "a time with its unit, as \"30ms\" or \"12h\"";

    fn parse(text: &str) -> Option<Self> {
        humantime::parse_duration(text).ok().map(Self)
    }

    fn show(&self) -> String {
        humantime::format_duration(self.0).to_string()
    }
}

/// What times there may be, as messages and the reference say it.
pub(super) fn from_to(times: &RangeInclusive<Duration>) -> String {
    format!("from {} to {}", Time(*times.start()).show(), Time(*times.end()).show())
}

/// A number of bytes, written with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Form for Size {
    const EXPECTED: &'static str = "a size with its unit, as \"256MiB\" or \"0B\"";

    fn parse(text: &str) -> Option<Self> {
        // A bare number is refused, though `bytesize` would take it: whether
        // bytes or megabytes were meant, nobody can tell.
        let unit = text.trim_end().ends_with(|end: char| end.is_ascii_alphabetic());
        unit.then(|| text.parse().ok()).flatten().map(|ByteSize(bytes)| Self(bytes))
    }

    fn show(&self) -> String {
        // The largest unit that leaves a whole number.
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let fits = |&&(bits, _): &&(u32, _)| self.0 != 0 && self.0.trailing_zeros() >= bits;
        let (bits, unit) = units.iter().find(fits).copied().unwrap_or((0, "B"));
        format!("{}{unit}", self.0 >> bits)
    }
}

/// An IP address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) SocketAddr);

impl Form for Address {
    const EXPECTED: &'static str = "an IP address and a port, as \"127.0.0.1:8443\"";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().or_else(|| on_link(text)).map(Self)
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// Where a gateway's clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GatewayAddress(pub(crate) Listen);

impl Form for GatewayAddress {
    const EXPECTED: &'static str =
        "an IP address and a port, as \"127.0.0.1:6379\", or \"unix:/path\"";

    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some(path) => (!path.is_empty()).then(|| Self(Listen::Unix(path.into()))),
            None => Address::parse(text).map(|Address(address)| Self(Listen::Tcp(address))),
        }
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// A link-local IPv6 address with the name of its link's interface, which tells
/// links apart after a restart too: `[fe80::1%eth0]:7700`.
fn on_link(text: &str) -> Option<SocketAddr> {
    let (address, rest) = text.split_once('%')?;
    let (name, port) = rest.split_once(']')?;
    let index = segue::Interface::Name(name.to_owned()).index().ok()?;
    format!("{address}%{index}]{port}").parse().ok()
}

/// An IP address with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subnet {
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
}

impl Form for Subnet {
    const EXPECTED: &'static str =
        "an IP address and the length of its prefix, as \"10.77.0.100/24\"";

    /// How long a prefix may be is not asked here.
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = digits.then(|| prefix.parse().ok()).flatten()?;
        Some(Self { address: address.parse().ok()?, prefix })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A network interface, by address, name or index. Anything may be a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface(pub(crate) segue::Interface);

impl Form for Interface {
    const EXPECTED: &'static str = "an interface's address, name or index, as \"eth0\"";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

impl Form for Backend {
    const EXPECTED: &'static str = "a host and a port, or \"unix:\" and a path";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// Where an engine is. Of what is found instead only the scheme is shown, as the
/// rest could be a password, so that it is no [`Form`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EngineAddress(pub(crate) segue::UpstreamAddress);

impl<'de> Deserialize<'de> for EngineAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        text.parse().map(Self).map_err(|error: segue::AddressError| {
            let shown = quoted(&segue::UpstreamAddress::redacted(&text));
            let expected = segue::UpstreamAddress::EXPECTED;
            D::Error::custom(format_args!("found {shown} ({error}), expected {expected}"))
        })
    }
}

/// Reads any [`Form`] from text.
struct FormVisitor<F>(PhantomData<F>);

impl<F: Form> Visitor<'_> for FormVisitor<F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(F::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<F, E> {
        F::parse(text).ok_or_else(|| {
            // It may be an engine's address under another key.
            let may_have_password = text.contains("://") || text.contains('@');
            let redacted = may_have_password.then(|| segue::UpstreamAddress::redacted(text));
            E::invalid_value(Unexpected::Str(redacted.as_deref().unwrap_or(text)), &self)
        })
    }
}

impl JsonSchema for EngineAddress {
    fn schema_name() -> Cow<'static, str> {
        "EngineAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "form": segue::UpstreamAddress::EXPECTED })
    }
}

/// Forms are read, shown and described alike; coherence does not let one `impl`
/// say so.
macro_rules! serde_of_forms {
    ($($form:ty),*) => {$(
        impl Serialize for $form {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.show())
            }
        }

        impl JsonSchema for $form {
            fn schema_name() -> Cow<'static, str> {
                stringify!($form).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "form": <$form>::EXPECTED })
            }
        }

        impl<'de> Deserialize<'de> for $form {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(FormVisitor(PhantomData))
            }
        }
    )*};
}

serde_of_forms!(Time, Size, Address, GatewayAddress, Subnet, Interface, Backend);

/// A list, which may be written without brackets when it holds one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            list => list.serialize(serializer),
        }
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("List_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<T>();
        schema.insert("or_list".to_owned(), true.into());
        schema
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<List<T>, E> {
        let one = serde::de::value::StrDeserializer::new(text);
        T::deserialize(one).map(|one| List(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<List<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<F: Form + PartialEq + fmt::Debug>(text: &str, expected: Option<F>) {
        assert_eq!(F::parse(text), expected, "{text:?}");
        // What is shown is read as the same.
        if let Some(value) = expected {
            assert_eq!(F::parse(&value.show()), Some(value));
        }
    }

    #[test]
    fn times_need_a_unit() {
        check("30ms", Some(Time(Duration::from_millis(30))));
        check("1h 30m", Some(Time(Duration::from_secs(5_400))));
        check::<Time>("30", None);
        check::<Time>("", None);
        check::<Time>("-1s", None);
    }

    #[test]
    fn sizes_need_a_unit() {
        check("256MiB", Some(Size(256 << 20)));
        check("1.5 GiB", Some(Size(3 << 29)));
        check("0B", Some(Size(0)));
        check::<Size>("256", None);
        check::<Size>("MiB", None);
        check::<Size>("", None);
    }

    #[test]
    fn a_subnet_is_an_address_with_its_prefix() {
        let subnet = |address: &str, prefix| Subnet { address: address.parse().unwrap(), prefix };
        check("10.77.0.100/24", Some(subnet("10.77.0.100", 24)));
        check("fd00::100/64", Some(subnet("fd00::100", 64)));
        for wrong in ["10.77.0.100", "10.77.0.100/", "10.77.0.100/+8", "10.77.0.100/999", "a/8"] {
            check::<Subnet>(wrong, None);
        }
    }

    #[test]
    fn addresses_need_a_port() {
        check("[::1]:80", Some(Address("[::1]:80".parse().unwrap())));
        check("[fe80::1%lo]:80", Some(Address("[fe80::1%1]:80".parse().unwrap())));
        check::<Address>("[fe80::1%nothere0]:80", None);
        check::<Address>("127.0.0.1", None);
        check::<Address>("localhost:80", None);
    }
}
