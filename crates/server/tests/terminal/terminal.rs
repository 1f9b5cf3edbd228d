//! A pseudo-terminal with a program in it, and what a person would see there.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::ttyname;

use crate::nodes::segue;
use crate::patience::PATIENCE;
use crate::process::are_installed;

/// What the shell says when the program has ended.
const EXIT_STATUS: &str = "exit status ";
const THE_END: &str = ".";
/// The shell outlives the program, as a person's does, so that the terminal is
/// not hung up and can be looked at.
const SHELL: &str = r#""$0" "$@"; echo "exit status $?."; read -r line"#;

/// Whether there is what makes a terminal.
pub(crate) fn is_there() -> bool {
    are_installed(&["setsid", "stty"])
}

/// Rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u16, pub(crate) u16);

/// A terminal, and the program that has it. Dropped, it is hung up, which ends
/// the program.
pub(crate) struct Terminal {
    shell: Child,
    keyboard: File,
    /// The end that the program has.
    device: OwnedFd,
    shown: Receiver<Vec<u8>>,
    emulator: vt100::Parser,
    before: Termios,
}

impl Terminal {
    /// Runs `segue` with these arguments in a terminal of that size.
    pub(crate) fn run(Size(rows, columns): Size, arguments: &[&str]) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        let before = tcgetattr(&pair.slave).unwrap();
        let end = || Stdio::from(pair.slave.try_clone().unwrap());
        // Makes it the program's terminal, so that it is told of another size.
        let mut command = Command::new("setsid");
        let program = segue();
        command.args(["--ctty", "sh", "-c", SHELL]).arg(program.get_program()).args(arguments);
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("TERM", "xterm-256color").stdin(end()).stdout(end()).stderr(end());
        sys::process::die_with_parent(&mut command);
        let shell = command.spawn().unwrap();
        let mut screen = File::from(pair.master.try_clone().unwrap());
        let (show, shown) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends when the terminal does, or when nobody looks.
            while let Ok(read @ 1..) = screen.read(&mut bytes) {
                if show.send(bytes[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let emulator = vt100::Parser::new(rows, columns, 0);
        let (keyboard, device) = (File::from(pair.master), pair.slave);
        Self { shell, keyboard, device, shown, emulator, before }
    }

    /// Types.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Makes the terminal another size.
    pub(crate) fn resize(&mut self, Size(rows, columns): Size) {
        let device = ttyname(&self.device).unwrap();
        let size = ["rows", &rows.to_string(), "columns", &columns.to_string()].map(str::to_owned);
        let done = Command::new("stty").arg("--file").arg(device).args(size).status().unwrap();
        assert!(done.success());
        self.emulator.screen_mut().set_size(rows, columns);
    }

    /// What is to be seen, line by line.
    pub(crate) fn text(&self) -> String {
        self.emulator.screen().contents()
    }

    /// Waits until something is to be seen, and gives all that is. A frame comes
    /// in parts: what belongs together is waited for together.
    pub(crate) fn until(&mut self, what: &str, is_seen: impl Fn(&str) -> bool) -> String {
        let limit = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if is_seen(&text) {
                return text;
            }
            let left = limit.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.emulator.process(&bytes),
                Err(RecvTimeoutError::Timeout) => panic!("never seen: {what}\n{text}"),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended before: {what}\n{text}"),
            }
        }
    }

    /// Waits until a text is to be seen.
    pub(crate) fn until_shows(&mut self, text: &str) -> String {
        self.until(text, |shown| shown.contains(text))
    }

    /// The program's process.
    pub(crate) fn process(&self) -> u32 {
        let shell = self.shell.id();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        children.unwrap().trim().parse().expect("the shell has one child")
    }

    /// Waits until the program has ended. Gives its exit status, and what is to
    /// be seen after that.
    pub(crate) fn ended(mut self) -> (i32, String) {
        let shown = self.until("the end", |text| {
            text.contains(EXIT_STATUS) && text.trim_end().ends_with(THE_END)
        });
        let (left, status) = shown.rsplit_once(EXIT_STATUS).expect("the shell says it");
        let status = status.trim_end().trim_end_matches(THE_END).trim().parse().unwrap();
        let screen = self.emulator.screen();
        assert!(!screen.alternate_screen(), "the screen from before is back");
        assert!(!screen.hide_cursor(), "the cursor is back");
        let after = tcgetattr(&self.device).unwrap();
        let modes = |it: &Termios| (it.input_flags, it.output_flags, it.local_flags);
        assert_eq!(modes(&after), modes(&self.before), "lines are read as before");
        (status, left.to_owned())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
