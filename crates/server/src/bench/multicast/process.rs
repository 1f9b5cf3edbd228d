//! A member, as the bench sees it: a process that obeys.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::orders::{Order, Place, Reply, Role};

/// A member's process. Dropped, it is killed.
pub(super) struct Process {
    child: Child,
    orders: ChildStdin,
    replies: BufReader<ChildStdout>,
    /// Its unicast address, once it is ready.
    pub(super) address: SocketAddr,
}

impl Process {
    /// Starts a member of that role. It belongs to the network of the calling
    /// thread, and dies with it.
    pub(super) fn start(place: &Place, role: &Role) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bench-member").stdin(Stdio::piped()).stdout(Stdio::piped());
        sys::process::die_with_parent(&mut command);
        let mut child = command.spawn().context("a member's process")?;
        let orders = child.stdin.take().expect("standard input is piped");
        let replies = child.stdout.take().expect("standard output is piped");
        let address = (Ipv4Addr::UNSPECIFIED, 0).into();
        let mut member = Self { child, orders, replies: BufReader::new(replies), address };
        member.tell(&(place, role))?;
        Ok(member)
    }

    /// Waits until it is there.
    pub(super) fn ready(&mut self) -> anyhow::Result<()> {
        let Reply::Ready(address) = self.hear()? else { bail!("a member begins with its address") };
        self.address = address;
        Ok(())
    }

    /// Has it do something.
    pub(super) fn ask(&mut self, order: &Order) -> anyhow::Result<Reply> {
        self.tell(order)?;
        self.hear()
    }

    /// Makes it stand still until it is let go on.
    pub(super) fn halt(&self) -> io::Result<()> {
        sys::process::halt(self.child.id())
    }

    /// Lets it go on.
    pub(super) fn go_on(&self) -> io::Result<()> {
        sys::process::go_on(self.child.id())
    }

    /// Tells it to do something that takes a while.
    pub(super) fn tell(&mut self, what: &impl Serialize) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.orders, what)?;
        writeln!(self.orders)?;
        Ok(self.orders.flush()?)
    }

    /// Waits for what it answers.
    pub(super) fn hear(&mut self) -> anyhow::Result<Reply> {
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        if line.is_empty() {
            bail!("a member has ended: see above");
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It fails when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
