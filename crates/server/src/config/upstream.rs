//! Whether what is said of the tier above can be used.

use std::net::SocketAddr;

use segue::UpstreamConfig;

use super::certificates;
use super::fault::Fault;
use super::judge::Judge;
use super::sections::{Sections, Upstream, Wait};
use super::units::{Address, EngineAddress};

/// The most upstreams: every write goes to each.
pub(super) const MAX_UPSTREAMS: usize = 4;
/// The most nodes of one that are named: a few seconds pass until all have been
/// called.
pub(super) const MAX_NODES: usize = 16;

impl Judge<'_> {
    /// What is above, and whether what asks for a tier has one.
    pub(super) fn upstreams(&mut self, sections: &Sections) -> Vec<UpstreamConfig> {
        let mut upstreams = Vec::new();
        if sections.upstream.len() > MAX_UPSTREAMS {
            let expected = format!("at most {MAX_UPSTREAMS}");
            self.fault("upstream", Fault::mismatch(sections.upstream.len(), expected));
        }
        for (at, upstream) in sections.upstream.iter().enumerate() {
            let place = format!("upstream[{at}]");
            let expected = "redis = \"redis://HOST:PORT\" or segue = [\"HOST:PORT\"]";
            match (&upstream.redis, &upstream.segue.0[..]) {
                (None, []) => {
                    self.fault(&place, Fault::mismatch("an upstream without address", expected));
                }
                (Some(_), [_, ..]) => {
                    let expected =
                        format!("one of {expected}: another one is another [[upstream]]");
                    self.fault(&place, Fault::mismatch("both redis and segue", expected));
                }
                (Some(address), []) => upstreams.push(self.engine(&place, address, upstream)),
                (None, addresses) => {
                    self.nodes(&place, addresses, upstream, sections.farm.listen.0);
                    let addresses = addresses.iter().map(|address| address.0).collect();
                    upstreams.push(UpstreamConfig::nodes(addresses));
                }
            }
        }
        if !upstreams.is_empty() && sections.farm.keys.0.is_empty() {
            let fault = Fault::mismatch("an upstream without farm.keys", "the key that seals")
                .remedy(
                    "`segue keygen` makes one: with a key in memory only, nothing that this node \
                 writes there could ever be read again",
                );
            self.fault("upstream", fault);
        }
        if sections.upstream.is_empty() {
            for (key, wait) in sections.writes.pairs() {
                if wait == Wait::Tier {
                    let fault = Fault::mismatch("\"tier\" without [[upstream]]", "a tier above")
                        .remedy("add [[upstream]] with redis = \"redis://HOST:PORT\"");
                    self.fault(key, fault);
                }
            }
        }
        upstreams
    }

    fn engine(
        &mut self,
        place: &str,
        EngineAddress(address): &EngineAddress,
        upstream: &Upstream,
    ) -> UpstreamConfig {
        let key = format!("{place}.ca");
        let ca = match upstream.ca.as_deref().map(certificates::pem).transpose() {
            Ok(Some(_)) if !address.is_tls() => {
                let expected = "an address that begins with rediss:// or rediss-cluster://";
                self.fault(&key, Fault::mismatch("authorities without TLS", expected));
                None
            }
            Ok(ca) => ca,
            Err(fault) => {
                self.fault(&key, fault);
                None
            }
        };
        UpstreamConfig { ca, ..UpstreamConfig::new(address.clone()) }
    }

    /// Judges the addresses of nodes above.
    fn nodes(
        &mut self,
        place: &str,
        addresses: &[Address],
        upstream: &Upstream,
        listen: SocketAddr,
    ) {
        let key = format!("{place}.segue");
        if addresses.len() > MAX_NODES {
            let expected = format!("at most {MAX_NODES} addresses of one farm");
            self.fault(&key, Fault::mismatch(addresses.len(), expected));
        }
        for &Address(address) in addresses {
            let (ip, port) = (address.ip(), address.port());
            if ip.is_unspecified() || ip.is_multicast() || port == 0 {
                let expected = "the farm.listen of a node above, as \"10.0.1.1:7700\"";
                self.fault(&key, Fault::mismatch(address, expected));
            } else if address.is_ipv4() != listen.is_ipv4() {
                let expected = format!("addresses of the family of farm.listen, {listen}");
                self.fault(&key, Fault::mismatch(address, expected));
            } else if address == listen {
                let expected = "nodes of another farm: this is farm.listen, this node itself";
                self.fault(&key, Fault::mismatch(address, expected));
            }
        }
        if upstream.ca.is_some() {
            let expected = "no ca with segue: nodes prove the farm's key to each other";
            self.fault(&format!("{place}.ca"), Fault::mismatch("authorities", expected));
        }
    }
}
