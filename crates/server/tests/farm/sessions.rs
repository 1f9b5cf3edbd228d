//! `segue sessions`: looking at sessions, and ending them at every node.

use toml::Table;

use crate::admin::exchange;
use crate::nodes::{Farm, Node, segue};
use crate::writer::Writer;

/// What `segue sessions` prints, and whether it succeeds.
fn sessions(node: &Node, arguments: &[&str]) -> (bool, String) {
    let admin = format!("http://{}", node.admin());
    let mut command = segue();
    let output =
        command.arg("sessions").args(arguments).args(["--admin", &admin]).output().unwrap();
    let said = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// The names in a list.
fn names(list: &str) -> Vec<String> {
    list.lines().skip(1).map(|line| line[..16].to_owned()).collect()
}

#[test]
fn sessions_of_a_user_are_seen_and_ended_at_any_node() {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let b = farm.start("b", &Table::new());
    let application = Writer::join(&farm, "application", 0.0);
    application.until_it_knows(2);
    let [one, other] = [(); 2].map(|()| application.log_in("ada@example.org"));
    let bobs = application.log_in("bob@example.org");
    for node in [&a, &b] {
        let (done, list) = sessions(node, &["list", "--kind", "auth"]);
        assert!(done && names(&list).len() == 3, "{list}");
        assert!(!list.contains(&one.to_text()[..16]), "an id is a credential: {list}");
    }
    let (_, list) = sessions(&b, &["list", "--user", "ada@example.org"]);
    let shown = names(&list);
    assert_eq!(shown.len(), 2, "{list}");
    let (done, session) = sessions(&b, &["show", &shown[0]]);
    assert!(done && session.contains("ada@example.org") && session.contains("order"), "{session}");

    assert_eq!(sessions(&b, &["end", &shown[0]]), (true, "1 ended\n".to_owned()));
    assert_eq!([one, other].iter().filter(|id| application.knows(id)).count(), 1);
    let ended = sessions(&a, &["end", "--user", "ada@example.org"]);
    assert_eq!(ended, (true, "1 ended\n".to_owned()));
    assert!(!application.knows(&one) && !application.knows(&other) && application.knows(&bobs));
    let (_, list) = sessions(&a, &["list", "--kind", "auth"]);
    assert_eq!(names(&list).len(), 1, "{list}");
}

#[test]
fn what_is_no_session_is_refused_and_said() {
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    for (arguments, expected) in [
        (&["list", "--kind", "cookie"][..], "kind: found \"cookie\", expected one of tls, auth"),
        (&["show", "zz"], "id: found \"zz\", expected 16 hexadecimal digits"),
        (&["show", "0123456789abcdef"], "holds no session 0123456789abcdef"),
        (&["end", "0123456789abcdef"], "expected one that `segue sessions list` shows here"),
        (&["end"], "expected the session to end, or --user"),
    ] {
        let (done, said) = sessions(&a, arguments);
        assert!(!done && said.contains(expected), "{arguments:?}: {said}");
    }
    for path in ["/api/sessions", "/api/sessions/end"] {
        for (headers, expected) in [
            ("Content-Type: application/json\r\nOrigin: http://elsewhere.example\r\n", "403"),
            ("Content-Type: application/json\r\nSec-Fetch-Site: same-site\r\n", "403"),
            ("Content-Type: application/json\r\nSec-Fetch-Site: same-origin\r\n", "403"),
            ("Content-Type: text/plain\r\n", "415"),
        ] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: 2\r\n\r\n{{}}"
            );
            let answer = exchange(a.admin(), request.as_bytes());
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{path}: {answer}");
        }
    }
}
