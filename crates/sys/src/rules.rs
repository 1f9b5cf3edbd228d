//! The rules of the firewall that a carried connection needs, in chains of our
//! own.
//!
//! What a client sends is held before the kernel sees it, and what the kernel
//! would say about a connection that goes on elsewhere is not sent
//! ([`Guard`]). The rules stand in two chains of the table `mangle` whose names
//! end in the node's number, so that a node that was killed finds and removes
//! what it had left; of everybody else's rules only the jumps to our own chains
//! are touched. They are put in by `iptables-restore`, all at once: either all
//! of them are there or none. The commands take some ten milliseconds and block.

mod program;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::process::{Command, Output, Stdio};

use crate::call::{CallError, Named};
use crate::option;

/// What is done to the connections of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Which connections.
    pub connections: Connections,
    /// Where segments with data, SYN or FIN that come, and SYNs and SYN-ACKs
    /// that leave, wait for a verdict; `None` lets them pass. So a reader sees
    /// both of those of each connection, whoever begins it. Resets to clients wait
    /// there as well, which only a reader can know to be true; with `None` they are
    /// dropped. Without a reader all of them are dropped: what nobody has replicated
    /// is not acknowledged, and a process that is gone resets nothing.
    pub queue: Option<u16>,
}

/// A set of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// Those of clients to a listener.
    To(SocketAddr),
    /// Our own ones, from an address to a backend.
    From(IpAddr, SocketAddr),
}

/// Rules that are in place. Dropping this takes them out.
#[derive(Debug)]
pub struct Rules {
    node: u64,
}

/// Why rules could not be put in or taken out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// The command is not there.
    #[error("{command} cannot be run ({source}): install the package `iptables`")]
    Missing {
        /// Its name.
        command: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The command failed: by lack of CAP_NET_ADMIN, or of a kernel's part.
    #[error(
        "{command}: {said}; it takes CAP_NET_ADMIN and a kernel with the matches `mark`, `bpf` \
         and `addrtype` and the target `NFQUEUE`"
    )]
    Failed {
        /// Its name.
        command: &'static str,
        /// What it wrote.
        said: String,
    },
    /// An address of one family was paired with one of the other.
    #[error("{0} and {1} are not of one address family")]
    Families(IpAddr, SocketAddr),
}

/// The mark of what may pass: a connection that was closed for good, and what
/// was forged. The letters "Segu", so that nobody else has it by accident.
pub const MARK: u32 = 0x5365_6775;
/// The mark of what may end its own direction and no more: [`MARK`] but for its
/// last bit, so that one match takes both.
const FINISH_MARK: u32 = MARK & !1;

/// The two families' commands: one to look, one to change.
const COMMANDS: [(&str, &str); 2] =
    [("iptables", "iptables-restore"), ("ip6tables", "ip6tables-restore")];

impl Rules {
    /// Puts in the rules of these guards in place of what is there of this
    /// node, if anything. `node` is a number that other nodes on this machine
    /// do not have.
    ///
    /// # Errors
    ///
    /// [`RulesError`]; then there are none.
    pub fn install(node: u64, guards: &[Guard]) -> Result<Self, RulesError> {
        let rules = Self { node };
        for (v6, (look, restore)) in COMMANDS.into_iter().enumerate() {
            let of_family = guards.iter().filter(|guard| guard.is_v6() == (v6 == 1));
            let lines: String =
                of_family.map(|guard| guard.rules(node)).collect::<Result<_, _>>()?;
            // A machine without IPv6 needs none of its commands.
            if lines.is_empty() {
                remove(node, look, restore).or_else(|error| absent(error, v6 == 1))?;
            } else {
                change(restore, &installing(node, &listed(look)?, &lines))?;
            }
        }
        Ok(rules)
    }

    /// Takes out what a node that did not end by itself has left.
    ///
    /// # Errors
    ///
    /// [`RulesError`].
    pub fn sweep(node: u64) -> Result<(), RulesError> {
        for (v6, (look, restore)) in COMMANDS.into_iter().enumerate() {
            remove(node, look, restore).or_else(|error| absent(error, v6 == 1))?;
        }
        Ok(())
    }

    /// Takes the rules out.
    ///
    /// # Errors
    ///
    /// [`RulesError`]; what is left then is removed at the next start.
    pub fn remove(self) -> Result<(), RulesError> {
        let node = self.node;
        std::mem::forget(self);
        Self::sweep(node)
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        // Nobody is left to be told; the next start sweeps.
        let _swept = Self::sweep(self.node);
    }
}

/// Lets a socket's FIN and RST through from here on: what closes the connection
/// is known to whoever would go on with it.
///
/// # Errors
///
/// `setsockopt`'s: EPERM without CAP_NET_ADMIN.
pub fn let_close(socket: impl AsFd) -> Result<(), CallError> {
    option::set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_MARK, MARK).of("setsockopt SO_MARK")
}

/// Lets a socket's FIN through from here on, and no RST: that its own direction
/// ends is known to whoever would go on with it, and the connection is open.
///
/// # Errors
///
/// `setsockopt`'s: EPERM without CAP_NET_ADMIN.
pub fn let_finish(socket: impl AsFd) -> Result<(), CallError> {
    option::set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_MARK, FINISH_MARK)
        .of("setsockopt SO_MARK")
}

impl Guard {
    fn is_v6(&self) -> bool {
        match self.connections {
            Connections::To(address) => address.is_ipv6(),
            Connections::From(address, _) => address.is_ipv6(),
        }
    }

    /// What the chains get for it.
    fn rules(&self, node: u64) -> Result<String, RulesError> {
        let (arriving, leaving, begins) = match self.connections {
            Connections::To(own) => {
                let (ip, port) = (own.ip(), own.port());
                let leaving = format!("-s {ip} --sport {port}");
                (format!("-d {ip} --dport {port}"), leaving, "SYN,ACK SYN,ACK")
            }
            Connections::From(own, to) if own.is_ipv4() != to.is_ipv4() => {
                return Err(RulesError::Families(own, to));
            }
            Connections::From(own, to) => {
                let (ip, port) = (to.ip(), to.port());
                (
                    format!("-d {own} -s {ip} --sport {port}"),
                    format!("-s {own} -d {ip} --dport {port}"),
                    // With ACK as well, should both ends begin at once.
                    "SYN SYN",
                )
            }
        };
        let mut text = String::new();
        let closes = format!("{MARK:#x}");
        let finishes = format!("{FINISH_MARK:#x}/{:#x}", !(MARK ^ FINISH_MARK));
        let mut rule = |chain: &str, matches: &str, target: &str, but: &str| {
            writeln!(text, "-A {chain} -p tcp {matches} -m mark ! --mark {but} -j {target}")
                .expect("a string takes all");
        };
        let (incoming, outgoing) = (incoming(node), outgoing(node));
        if self.is_v6() {
            // Whose address is not here is silent. Of IPv4 the kernel sees to that
            // itself.
            rule(&outgoing, &format!("{leaving} -m addrtype ! --src-type LOCAL"), "DROP", &closes);
        }
        if let Some(queue) = self.queue {
            let target = format!("NFQUEUE --queue-num {queue}");
            let program = if self.is_v6() { program::V6 } else { program::V4 };
            let speaks = format!("-m bpf --bytecode \"{}\"", program::text(program));
            rule(&incoming, &format!("{arriving} {speaks}"), &target, &closes);
            rule(&outgoing, &format!("{leaving} --tcp-flags {begins}"), &target, &closes);
        }
        let reset = match (self.queue, self.connections) {
            (Some(queue), Connections::To(_)) => format!("NFQUEUE --queue-num {queue}"),
            (None, _) | (_, Connections::From(..)) => "DROP".to_owned(),
        };
        for (end, but, target) in [("FIN", &finishes, "DROP"), ("RST", &closes, &reset)] {
            rule(&outgoing, &format!("{leaving} --tcp-flags {end} {end}"), target, but);
        }
        Ok(text)
    }
}

fn incoming(node: u64) -> String {
    format!("SEGUE-IN-{node:016x}")
}

fn outgoing(node: u64) -> String {
    format!("SEGUE-OUT-{node:016x}")
}

/// The built-in chains and ours that they lead to.
fn jumps(node: u64) -> [(&'static str, String); 2] {
    [("INPUT", incoming(node)), ("OUTPUT", outgoing(node))]
}

/// What makes the chains have just these rules, and be led to once.
fn installing(node: u64, listed: &str, rules: &str) -> String {
    let mut text = "*mangle\n".to_owned();
    for (from, chain) in jumps(node) {
        // Makes the chain, or empties it.
        writeln!(text, ":{chain} - [0:0]").expect("a string takes all");
        text.push_str(&unlead(listed, from, &chain));
        writeln!(text, "-I {from} 1 -j {chain}").expect("a string takes all");
    }
    text + rules + "COMMIT\n"
}

/// What removes the chains, if there is anything of them.
fn removing(node: u64, listed: &str) -> Option<String> {
    let mut text = String::new();
    for (from, chain) in jumps(node) {
        if listed.lines().any(|line| line == format!("-N {chain}")) {
            text.push_str(&unlead(listed, from, &chain));
            writeln!(text, "-F {chain}\n-X {chain}").expect("a string takes all");
        }
    }
    (!text.is_empty()).then(|| format!("*mangle\n{text}COMMIT\n"))
}

/// What takes out the jumps that are there, of which there may be several.
fn unlead(listed: &str, from: &str, chain: &str) -> String {
    let jump = format!("{from} -j {chain}");
    let there = listed.lines().filter(|line| *line == format!("-A {jump}"));
    there.map(|_| format!("-D {jump}\n")).collect()
}

fn remove(node: u64, look: &'static str, restore: &'static str) -> Result<(), RulesError> {
    match removing(node, &listed(look)?) {
        Some(text) => change(restore, &text),
        None => Ok(()),
    }
}

/// Where there is no IPv6, there is nothing to remove.
fn absent(error: RulesError, v6: bool) -> Result<(), RulesError> {
    let without = !std::path::Path::new("/proc/sys/net/ipv6").exists();
    if v6 && without { Ok(()) } else { Err(error) }
}

/// All rules of the table, as a list of commands.
fn listed(command: &'static str) -> Result<String, RulesError> {
    let output = Command::new(command).args(["-w", "-t", "mangle", "-S"]).output();
    let output = succeeded(command, output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes changes, all or none.
fn change(command: &'static str, text: &str) -> Result<(), RulesError> {
    let run = || {
        let mut child = Command::new(command)
            .args(["-w", "--noflush"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut input = child.stdin.take().expect("it is piped");
        // A command that ended early says why below.
        let _written = input.write_all(text.as_bytes());
        drop(input);
        child.wait_with_output()
    };
    succeeded(command, run()).map(drop)
}

fn succeeded(command: &'static str, output: io::Result<Output>) -> Result<Output, RulesError> {
    let output = output.map_err(|source| RulesError::Missing { command, source })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
    Err(RulesError::Failed { command, said })
}

#[cfg(test)]
mod tests;
