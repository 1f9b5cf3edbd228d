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
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls: Vec<_> = self.tls.iter().map(SocketAddr::to_string).collect();
        let Self { node, admin, farm, .. } = self;
        write!(f, "ready node={node} tls={} admin={admin} farm={farm}", tls.join(","))?;
        if !self.redis.is_empty() {
            write!(f, " redis={}", self.redis.join(","))?;
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
    Some(Ready {
        node: next("node")?.to_owned(),
        tls: next("tls")?.split(',').map(str::parse).collect::<Result<_, _>>().ok()?,
        admin: next("admin")?.parse().ok()?,
        farm: next("farm")?.parse().ok()?,
        redis: next("redis")
            .map(|it| it.split(',').map(str::to_owned).collect())
            .unwrap_or_default(),
    })
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
        assert!("ready node=a tls= admin=127.0.0.1:1 farm=127.0.0.1:2".parse::<Ready>().is_err());
        assert!("listening".parse::<Ready>().is_err());
    }
}
