//! The line that a node prints when it serves, for people and for scripts.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// A node that serves, and its addresses with their real ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ready {
    /// The node's name.
    pub(crate) node: String,
    /// Where its clients connect; at least one.
    pub(crate) tls: Vec<SocketAddr>,
    /// Where it shows its state.
    pub(crate) admin: SocketAddr,
    /// Where other nodes reach it.
    pub(crate) farm: SocketAddr,
    /// Where clients of Redis' protocol connect, if they are served.
    pub(crate) redis: Vec<String>,
    /// Where those of memcached's do.
    pub(crate) memcached: Vec<String>,
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls: Vec<_> = self.tls.iter().map(SocketAddr::to_string).collect();
        let Self { node, admin, farm, .. } = self;
        write!(f, "ready node={node} tls={} admin={admin} farm={farm}", tls.join(","))?;
        for (name, addresses) in [("redis", &self.redis), ("memcached", &self.memcached)] {
            if !addresses.is_empty() {
                write!(f, " {name}={}", addresses.join(","))?;
            }
        }
        Ok(())
    }
}

/// A line that is no [`Ready`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected \"ready node=NAME tls=ADDRESS admin=ADDRESS farm=ADDRESS\", found {0:?}")]
pub(crate) struct NotReady(String);

impl FromStr for Ready {
    type Err = NotReady;

    fn from_str(line: &str) -> Result<Self, NotReady> {
        parse(line).ok_or_else(|| NotReady(line.to_owned()))
    }
}

fn parse(line: &str) -> Option<Ready> {
    let mut words = line.strip_prefix("ready ")?.split(' ');
    let mut next = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
    let mut ready = Ready {
        node: next("node")?.to_owned(),
        tls: next("tls")?.split(',').map(str::parse).collect::<Result<_, _>>().ok()?,
        admin: next("admin")?.parse().ok()?,
        farm: next("farm")?.parse().ok()?,
        redis: Vec::new(),
        memcached: Vec::new(),
    };
    for word in words {
        let (name, addresses) = word.split_once('=')?;
        let addresses = addresses.split(',').map(str::to_owned).collect();
        match name {
            "redis" => ready.redis = addresses,
            "memcached" => ready.memcached = addresses,
            _ => return None,
        }
    }
    Some(ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        let line = "ready node=a tls=127.0.0.1:8443,[::1]:8443 admin=127.0.0.1:9700 \
                    farm=127.0.0.1:7700";
        let ready: Ready = line.parse().unwrap();
        assert_eq!((ready.node.as_str(), ready.tls.len(), ready.admin.port()), ("a", 2, 9_700));
        assert_eq!(ready.to_string(), line);
        let with_redis = format!("{line} redis=127.0.0.1:6379,unix:/run/s");
        let ready: Ready = with_redis.parse().unwrap();
        assert_eq!((ready.redis.len(), ready.to_string()), (2, with_redis));
        let with_memcached = format!("{line} memcached=127.0.0.1:11211");
        let ready: Ready = with_memcached.parse().unwrap();
        assert_eq!((ready.memcached.len(), ready.to_string()), (1, with_memcached));
        assert!("ready node=a tls= admin=127.0.0.1:1 farm=127.0.0.1:2".parse::<Ready>().is_err());
        assert!("listening".parse::<Ready>().is_err());
    }
}
