//! What the other tests rely on: that a window does what it is told, and that
//! nothing of it is left.

use std::path::Path;

use crate::window::{Colours, Screen, Window};

/// A page with something to write into, to press, to see and to complain of.
const PAGE: &str = "data:text/html,<title>a page</title><meta name=viewport \
    content='width=device-width'><style>@media (prefers-color-scheme: dark) \
    { p::after { content: 'dark' } }</style><p>none</p><input value=old>\
    <button>say</button><script>const said = document.querySelector('p');\
    document.querySelector('button').onclick = () => { said.textContent = \
    document.querySelector('input').value; console.error('said') }</script>";

#[test]
fn a_window_does_what_a_person_does() {
    let Some(window) = Window::open(Screen::PHONE) else { return };
    window.go(PAGE);
    assert!(window.place().starts_with("data:") && window.complaints().is_empty());
    assert_eq!(window.run("return innerWidth"), 375);
    window.write("input", "new");
    window.click("button");
    window.until("said.textContent === 'new'");
    assert!(window.complaints().iter().any(|it| it.contains("said")));

    let colours = "return getComputedStyle(said, '::after').content";
    window.prefer(Colours::Dark);
    assert_eq!(window.run(colours), "\"dark\"");
    window.prefer(Colours::Light);
    assert_eq!(window.run(colours), "none");
    assert!(window.picture("itself.png").starts_with(b"\x89PNG"));

    let first = window.tab();
    let second = window.open_tab();
    window.go("data:text/html,<p>another</p>");
    assert_eq!(window.text("p"), "another");
    window.turn_to(&first);
    assert_eq!(window.text("p"), "new");
    window.press("\t");
    window.turn_to(&second);
    let answer = window.run_to_its_end("return await Promise.resolve(7)");
    assert_eq!(answer, 7);
}

#[test]
fn pages_reach_nothing_beyond_this_machine_and_are_seen_to_try() {
    let Some(window) = Window::open(Screen::DESK) else { return };
    window.go("data:text/html,<p>here</p>");
    let tried = "return await fetch('https://segue.invalid/x').then(() => 'reached')";
    assert_eq!(window.run_to_its_end(tried), "failed: TypeError: Failed to fetch");
    assert!(window.requests().contains(&"https://segue.invalid/x".to_owned()));
    assert!(!window.complaints().is_empty());
}

#[test]
fn no_program_runs_where_none_is_allowed() {
    let Some(window) = Window::open(Screen::DESK) else { return };
    window.allow_programs(false);
    window.go("data:text/html,<p>here</p><script>document.body.textContent = 'ran'</script>");
    assert_eq!(window.text("body"), "here");
    window.allow_programs(true);
    window.go("data:text/html,<p>here</p><script>document.body.textContent = 'ran'</script>");
    assert_eq!(window.text("body"), "ran");
}

#[test]
fn nothing_is_left_of_a_window_however_its_test_ends() {
    let Some(window) = Window::open(Screen::DESK) else { return };
    let runs = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
    let pids = window.pids();
    assert!(pids.iter().all(runs));
    drop(window);
    assert!(!pids.iter().any(runs), "{pids:?}");

    // Forgotten, as when a test is killed: the thread that had it opened ends.
    let left = std::thread::spawn(|| {
        let window = Window::open(Screen::DESK).expect("the first was opened");
        let left = (window.pids(), window.folder());
        std::mem::forget(window);
        left
    });
    let (pids, folder) = left.join().unwrap();
    let ended = |pid: &u32| {
        // The zombie of a process whose parent forgot it does nothing any more.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
    };
    let all_ended = || pids.iter().all(ended).then_some(());
    crate::patience::until(all_ended, || format!("{pids:?} run"));
    std::fs::remove_dir_all(folder).unwrap();
}
