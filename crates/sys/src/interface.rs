//! Which network interface an address or a name means.
//!
//! Multicast is joined and sent on an interface, and people name it by one of
//! its addresses, by its name or by the kernel's index, which is what all come
//! to.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::str::FromStr;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{if_indextoname, if_nametoindex};

/// A network interface, as a configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interface {
    /// The one that has this address.
    Address(IpAddr),
    /// The one of this name, such as `eth0`, or of this index if none has it for
    /// a name.
    Name(String),
}

/// Why an interface could not be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterfaceError {
    /// No interface of this machine has that address.
    #[error("no interface of this machine has the address {0}")]
    NoAddress(IpAddr),
    /// There is no interface of that name.
    #[error("no interface is named {name}: {source}")]
    NoName {
        /// The name that was looked for.
        name: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The list of interfaces could not be read.
    #[error("getifaddrs: {0}")]
    List(io::Error),
}

impl Interface {
    /// The kernel's number of this interface, from 1.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] when there is no such interface.
    pub fn index(&self) -> Result<u32, InterfaceError> {
        match self {
            Self::Address(address) => index_of(&name_of(*address)?),
            Self::Name(name) => index_of(name).or_else(|error| numbered(name).ok_or(error)),
        }
    }
}

/// Whatever is not an address is taken for a name.
impl FromStr for Interface {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Address))
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

fn index_of(name: &str) -> Result<u32, InterfaceError> {
    if_nametoindex(name)
        .map_err(|errno| InterfaceError::NoName { name: name.to_owned(), source: errno.into() })
}

/// The index that is written in place of a name, if there is such an interface.
fn numbered(name: &str) -> Option<u32> {
    // nix 0.31 gives an empty name where there is none.
    let exists = |&index: &u32| if_indextoname(index).is_ok_and(|name| !name.is_empty());
    name.parse().ok().filter(exists)
}

fn name_of(wanted: IpAddr) -> Result<String, InterfaceError> {
    getifaddrs()
        .map_err(|errno| InterfaceError::List(errno.into()))?
        .find(|entry| address_of(entry).is_some_and(|address| covers(address, wanted)))
        .map(|entry| entry.interface_name)
        .ok_or(InterfaceError::NoAddress(wanted))
}

/// The loopback interface answers for all of 127.0.0.0/8 and lists one address.
fn covers(listed: IpAddr, wanted: IpAddr) -> bool {
    listed == wanted || (wanted.is_ipv4() && listed.is_ipv4() && both_loopback(listed, wanted))
}

fn both_loopback(a: IpAddr, b: IpAddr) -> bool {
    a.is_loopback() && b.is_loopback()
}

fn address_of(entry: &InterfaceAddress) -> Option<IpAddr> {
    let address = entry.address.as_ref()?;
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &str) -> Result<u32, InterfaceError> {
        let Ok(interface) = text.parse::<Interface>();
        interface.index()
    }

    #[test]
    fn the_loopback_interface_by_name_address_and_index() {
        let by_name = index("lo").unwrap();
        assert_eq!(index("127.0.0.1").unwrap(), by_name);
        assert_eq!(index("127.3.2.1").unwrap(), by_name);
        assert_eq!(index(&by_name.to_string()).unwrap(), by_name);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let no_name = index("nothere0").unwrap_err();
        assert!(no_name.to_string().contains("nothere0"), "{no_name}");
        assert!(index("4294967295").is_err());
        // TEST-NET-1 (RFC 5737) is nobody's address.
        let no_address = index("192.0.2.1").unwrap_err();
        assert!(matches!(no_address, InterfaceError::NoAddress(_)), "{no_address}");
    }
}
