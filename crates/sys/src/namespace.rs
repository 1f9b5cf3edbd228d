//! Networks of their own, for tests and measurements: what happens in them
//! cannot be seen outside.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace. It has no name outside, and lasts as long as this
/// value or a process or socket in it: however its user ends, the kernel takes
/// everything away.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// A new one, with nothing in it but a loopback interface that is down.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_SYS_ADMIN; ENOSPC, EUSERS: there are too many.
    pub fn new() -> io::Result<Self> {
        // Its first thread need not stay in it.
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Self::current()
        });
        made.join().expect("it does not panic")
    }

    /// Does something in this namespace: sockets, processes and threads that
    /// are made there belong to it.
    ///
    /// # Panics
    ///
    /// When the kernel does not let the thread in, or home again: without
    /// CAP_SYS_ADMIN there is no namespace to be in.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Brings the thread home, even by a panic.
        struct Home(Namespace);
        impl Drop for Home {
            fn drop(&mut self) {
                self.0.enter().expect("it came from there");
            }
        }
        let _home = Home(Self::current().expect("a thread has a network"));
        self.enter().expect("whoever made it may enter");
        work()
    }

    /// What stands for it while this value lasts, as `ip link ... netns PATH`
    /// takes it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }

    fn current() -> io::Result<Self> {
        File::open("/proc/thread-self/ns/net").map(Self)
    }

    fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.0, CloneFlags::CLONE_NEWNET)?)
    }
}
