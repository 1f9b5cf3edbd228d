//! The configured peers, as the machine wants them.
//!
//! How many nodes a farm has follows from them, so none may count twice.

use std::net::{SocketAddr, UdpSocket};

/// The peers without the node itself, each once: all nodes may have one list.
/// At which of the machine's addresses it listens, a wildcard does not say.
pub(crate) fn others(mut peers: Vec<SocketAddr>, own: SocketAddr) -> Vec<SocketAddr> {
    let is_here = |peer: &SocketAddr| UdpSocket::bind((peer.ip(), 0)).is_ok();
    let wildcard = own.ip().is_unspecified();
    peers.retain(|&peer| peer != own && !(wildcard && peer.port() == own.port() && is_here(&peer)));
    peers.sort_unstable();
    peers.dedup();
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn a_list_that_all_nodes_have_names_the_others() {
        // 192.0.2.0/24 is nobody's (RFC 5737).
        let listed = ["192.0.2.1:77", "127.0.0.1:77", "127.0.0.1:78", "192.0.2.1:77"];
        let own = |text: &str| others(addresses(&listed), text.parse().expect("an address"));
        assert_eq!(own("127.0.0.1:77"), addresses(&["127.0.0.1:78", "192.0.2.1:77"]));
        assert_eq!(own("0.0.0.0:78"), addresses(&["127.0.0.1:77", "192.0.2.1:77"]));
        assert_eq!(own("0.0.0.0:77"), addresses(&["127.0.0.1:78", "192.0.2.1:77"]));
    }
}
