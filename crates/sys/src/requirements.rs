//! What carrying connections takes of a machine, and what of it is missing.
//!
//! Each need is tried, as far as that changes nothing: what a kernel was built
//! with, and what a process may do in its container, stands nowhere reliably.
//! Sockets are made and dropped; of the firewall only the command is looked for,
//! since rules can be tried only by putting them in, which says by itself what
//! it lacks ([`crate::rules::RulesError`]).

use std::fmt;
use std::path::Path;

use crate::call::CallError;
use crate::queue::{Limits, Queue};
use crate::repair::{self, Forge};
use crate::rules::MARK;

/// Something that is needed and not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What.
    pub need: Need,
    /// What the kernel answered, or what was looked for.
    pub found: String,
}

/// What carrying connections takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// Taking connections out of the kernel and putting them in.
    Repair,
    /// Raw sockets: for segments and for ARP.
    Raw,
    /// The firewall's queue, to hold what clients send.
    Queue,
    /// The firewall's command.
    Iptables,
}

impl Need {
    /// What it is called.
    const fn name(self) -> &'static str {
        match self {
            Self::Repair => "TCP_REPAIR",
            Self::Raw => "raw sockets",
            Self::Queue => "the netfilter queue",
            Self::Iptables => "the command iptables-restore",
        }
    }

    /// What helps.
    const fn remedy(self) -> &'static str {
        match self {
            Self::Repair => {
                "give the process CAP_NET_ADMIN (systemd: AmbientCapabilities=CAP_NET_ADMIN \
                 CAP_NET_RAW), or use a kernel with CONFIG_CHECKPOINT_RESTORE"
            }
            Self::Raw => {
                "give the process CAP_NET_RAW (systemd: AmbientCapabilities=CAP_NET_ADMIN \
                 CAP_NET_RAW)"
            }
            Self::Queue => {
                "give the process CAP_NET_ADMIN, or use a kernel with \
                 CONFIG_NETFILTER_NETLINK_QUEUE and load the module nfnetlink_queue; only \
                 take-over after a crash needs it"
            }
            Self::Iptables => "install the package iptables, with /usr/sbin in PATH",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { need, found } = self;
        write!(f, "{} cannot be used ({found}): {}", need.name(), need.remedy())
    }
}

/// The queue's number that is tried.
const TRIED_QUEUE: u16 = u16::MAX;

/// What is missing here; nothing, if connections can be carried.
#[must_use]
pub fn requirements() -> Vec<Missing> {
    let tries = [
        (Need::Repair, repair::available().err().map(said)),
        (Need::Raw, Forge::open(MARK).err().map(said)),
        (Need::Queue, try_queue().err().map(said)),
        (Need::Iptables, find("iptables-restore")),
    ];
    let missing = |(need, found): (Need, Option<String>)| Some(Missing { need, found: found? });
    tries.into_iter().filter_map(missing).collect()
}

fn said(error: CallError) -> String {
    error.to_string()
}

fn try_queue() -> Result<(), CallError> {
    let limits = Limits { packets: 1, bytes: 0, fail_open: true };
    match Queue::open(TRIED_QUEUE, limits) {
        // Somebody reads it: so there are queues.
        Err(error) if error.is(libc::EBUSY) => Ok(()),
        other => other.map(drop),
    }
}

/// Says that a command is in no directory of PATH, if so.
fn find(command: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |folder: &Path| folder.join(command).is_file();
    let found = std::env::split_paths(&path).any(|folder| is_there(&folder));
    (!found).then(|| format!("not found in PATH={}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::Namespace;

    #[test]
    fn who_may_make_networks_lacks_nothing() {
        match Namespace::new() {
            Ok(_) => assert_eq!(requirements(), []),
            Err(_) => assert!(requirements().iter().any(|missing| missing.need == Need::Repair)),
        }
    }

    #[test]
    fn what_is_missing_comes_with_a_remedy() {
        let found = find("a-command-that-is-not-there").unwrap();
        let missing = Missing { need: Need::Iptables, found }.to_string();
        assert!(missing.contains("PATH=") && missing.contains("install the package"), "{missing}");
        for need in [Need::Repair, Need::Raw, Need::Queue] {
            let text = Missing { need, found: "socket: EPERM".into() }.to_string();
            assert!(text.contains("socket: EPERM") && text.contains("CAP_NET_"), "{text}");
        }
    }
}
