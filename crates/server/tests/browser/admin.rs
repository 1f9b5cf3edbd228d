//! The page of a node's operators: that it shows the farm and moves, what it does
//! when it is told, and what it refuses to others.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::thread;

use toml::Table;

use crate::client::Client;
use crate::http::TOKEN;
use crate::nodes::{Farm, Node};
use crate::window::{Colours, Screen, Window};
use crate::writer::Writer;

fn page(node: &Node) -> String {
    format!("http://{}/", node.admin())
}

/// Waits until the picture is there.
fn open(window: &Window, url: &str) {
    window.go(url);
    window.until("document.querySelector('#live.on') && document.querySelector('.card.alive')");
}

/// An expression: the text of the card of a node.
fn card(name: &str) -> String {
    format!("document.querySelector('.card[data-node=\"{name}\"]')")
}

/// Nodes of several tiers: those with these names share; d keeps what two of them
/// keep, and e what all of them do.
fn tiers(farm: &mut Farm, sharing: &[&'static str]) -> Vec<Node> {
    let edge = toml::toml! {
        node.tier = "edge"
        portion.keep = "share"
        portion.replicas = 2
    };
    let region = toml::toml! {
        node.tier = "region"
        portion.keep = "of"
        portion.of = ["a", "b"]
    };
    let core = toml::toml! {
        node.tier = "core"
        portion.keep = "of"
        portion.of = ["edge"]
    };
    let shares = sharing.iter().map(|&name| (name, &edge));
    let all = shares.chain([("d", &region), ("e", &core)]);
    let nodes: Vec<_> = all.map(|(name, settings)| farm.start(name, settings)).collect();
    for node in &nodes {
        node.until_status(|status| {
            let members = status["members"].as_array().unwrap();
            members.iter().filter(|it| it["state"] == "alive" && it["ready"] == true).count()
                == nodes.len() - 1
        });
    }
    nodes
}

#[test]
fn the_picture_appears_and_moves_without_being_loaded_again() {
    let Some(window) = Window::open(Screen::DESK) else { return };
    let mut farm = Farm::new();
    let nodes = tiers(&mut farm, &["a", "b", "c"]);
    open(&window, &page(&nodes[0]));
    window.run("window.loaded_once = true");
    for name in ["a", "b", "c", "d", "e"] {
        window.until(&format!("{}.classList.contains('alive')", card(name)));
    }
    // Higher tiers above; what both keep in the same columns.
    window.until("document.querySelectorAll('#map .tier').length === 2");
    assert!(window.text("#map .tier:first-child").contains("region"), "it is above");
    window.until(&format!("{}.querySelectorAll('.kept').length === 2", card("a")));
    window.until(&format!("{}.querySelectorAll('.kept').length === 3", card("e")));
    window.run(&format!("{}.focus()", card("a")));
    window.until(&format!("{}.textContent.includes('includes it')", card("e")));
    window.until(&format!("{}.textContent.includes('overlaps')", card("b")));
    assert!(window.text("body").contains("The farm"));

    // An event changes a figure.
    let figure = "document.querySelector('[data-all=full]').textContent";
    window.until(&format!("{figure} === '0 in all'"));
    Client::new(&farm).visit(nodes[0].tls()).unwrap();
    window.until(&format!("{figure} === '1 in all'"));
    window.until("Number(document.querySelector('[data-figure=records]').textContent) > 0");

    // And so does a death.
    let mut nodes = nodes;
    drop(nodes.remove(1));
    window.until(&format!("{}.classList.contains('dead')", card("b")));
    window.until("window.loaded_once");
    let elsewhere = |url: &String| !url.starts_with(&page(&nodes[0])) && !url.starts_with("data:");
    let requests = window.requests();
    assert!(!requests.iter().any(elsewhere), "{requests:?}");
    let complaints = window.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[test]
fn it_is_read_by_day_and_by_night_on_a_desk_and_on_a_phone() {
    let Some(window) = Window::open(Screen::PHONE) else { return };
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let mut grounds = Vec::new();
    for colours in [Colours::Light, Colours::Dark] {
        window.prefer(colours);
        open(&window, &page(&a));
        grounds.push(window.run("return getComputedStyle(document.body).backgroundColor"));
        // Nothing is wider than the screen.
        window.until("document.documentElement.scrollWidth <= innerWidth");
        let contrast = window.run(CONTRAST);
        // WCAG 2.2, 1.4.3.
        assert!(contrast.as_f64().unwrap() >= 4.5, "{colours:?}: {contrast}");
    }
    assert_ne!(grounds[0], grounds[1]);
    assert!(window.complaints().is_empty());
}

/// The least contrast of any text with what it stands on.
const CONTRAST: &str = "
    const light = (colour) => {
        const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
        const linear = parts.map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (colour !== 'rgba(0, 0, 0, 0)') return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let least = 21;
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        const disabled = element.closest('button:disabled');
        if (disabled || !texts.currentNode.data.trim() || !element.getClientRects().length) continue;
        const [one, other] = [light(getComputedStyle(element).color), light(ground(element))];
        least = Math.min(least, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05));
    }
    return least;";

#[test]
fn it_is_true_without_a_program_too() {
    let Some(window) = Window::open(Screen::DESK) else { return };
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let _b = farm.start("b", &Table::new());
    a.until_status(|status| status["members"][0]["state"] == "alive");
    window.allow_programs(false);
    window.go(&page(&a));
    assert_eq!(window.text("h1"), "Node a is ready, with 1 other node");
    assert!(window.text("#words").contains("incarnation"));
    window.click("summary");
    let nodes = window.text("#nodes");
    assert!(nodes.contains("a alive") && nodes.contains("b "), "{nodes}");
    assert!(window.text("#overlaps").contains("the same"));
}

#[test]
fn a_session_that_is_ended_on_the_page_is_ended() {
    let Some(window) = Window::open(Screen::DESK) else { return };
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let application = Writer::join(&farm, "application", 0.0);
    application.until_it_knows(1);
    let adas = application.log_in("<b>ada</b>@example.org");
    let bobs = application.log_in("bob@example.org");
    open(&window, &page(&a));
    window.write("#wanted [name=user]", "<b>ada</b>@example.org");
    window.press("\u{e007}");
    window.until("document.querySelectorAll('#found tbody tr').length === 1");
    assert!(window.text("#found").contains("<b>ada</b>@example.org"), "as it was written");
    window.click("#found button");
    window.until("document.querySelector('#said').textContent.startsWith('1 ended')");
    assert!(!application.knows(&adas) && application.knows(&bobs));
    let complaints = window.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
}

/// A page of somebody else, at every path; its address.
fn stranger() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<p>";
            let _ = stream.write_all(page.as_bytes());
        }
    });
    address
}

#[test]
fn pages_of_others_are_refused() {
    let Some(window) = Window::open(Screen::DESK) else { return };
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let application = Writer::join(&farm, "application", 0.0);
    application.until_it_knows(1);
    let adas = application.log_in("ada@example.org");
    let end = "JSON.stringify({ user: 'ada@example.org' })";
    let stranger = stranger();
    // The same site, as browsers count, and another one.
    for origin in [stranger.to_string(), format!("stranger.example:{}", stranger.port())] {
        window.go(&format!("http://{origin}/"));
        let a = page(&a);
        for attempt in [
            format!("return await (await fetch('{a}api/status')).text()"),
            format!("return (await fetch('{a}api/status', {{ mode: 'no-cors' }})).status"),
            format!(
                "const sent = {{ method: 'POST', body: {end} }};
                     return await (await fetch('{a}api/sessions/end', sent)).text()"
            ),
            format!(
                "const sent = {{ method: 'POST', mode: 'no-cors', body: {end} }};
                     return (await fetch('{a}api/sessions/end', sent)).status"
            ),
            format!(
                "const headers = {{ 'content-type': 'application/json', 'x-segue-order': '1' }};
                     const sent = {{ method: 'POST', headers, body: {end} }};
                     return await (await fetch('{a}api/sessions/end', sent)).text()"
            ),
            format!(
                "const events = new EventSource('{a}api/events');
                     return await new Promise((resolve) => {{
                         events.onmessage = () => resolve('told');
                         events.onerror = () => resolve('failed: refused');
                     }})"
            ),
            format!(
                "const frame = document.createElement('iframe');
                     const loaded = new Promise((resolve) => {{ frame.onload = resolve; }});
                     frame.src = '{a}';
                     document.body.append(frame);
                     await loaded;
                     return frame.contentDocument ? 'seen' : 'failed: not ours to see'"
            ),
        ] {
            let outcome = window.run_to_its_end(&attempt);
            // Without the right to read, an answer has the status 0.
            let is_refused = outcome == 0
                || outcome.as_str().is_some_and(|outcome| outcome.starts_with("failed: "));
            assert!(is_refused, "{origin}: {attempt}: {outcome}");
        }
    }
    assert!(application.knows(&adas));
    // A link leads to the page, and a foreign name to nothing.
    window.run(&format!("location.href = '{}'", page(&a)));
    window.until("document.querySelector('.card.alive')");
    window.go(&format!("http://rebound.example:{}/", a.admin().port()));
    assert!(window.text("body").starts_with("Host: found \"rebound.example:"));
}

#[test]
fn where_there_is_a_token_people_log_in() {
    let Some(window) = Window::open(Screen::DESK) else { return };
    let mut farm = Farm::new();
    let guarded = toml::toml! { admin.token_file = "admin.token" };
    let a = farm.start("a", &guarded);
    window.go(&page(&a));
    assert_eq!(window.text("h1"), "Log in to this node");
    window.write("[name=token]", "of-somebody-else-0123456789");
    window.click("button");
    window.until("document.querySelector('[role=alert]')");
    window.write("[name=token]", TOKEN);
    window.click("button");
    window.until("document.querySelector('.card.alive')");
    assert_eq!(window.run("return document.cookie"), "", "no program reads it");
    let asked = "return (await fetch('/api/status')).status";
    assert_eq!(window.run_to_its_end(asked), 200);
    window.click("#logout button");
    window.until("document.querySelector('[name=token]')");
    assert_eq!(window.run_to_its_end(asked), 401);
}

#[test]
fn a_drill_kills_a_node_and_the_page_shows_it() {
    let Some(window) = Window::open(Screen::DESK) else { return };
    let mut farm = Farm::of_a_demo();
    let a = farm.start("a", &Table::new());
    let b = farm.start("b", &Table::new());
    a.until_status(|status| status["members"][0]["state"] == "alive");
    open(&window, &page(&a));
    window.until(&format!("{}.classList.contains('alive')", card("b")));
    window.click(".card[data-node=b] button");
    assert_eq!(b.ended().signal(), Some(9));
    window.until(&format!("{}.classList.contains('dead')", card("b")));
    window.until(&format!("{}.classList.contains('alive')", card("a")));
    window.click(".card[data-node=a] button");
    window.until("document.querySelector('#live').textContent === 'the node does not answer'");
}

#[test]
fn screenshot_of_the_farm() {
    let Some(window) = Window::open(Screen::TALL) else { return };
    let mut farm = Farm::new();
    let mut nodes = tiers(&mut farm, &["a", "b", "c", "f"]);
    // What there is to see: handshakes at all, and one that died.
    let client = Client::new(&farm);
    for node in nodes.iter().cycle().take(30) {
        client.visit(node.tls()).unwrap();
    }
    open(&window, &page(&nodes[0]));
    drop(nodes.remove(2));
    window.until(&format!("{}.classList.contains('dead')", card("c")));
    client.visit(nodes[0].tls()).unwrap();
    window.until("document.querySelectorAll('#tiles polyline').length > 10");
    window.run(&format!("{}.focus({{ preventScroll: true }})", card("a")));
    for (colours, name) in [(Colours::Light, "farm.png"), (Colours::Dark, "farm-dark.png")] {
        window.prefer(colours);
        assert!(window.picture(name).len() > 10_000);
    }
}
