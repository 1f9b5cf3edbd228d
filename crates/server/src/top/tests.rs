use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::draw::draw;
use super::model::{Model, View};
use crate::admin::{Member, Status};
use crate::front::Figures;
use crate::gateway::redis::Figures as RedisFigures;

/// What a node says that has members in every state, and does everything.
fn status() -> Status {
    let node = segue::Node::start(segue::Config::single("a")).expect("nothing is in its way");
    let mut status = Status::new(node.status(), &Figures::of_nothing(), None, true);
    let member = |name: &str, state: &str, lag_ms| Member {
        name: name.to_owned(),
        address: ([127, 0, 0, 1], 7700).into(),
        state: state.to_owned(),
        ready: name != "d",
        portion: "all".to_owned(),
        tier: String::new(),
        by: "multicast".to_owned(),
        heard_by: "multicast".to_owned(),
        lag_ms,
        catching_up: false,
        overflowed: 0,
    };
    status.members = vec![
        member("b", "alive", Some(0.3)),
        member("c", "dead", Some(9.0)),
        member("d", "alive", None),
    ];
    status.node.incarnation = "one".to_owned();
    status.cache.bytes = 1 << 10;
    status.cache.by_kind.tls = 3;
    (status.cache.hits_local, status.cache.misses) = (8, 2);
    status.multicast.naks_sent = 3;
    status.redis = Some(RedisFigures { connections: 2, ..RedisFigures::default() });
    (status.connections.carried, status.connections.understudy) = (true, Some("b".to_owned()));
    status
}

/// The frame of a model, as text.
fn frame(model: &Model, now: Instant, (columns, rows): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("in memory");
    terminal.draw(|frame| draw(model, now, frame)).expect("in memory");
    let buffer = terminal.backend().buffer();
    let cells = buffer.content().chunks(usize::from(columns));
    let lines = cells.map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>());
    lines.map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn press(model: &mut Model, code: KeyCode) {
    model.key(KeyEvent::new(code, KeyModifiers::NONE));
}

/// A model to which the node has answered twice, a second apart.
fn model(now: Instant) -> Model {
    let mut model = Model::new("http://127.0.0.1:9700/".to_owned());
    model.answer(now, Ok(status()));
    let mut later = status();
    later.multicast.naks_sent += 12;
    later.tls.resumed_remote += 1;
    model.answer(now + Duration::from_secs(2), Ok(later));
    model
}

#[test]
fn each_view_shows_its_figures() {
    let now = Instant::now();
    let mut model = model(now);
    let check = |model: &Model, expected: &[&str]| {
        let frame = frame(model, now, (100, 30));
        for expected in expected {
            assert!(frame.contains(expected), "{expected}:\n{frame}");
        }
    };
    check(&model, &["Node a is ready, with 2 other nodes", "alive", "dead", "not ready", "0.3 ms"]);
    press(&mut model, KeyCode::Tab);
    check(&model, &["1.0 KiB of 256.0 MiB", "3 tls", "look-ups  10\n80.0 % here", "found here"]);
    press(&mut model, KeyCode::Tab);
    check(&model, &["NAKs sent            6.0/s          15 in all"]);
    press(&mut model, KeyCode::Tab);
    check(&model, &["from elsewhere       0.5/s", "redis: 2 connections", "followed by b"]);
}

#[test]
fn no_size_and_no_view_is_too_much() {
    let now = Instant::now();
    let mut model = model(now);
    model.answer(now, Err("why ".repeat(100)));
    for _ in View::ALL {
        press(&mut model, KeyCode::Tab);
        for size in [(1, 1), (2, 1), (1, 50), (40, 10), (17, 3), (300, 2), (300, 100)] {
            frame(&model, now, size);
            press(&mut model, KeyCode::Char('?'));
            frame(&model, now, size);
            press(&mut model, KeyCode::Char('?'));
        }
    }
}

#[test]
fn who_does_not_answer_is_said_until_he_does() {
    let now = Instant::now();
    let mut model = model(now);
    for seconds in 0..10 {
        let now = now + Duration::from_secs(seconds);
        model.answer(now, Err("connection refused".to_owned()));
    }
    let later = now + Duration::from_secs(10);
    let shown = frame(&model, later, (100, 30));
    assert!(
        shown.contains("No answer from http://127.0.0.1:9700/ for 10 s, trying on: connection"),
        "{shown}"
    );
    assert!(shown.contains("Node a is ready"), "{shown}");
    model.answer(later, Ok(status()));
    assert!(!frame(&model, later, (100, 30)).contains("No answer"));
}

#[test]
fn another_start_of_the_node_counts_from_the_beginning() {
    let now = Instant::now();
    let mut model = model(now);
    let mut restarted = status();
    restarted.node.incarnation = "another".to_owned();
    restarted.multicast.naks_sent = 1;
    model.answer(now + Duration::from_secs(3), Ok(restarted));
    press(&mut model, KeyCode::Char('3'));
    let shown = frame(&model, now, (100, 30));
    assert!(shown.contains("NAKs sent              -/s           1 in all"), "{shown}");
}

#[test]
fn what_is_held_stays_until_it_is_let_go() {
    let now = Instant::now();
    let mut model = model(now);
    press(&mut model, KeyCode::Char('p'));
    let mut other = status();
    other.node.name = "other".to_owned();
    model.answer(now, Ok(other.clone()));
    let shown = frame(&model, now, (100, 30));
    assert!(shown.contains("PAUSED Node a"), "{shown}");
    press(&mut model, KeyCode::Char('p'));
    model.answer(now, Ok(other));
    assert!(frame(&model, now, (100, 30)).contains("Node other"));
}
