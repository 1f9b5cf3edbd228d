//! Processes: their time and memory, their limits, their end.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::time::ClockId;
use nix::unistd::{Pid, getppid};

use crate::memory::page_bytes;

/// The niceness of a thread that is preferred: one of twenty that compete with it
/// for a processor has it wait no longer than one does otherwise (each step is a
/// factor of 1.25).
const PREFERRED: i32 = -15;

/// The processor time that a process has used, in all its threads.
///
/// # Errors
///
/// ESRCH when there is no such process.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    Ok(ClockId::pid_cpu_clock_id(known(pid)?)?.now()?.into())
}

/// The processor time that this thread has used.
///
/// # Errors
///
/// `clock_gettime`'s.
pub fn thread_cpu_time() -> io::Result<Duration> {
    Ok(ClockId::CLOCK_THREAD_CPUTIME_ID.now()?.into())
}

/// Has this thread run before others that are ready: it is one that is taken for
/// gone where it does not answer in time. It takes CAP_SYS_NICE. Its children are
/// as others are.
///
/// Where there is more than one processor it runs at the lowest real-time priority,
/// as other programs do whose silence moves services (corosync, keepalived):
/// whatever else is busy, it waits for nobody but its like, and one thread leaves
/// the rest of the processors to others. On a single one, or where the kernel does
/// not give that, it is only preferred, so that others run at all.
///
/// # Errors
///
/// EACCES or EPERM without the capability.
pub fn prefer_this_thread() -> io::Result<()> {
    let has_more = thread::available_parallelism().is_ok_and(|count| count.get() > 1);
    if has_more && set_real_time().is_ok() {
        return Ok(());
    }
    // SAFETY: it takes three numbers and no memory. In Linux niceness is a
    // thread's, and 0 is the calling one.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, PREFERRED) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn set_real_time() -> io::Result<()> {
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: the kernel reads the structure, which lives over the call, and keeps
    // no reference. 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const lowest) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How much memory a process has, in bytes.
///
/// # Errors
///
/// When there is no such process.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let path = format!("/proc/{pid}/statm");
    let pages = fs::read_to_string(&path)?
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, path))?;
    Ok(pages * page_bytes() as u64)
}

/// Keeps this process from leaving core dumps and from being read by others of
/// its user, debuggers included. `/proc/self` belongs to root from then on.
///
/// # Errors
///
/// `prctl`'s.
pub fn forbid_core_dumps() -> io::Result<()> {
    Ok(prctl::set_dumpable(false)?)
}

/// Lets this process open as many files as it may at most, and gives that
/// number.
///
/// # Errors
///
/// `setrlimit`'s.
pub fn raise_open_files() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// Lets this process and those that it starts open so many files, if it may, and
/// gives how many they may.
///
/// # Errors
///
/// `setrlimit`'s.
pub fn allow_open_files(count: u64) -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // More than the hard limit takes CAP_SYS_RESOURCE.
    if count > hard && setrlimit(Resource::RLIMIT_NOFILE, count, count).is_ok() {
        return Ok(count);
    }
    raise_open_files()
}

/// Makes the child that `command` starts die (SIGKILL) when its parent does,
/// however that ends.
///
/// To the kernel the parent is the *thread* that starts the child
/// (`PR_SET_PDEATHSIG`): start it from one that lives as long as the child
/// should, not from a pool's.
pub fn die_with_parent(command: &mut Command) {
    let parent = Pid::this();
    let ask = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // A parent that died before the request sends no signal any more.
        if getppid() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: between fork and exec the closure makes two system calls and
    // allocates nothing: its errors are plain numbers.
    unsafe { command.pre_exec(ask) };
}

/// Ends a process without a word (SIGKILL).
///
/// # Errors
///
/// ESRCH when there is no such process, EPERM when it is another user's.
pub fn crash(pid: u32) -> io::Result<()> {
    Ok(kill(known(pid)?, Signal::SIGKILL)?)
}

/// Asks a process to end (SIGTERM).
///
/// # Errors
///
/// ESRCH when there is no such process, EPERM when it is another user's.
pub fn terminate(pid: u32) -> io::Result<()> {
    Ok(kill(known(pid)?, Signal::SIGTERM)?)
}

/// Makes a process stand still (SIGSTOP) until [`go_on`] lets it.
///
/// # Errors
///
/// ESRCH when there is no such process, EPERM when it is another user's.
pub fn halt(pid: u32) -> io::Result<()> {
    Ok(kill(known(pid)?, Signal::SIGSTOP)?)
}

/// Lets a process that stands still go on (SIGCONT).
///
/// # Errors
///
/// ESRCH when there is no such process, EPERM when it is another user's.
pub fn go_on(pid: u32) -> io::Result<()> {
    Ok(kill(known(pid)?, Signal::SIGCONT)?)
}

/// The kernel's form of a process's number. Zero and what would come out
/// negative mean groups of processes to it, and are nobody here.
fn known(pid: u32) -> io::Result<Pid> {
    match i32::try_from(pid) {
        Ok(pid) if pid > 0 => Ok(Pid::from_raw(pid)),
        Ok(_) | Err(_) => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Stdio;
    use std::thread;

    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

    use super::*;

    #[test]
    fn time_and_memory_of_processes() {
        let pid = std::process::id();
        let before = (cpu_time(pid).unwrap(), thread_cpu_time().unwrap());
        let sum = (0..1_000_000_u64).fold(0, |sum: u64, n| std::hint::black_box(sum ^ n));
        assert_ne!(sum, 1);
        assert!(cpu_time(pid).unwrap() > before.0);
        assert!(thread_cpu_time().unwrap() > before.1);
        assert!(resident_bytes(pid).unwrap() > page_bytes() as u64);
    }

    #[test]
    fn a_process_that_is_not_there() {
        // Above the largest that Linux gives (PID_MAX_LIMIT, 2^22).
        for pid in [0, 1 << 23, u32::MAX] {
            assert!(cpu_time(pid).is_err() && resident_bytes(pid).is_err());
            assert!(terminate(pid).is_err() && halt(pid).is_err() && go_on(pid).is_err());
        }
    }

    #[test]
    fn the_limit_of_open_files_rises() {
        let hard = raise_open_files().unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
        assert!(allow_open_files(hard + 1).unwrap() >= hard);
        assert!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0 >= hard);
    }

    #[test]
    fn a_process_ends_when_asked_to() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        terminate(child.id()).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        drop(input);
    }

    #[test]
    fn a_process_stands_still_and_goes_on() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let stopped = Some(WaitPidFlag::WUNTRACED);
        let pid = known(child.id()).unwrap();
        halt(child.id()).unwrap();
        assert_eq!(waitpid(pid, stopped).unwrap(), WaitStatus::Stopped(pid, Signal::SIGSTOP));
        go_on(child.id()).unwrap();
        // Its standard input ends, and with it the process.
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn a_child_dies_with_the_thread_that_started_it() {
        let start = || {
            let mut command = Command::new("cat");
            die_with_parent(command.stdin(Stdio::piped()));
            command.spawn().unwrap()
        };
        let mut child = thread::spawn(start).join().unwrap();
        // Its standard input stays open, so that nothing else ends it.
        let input = child.stdin.take();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        drop(input);
    }

    #[test]
    fn a_thread_is_preferred_and_its_process_is_not() {
        // Policy and niceness, as proc(5) counts them behind the name.
        let standing = || {
            let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
            let (_, fields) = stat.rsplit_once(") ").unwrap();
            let field = |number: usize| fields.split(' ').nth(number - 3).unwrap().to_owned();
            (field(41), field(19))
        };
        let before = standing();
        let prefer = move || (prefer_this_thread(), standing());
        let (preferred, after) = thread::spawn(prefer).join().unwrap();
        match preferred {
            Ok(()) => assert!(after.0 == libc::SCHED_RR.to_string() || after.1 == "-15"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
        assert_eq!(standing(), before);
    }
}
