//! `segue sessions` as a person sees it.

use toml::Table;

use crate::nodes::{Farm, Node};
use crate::terminal::{self, Size, Terminal};
use crate::writer::Writer;

/// Wide enough that no line is broken.
const WIDE: Size = Size(24, 120);

/// Runs `segue sessions`, and gives its exit status and what is to be seen.
fn sessions(node: &Node, arguments: &[&str]) -> (i32, String) {
    let admin = format!("http://{}", node.admin());
    let arguments = [&["sessions"][..], arguments, &["--admin", &admin]].concat();
    Terminal::run(WIDE, &arguments).ended()
}

#[test]
fn sessions_are_listed_shown_and_ended() {
    if !terminal::is_there() {
        return;
    }
    let mut farm = Farm::new();
    let a = farm.start("a", &Table::new());
    let application = Writer::join(&farm, "application", 0.0);
    application.until_it_knows(1);
    let ada = application.log_in("ada@example.org");
    application.log_in("bob@example.org");

    let (code, list) = sessions(&a, &["list", "--kind", "auth"]);
    assert_eq!(code, 0, "{list}");
    let mut lines = list.lines();
    let header: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["id", "kind", "bytes", "ends", "in", "user"]);
    let of_ada = list.lines().find(|line| line.ends_with("ada@example.org")).unwrap();
    let name = &of_ada[..16];
    assert!(list.contains("bob@example.org"), "{list}");

    let (code, session) = sessions(&a, &["show", name]);
    assert_eq!(code, 0, "{session}");
    for line in ["user              ada@example.org", "by                password"] {
        assert!(session.contains(line), "{session}");
    }
    let (code, said) = sessions(&a, &["end", name]);
    assert!(code == 0 && said.starts_with("1 ended\n"), "{said}");
    assert!(!application.knows(&ada));
    let (code, said) = sessions(&a, &["show", name]);
    assert!(code == 1 && said.starts_with("error: "), "{said}");
}
