//! What an upstream is, and where.

use std::fmt;
use std::net::SocketAddr;

use super::UpstreamAddress;

/// What is above, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamTarget {
    /// An engine outside of any farm. Needs the `redis` feature.
    Engine(UpstreamAddress),
    /// Nodes of one farm with a key in common with this one, by their `listen`
    /// addresses: any one that answers is used.
    Nodes(Vec<SocketAddr>),
}

impl fmt::Display for UpstreamTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(address) => address.fmt(f),
            Self::Nodes(addresses) => {
                f.write_str("segue://")?;
                for (at, address) in addresses.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(f, "{comma}{address}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_as_one_word() {
        let nodes = ["10.0.1.1:7700", "[fd00::1]:7700"].map(|text| text.parse().unwrap());
        let shown = UpstreamTarget::Nodes(nodes.to_vec()).to_string();
        assert_eq!(shown, "segue://10.0.1.1:7700,[fd00::1]:7700");
        let engine: UpstreamAddress = "redis://:secret@h".parse().unwrap();
        assert_eq!(UpstreamTarget::Engine(engine).to_string(), "redis://h:6379");
    }
}
