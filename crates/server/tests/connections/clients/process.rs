//! Programs: what they are told, what they say, and how they end.

use std::io::{self, Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::patience::say;

/// How long a program may be silent, or take to end: far longer than a connection
/// stands still when its node is killed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What is read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// How many chunks may wait to be looked at; then the program has to wait.
const CHUNKS: usize = 4;

/// How often it is looked whether a program has ended.
const GLANCE: Duration = Duration::from_millis(5);

/// Whether all of these are installed. With `SEGUE_REQUIRE_NETNS=1`, where no test
/// is to be skipped, they have to be.
pub(crate) fn are_installed(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let is_there = |program: &str| folders.iter().any(|folder| folder.join(program).is_file());
    let Some(missing) = programs.iter().find(|program| !is_there(program)) else { return true };
    let required = std::env::var_os("SEGUE_REQUIRE_NETNS").is_some_and(|value| value == "1");
    assert!(!required, "SEGUE_REQUIRE_NETNS=1, but {missing} is not installed (.ci/packages)");
    say(&format!("skipped: {missing} is not installed"));
    false
}

/// A program that runs. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    /// What came and was not looked at.
    heard: Vec<u8>,
    /// What it has complained of.
    complaints: Arc<Mutex<String>>,
}

impl Process {
    /// Starts a program on the calling thread's machine.
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        sys::process::die_with_parent(command);
        let mut child = command.spawn().expect("it is installed");
        let (sender, output) = sync_channel(CHUNKS);
        let from = child.stdout.take().expect("it is piped");
        thread::spawn(move || pass(from, &sender));
        let complaints = Arc::new(Mutex::new(String::new()));
        let (from, kept) = (child.stderr.take().expect("it is piped"), Arc::clone(&complaints));
        thread::spawn(move || keep(from, &kept));
        let input = child.stdin.take();
        Self { child, input, output, heard: Vec::new(), complaints }
    }

    /// Starts a server, and waits until it says so by these words.
    pub(crate) fn serve(command: &mut Command, ready: &str) -> Self {
        let mut process = Self::start(command);
        let limit = Instant::now() + PATIENCE;
        let mut said = String::new();
        loop {
            while let Ok(chunk) = process.output.try_recv() {
                said += &String::from_utf8_lossy(&chunk);
            }
            if said.contains(ready) || process.complaints().contains(ready) {
                break;
            }
            let ended = process.child.try_wait().expect("it is our child");
            assert!(ended.is_none() && Instant::now() < limit, "{ended:?} {said} {process:?}");
            thread::sleep(GLANCE);
        }
        // From here on nobody looks at what it says, and it is not to wait for that.
        process.output = sync_channel(0).1;
        process
    }

    /// Tells it a line.
    pub(crate) fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it is told things before its input ends");
        let told = input.write_all(format!("{line}\n").as_bytes()).and_then(|()| input.flush());
        told.unwrap_or_else(|error| panic!("{error}: {}", self.complaints()));
    }

    /// The next line that it says.
    pub(crate) fn hear(&mut self) -> String {
        loop {
            if let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                return String::from_utf8_lossy(&line).trim_end().to_owned();
            }
            let more = self.read().unwrap_or_else(|| panic!("it ended: {}", self.complaints()));
            self.heard.extend(more);
        }
    }

    /// The next bytes that it says; none at its end.
    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        match self.output.recv_timeout(PATIENCE) {
            Ok(bytes) => Some(bytes),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                panic!("silent for {PATIENCE:?}: {}", self.complaints())
            }
        }
    }

    /// Whether it has not ended.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends its input, and waits until it has ended well. What it says until then.
    pub(crate) fn finish(mut self) -> String {
        self.input = None;
        while let Some(more) = self.read() {
            self.heard.extend(more);
        }
        assert!(self.until_ended(), "{}", self.complaints());
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    /// Waits until it has ended; whether that was well.
    pub(crate) fn until_ended(&mut self) -> bool {
        let limit = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().expect("it is our child") {
                Some(status) => return status.success(),
                None if Instant::now() > limit => return false,
                None => thread::sleep(GLANCE),
            }
        }
    }

    fn complaints(&self) -> String {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pass(mut from: impl Read, to: &SyncSender<Vec<u8>>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        if to.send(chunk[..count].to_vec()).is_err() {
            let _ = io::copy(&mut from, &mut io::sink());
            return;
        }
    }
}

fn keep(mut from: impl Read, to: &Mutex<String>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        let text = String::from_utf8_lossy(&chunk[..count]);
        to.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
    }
}
