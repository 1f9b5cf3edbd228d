//! `segue top`.

use std::net::SocketAddr;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use toml::{Table, toml};

use crate::nodes::{Farm, Node, segue};
use crate::terminal::{self, Size, Terminal};

/// What terminals have been for fifty years.
const USUAL: Size = Size(24, 80);

fn top(admin: SocketAddr, size: Size) -> Terminal {
    Terminal::run(size, &["top", "--admin", &format!("http://{admin}")])
}

/// The line of a member.
fn member<'a>(shown: &'a str, name: &str) -> Option<&'a str> {
    shown.lines().find(|line| line.starts_with(&format!("{name} ")))
}

fn shows_member(shown: &str, name: &str, state: &str) -> bool {
    member(shown, name).is_some_and(|line| line.contains(state))
}

fn pair() -> (Farm, Node, Node) {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let b = farm.start("b", &Table::new());
    a.until_status(|status| status["members"][0]["state"] == "alive");
    (farm, a, b)
}

#[test]
fn the_node_and_its_members_are_shown_and_who_is_killed_is_dead() {
    if !terminal::is_there() {
        return;
    }
    let (_farm, a, b) = pair();
    let mut terminal = top(a.admin(), USUAL);
    terminal.until("a, and b with its portion", |shown| {
        let is_here = shown.contains("Node a is ready, with 1 other node");
        is_here && member(shown, "b").is_some_and(|b| b.contains("alive") && b.contains("all"))
    });
    drop(b);
    terminal.until("b is dead", |shown| shows_member(shown, "b", "dead"));
    terminal.until_shows("Node a is ready, alone");
    terminal.press("q");
    let (status, left) = terminal.ended();
    assert_eq!(status, 0);
    assert!(!left.contains("Node a"), "nothing of it is left: {left}");
}

#[test]
fn keys_change_the_view_hold_it_and_explain_themselves() {
    if !terminal::is_there() {
        return;
    }
    let (_farm, a, b) = pair();
    let mut terminal = top(a.admin(), USUAL);
    terminal.until_shows("member");
    for (keys, expected) in [
        ("\x1b[C", "records   0 tls"),
        ("\t", "NAKs sent"),
        ("\x1b[C", "TLS in full"),
        ("\x1b[C", "member"),
        ("\x1b[D", "TLS in full"),
        ("\x1b[Z", "repairs received"),
        ("2", "found here"),
        ("1", "member"),
        ("?", "Any key goes back"),
    ] {
        terminal.press(keys);
        terminal.until_shows(expected);
    }
    terminal.press("q");
    terminal.until("the help is put away", |shown| !shown.contains("Any key goes back"));
    terminal.press("p");
    terminal.until_shows("PAUSED");
    drop(b);
    a.until_status(|status| status["members"][0]["state"] == "dead");
    // What is drawn after that still shows b as it was.
    terminal.press("?");
    terminal.until("b as it was", |shown| {
        shown.contains("Any key goes back") && shown.contains("with 1 other node")
    });
    terminal.press("?p");
    terminal.until("b is dead", |shown| shows_member(shown, "b", "dead"));
    // Raw terminals send no signal for this key.
    terminal.press("\x03");
    assert_eq!(terminal.ended().0, 0);
}

#[test]
fn any_size_will_do() {
    if !terminal::is_there() {
        return;
    }
    let (_farm, a, _b) = pair();
    let mut terminal = top(a.admin(), Size(10, 40));
    terminal.until_shows("Node a is ready");
    for view in ["2", "3", "4", "?", "1"] {
        terminal.press(view);
    }
    for size in [Size(1, 1), Size(2, 200), Size(60, 3), Size(10, 40), Size(50, 200)] {
        terminal.resize(size);
        for view in ["2", "3", "4", "?", "1", "1"] {
            terminal.press(view);
        }
    }
    terminal.until("all of it", |shown| shown.contains("unrecovered") && shown.contains("? help"));
    terminal.press("q");
    assert_eq!(terminal.ended().0, 0);
}

#[test]
fn a_node_that_does_not_answer_is_asked_on() {
    if !terminal::is_there() {
        return;
    }
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let admin = a.admin();
    let mut terminal = top(admin, USUAL);
    terminal.until_shows("Node a is ready");
    assert!(a.stop().success());
    terminal.until("who does not answer, and what was known last", |shown| {
        let parts = ["No answer from", &admin.to_string(), "Node a is", "? help"];
        parts.iter().all(|part| shown.contains(part))
    });
    let address = admin.to_string();
    let settings = toml! {
        [admin]
        listen = address
    };
    let _b = farm.start("b", &settings);
    terminal.until("it answers", |shown| {
        shown.contains("Node b is ready") && !shown.contains("No answer from")
    });
    terminal.press("q");
    assert_eq!(terminal.ended().0, 0);

    // Nobody has ever been there.
    let mut terminal = top(([127, 0, 0, 1], 9).into(), USUAL);
    terminal.until("who is not there, and the remedy", |shown| {
        let parts = ["No answer from http://127.0.0.1:9", "Nothing is known", "segue serve"];
        parts.iter().all(|part| shown.contains(part))
    });
    terminal.press("\x1b");
    assert_eq!(terminal.ended().0, 0);
}

#[test]
fn where_there_is_a_token_it_is_shown() {
    if !terminal::is_there() {
        return;
    }
    let mut farm = Farm::new();
    let guarded = toml! { admin.token_file = "admin.token" };
    let a = farm.start("a", &guarded);
    let mut terminal = top(a.admin(), USUAL);
    terminal.until_shows("--token-file FILE");
    terminal.press("q");
    assert_eq!(terminal.ended().0, 0);

    let (admin, token) = (format!("http://{}", a.admin()), farm.path("admin.token"));
    let token = token.to_str().unwrap();
    let mut terminal = Terminal::run(USUAL, &["top", "--admin", &admin, "--token-file", token]);
    terminal.until_shows("Node a is ready");
    terminal.press("q");
    assert_eq!(terminal.ended().0, 0);

    let missing = ["top", "--admin", &admin, "--token-file", "no/such/file"];
    let (status, said) = Terminal::run(USUAL, &missing).ended();
    assert!(status == 1 && said.contains("no/such/file"), "{said}");
}

#[test]
fn signals_give_the_terminal_back() {
    if !terminal::is_there() {
        return;
    }
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut terminal = top(a.admin(), USUAL);
        terminal.until_shows("Node a is ready");
        kill(Pid::from_raw(terminal.process().try_into().unwrap()), signal).unwrap();
        assert_eq!(terminal.ended().0, 0, "{signal}");
    }
}

#[test]
fn what_is_no_terminal_is_refused() {
    let mut command = segue();
    let output = command.arg("top").stdin(Stdio::null()).output().unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no terminal") && said.contains("`segue status`"), "{said}");
}
