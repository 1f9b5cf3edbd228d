//! Segue's system calls: what the standard library does not offer of Linux.
//!
//! This is the only crate with unsafe code. Each unsafe block states why it is
//! sound, and what leaves this crate is safe to call in any way. It knows
//! sockets, memory, waiting and processes; it knows nothing of packets' content,
//! of the farm or of any asynchronous runtime: sockets do not block, and
//! whatever must be waited for has a file descriptor.
//!
//! In reading order:
//!
//! - [`interface`]: which network interface an address or a name means;
//! - [`multicast`]: a node's socket, and the one that hears the group;
//! - [`batch`]: many packets with one system call;
//! - [`wait`]: sleeping until a socket, a deadline or another thread calls;
//! - [`recovery`]: how soon TCP makes good what was lost;
//! - [`memory`]: pages for secrets;
//! - [`namespace`]: networks of their own;
//! - [`fence`], [`repair`]: connections that stand still, and go on elsewhere;
//! - [`carried`]: the sockets of such connections;
//! - [`queue`]: packets that wait for a verdict;
//! - [`rules`]: the firewall's part in that;
//! - [`address`]: addresses that move between machines;
//! - [`guardian`]: addresses that go with their process;
//! - [`requirements`]: what a machine lacks for all that;
//! - [`call`]: which system call was refused;
//! - [`process`]: processor time, limits, and children that do not outlive us.
//!
//! # Connections that move
//!
//! A live connection is carried to another server by six parts that know
//! nothing of each other's purpose. [`carried`] makes the sockets, such that they
//! promise little and leave nothing behind. [`queue`] and [`rules`] see to it that the
//! kernel acknowledges nothing that has not been replicated, and says nothing
//! about a connection that goes on elsewhere. [`fence`] makes a connection stand
//! still, [`repair`] reads it and makes it again, and [`address`] leads the
//! network to where it is. Who moves what, when, and whether it may, is decided
//! above. Everything here is a call and its outcome: the only state that
//! outlives a call is the kernel's, and whoever holds the value that stands for
//! it gives it back by dropping it. `docs/connections.md` tells what the kernel
//! gives and what it does not.
#![expect(unsafe_code, reason = "the crate where system calls without a safe wrapper are made")]

pub mod address;
pub mod batch;
pub mod call;
pub mod carried;
pub mod fence;
pub mod guardian;
pub mod interface;
pub mod memory;
pub mod multicast;
pub mod namespace;
mod netlink;
mod option;
pub mod process;
pub mod queue;
pub mod recovery;
pub mod repair;
pub mod requirements;
pub mod rules;
#[cfg(test)]
mod testing;
pub mod wait;
