//! Where an engine is, as one line of text; with a password that is never
//! shown.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

/// The port where no other is given: that of Redis and of Valkey.
const PORT: u16 = 6379;
/// The most nodes of a Cluster that are named. Any living one tells the rest.
const MAX_HOSTS: usize = 64;

/// Where an upstream engine is: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`
/// for a single one, `redis-cluster://[USER:PASSWORD@]HOST[:PORT],…` for a
/// Cluster. With `rediss` in the place of `redis` it is reached by TLS.
///
/// Shown without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamAddress {
    /// One, or some nodes of a Cluster.
    pub(crate) hosts: Vec<Host>,
    pub(crate) cluster: bool,
    pub(crate) tls: bool,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Zeroizing<String>>,
    pub(crate) database: u16,
}

/// A name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
}

/// A text that names no engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It begins with nothing that is known.
    #[error("a scheme that is none of redis, rediss, redis-cluster and rediss-cluster")]
    Scheme,
    /// A host's name is missing or is none.
    #[error("a host that is missing or has characters that none has")]
    Host,
    /// There are too many hosts, or several where one is meant.
    #[error("too many hosts: a Cluster begins with redis-cluster://")]
    Hosts,
    /// A port is no number from 1 to 65535.
    #[error("a port that is no number from 1 to 65535")]
    Port,
    /// Something is behind the slash that is no database.
    #[error("a database that is no number, or that of a Cluster, which has only one")]
    Database,
    /// The user or the password has a percent sign without two digits.
    #[error("a user or password with % that is not followed by two hexadecimal digits")]
    Credentials,
}

impl UpstreamAddress {
    /// What is expected, with an example of each form.
    pub const EXPECTED: &'static str = "an address as \"redis://10.0.1.1:6379\" or \
         \"redis-cluster://10.0.1.1:6379,10.0.1.2:6379\"; rediss for TLS";

    /// Whether the engine is reached by TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// A text that was meant as an address and is none, fit to be shown: its
    /// scheme. What stands where in the rest is not known, and a password may
    /// stand anywhere.
    #[must_use]
    pub fn redacted(text: &str) -> String {
        let is_part_of_one = |c: char| c.is_ascii_alphabetic() || c == '-';
        match text.split_once("://") {
            Some((scheme, _)) if scheme.chars().all(is_part_of_one) => format!("{scheme}://..."),
            Some(_) | None => "...".to_owned(),
        }
    }
}

impl FromStr for UpstreamAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let (cluster, tls) = match scheme {
            "redis" => (false, false),
            "rediss" => (false, true),
            "redis-cluster" => (true, false),
            "rediss-cluster" => (true, true),
            _ => return Err(AddressError::Scheme),
        };
        let (credentials, place) = match rest.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, rest),
        };
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        let database = match database {
            "" => 0,
            _ if cluster => return Err(AddressError::Database),
            number => number.parse().map_err(|_| AddressError::Database)?,
        };
        let most = if cluster { MAX_HOSTS } else { 1 };
        if hosts.split(',').count() > most {
            return Err(AddressError::Hosts);
        }
        let hosts = hosts.split(',').map(host).collect::<Result<_, _>>()?;
        let (user, password) = match credentials.map(|text| text.split_once(':')) {
            None => (None, None),
            Some(None) => return Err(AddressError::Credentials),
            Some(Some((user, password))) => {
                let user = Some(decoded(user)?).filter(|user| !user.is_empty());
                (user.map(|user| user.to_string()), Some(decoded(password)?))
            }
        };
        Ok(Self { hosts, cluster, tls, user, password, database })
    }
}

/// Reads `name`, `name:port`, `[address]` or `[address]:port`.
fn host(text: &str) -> Result<Host, AddressError> {
    let (name, port) = match text.strip_prefix('[') {
        Some(text) => {
            let (name, rest) = text.split_once(']').ok_or(AddressError::Host)?;
            name.parse::<std::net::Ipv6Addr>().map_err(|_| AddressError::Host)?;
            let port = rest.strip_prefix(':');
            if port.is_none() && !rest.is_empty() {
                return Err(AddressError::Port);
            }
            (name, port)
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    let is_part_of_one = |c: char| c.is_alphanumeric() || "-_.:".contains(c);
    if name.is_empty() || !name.chars().all(is_part_of_one) {
        return Err(AddressError::Host);
    }
    let port = match port.map(str::parse) {
        None => PORT,
        Some(Ok(port)) if port > 0 => port,
        Some(Ok(_) | Err(_)) => return Err(AddressError::Port),
    };
    Ok(Host { name: name.to_owned(), port })
}

/// The text that was written with percent signs (RFC 3986, section 2.1).
fn decoded(text: &str) -> Result<Zeroizing<String>, AddressError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = digit().zip(digit()).ok_or(AddressError::Credentials)?;
            u8::try_from(high << 4 | low).expect("two hexadecimal digits")
        } else {
            byte
        });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| AddressError::Credentials)?;
    Ok(Zeroizing::new(text.to_owned()))
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "s" } else { "" };
        let cluster = if self.cluster { "-cluster" } else { "" };
        write!(f, "redis{tls}{cluster}://")?;
        for (at, Host { name, port }) in self.hosts.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let (open, close) = if name.contains(':') { ("[", "]") } else { ("", "") };
            write!(f, "{comma}{open}{name}{close}:{port}")?;
        }
        if self.database > 0 { write!(f, "/{}", self.database) } else { Ok(()) }
    }
}

impl fmt::Debug for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, AddressError>) -> Option<UpstreamAddress> {
        let address = text.parse::<UpstreamAddress>();
        let shown = address.as_ref().map(ToString::to_string).map_err(|error| *error);
        assert_eq!(shown, expected.map(str::to_owned), "{text}");
        address.ok()
    }

    #[test]
    fn every_form_is_read() {
        check("redis://h", Ok("redis://h:6379"));
        check("rediss://10.0.0.1:1/3", Ok("rediss://10.0.0.1:1/3"));
        check("redis://[::1]", Ok("redis://[::1]:6379"));
        check("redis://[::1]:7/0", Ok("redis://[::1]:7"));
        check("redis-cluster://a:1,b,[::1]:3", Ok("redis-cluster://a:1,b:6379,[::1]:3"));
        check("rediss-cluster://a", Ok("rediss-cluster://a:6379"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, error) in [
            ("", AddressError::Scheme),
            ("h:6379", AddressError::Scheme),
            ("http://h", AddressError::Scheme),
            ("redis://", AddressError::Host),
            ("redis://a b", AddressError::Host),
            ("redis://[nonsense]:1", AddressError::Host),
            ("redis://[::1", AddressError::Host),
            ("redis://[::1]1", AddressError::Port),
            ("redis-cluster://a,,b", AddressError::Host),
            ("redis://a,b", AddressError::Hosts),
            ("redis://a:0", AddressError::Port),
            ("redis://a:65536", AddressError::Port),
            ("redis://a:x", AddressError::Port),
            ("redis://a/x", AddressError::Database),
            ("redis-cluster://a/1", AddressError::Database),
            ("redis://user@a", AddressError::Credentials),
            ("redis://:%zz@a", AddressError::Credentials),
            ("redis://:%ff@a", AddressError::Credentials),
        ] {
            check(text, Err(error));
        }
    }

    #[test]
    fn credentials_are_read_and_never_shown() {
        let text = "redis-cluster://us%40er:p@ss%3aword@a:1,b:2";
        let address = check(text, Ok("redis-cluster://a:1,b:2")).unwrap();
        assert_eq!(address.user.as_deref(), Some("us@er"));
        assert_eq!(address.password.as_ref().unwrap().as_str(), "p@ss:word");
        let shown = format!("{address:?} {address} {}", UpstreamAddress::redacted(text));
        for secret in ["us%40er", "us@er", "p@", "word"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert_eq!(check("redis://:secret@a", Ok("redis://a:6379")).unwrap().user, None);
    }

    #[test]
    fn of_what_is_no_address_only_the_scheme_is_shown() {
        for (text, shown) in [
            ("redis://:hunter2", "redis://..."),
            ("redis://user:hunter2", "redis://..."),
            ("redis://:hunter%zz2@host", "redis://..."),
            ("redis://:hun/ter2@host@", "redis://..."),
            (":hunter2@host", "..."),
            ("hunter2://host", "..."),
            ("hunter2", "..."),
        ] {
            text.parse::<UpstreamAddress>().expect_err("it is none");
            assert_eq!(UpstreamAddress::redacted(text), shown, "{text}");
        }
    }
}
