//! The page at `/`: the node's status for people. It needs no script; the
//! browser loads it again by itself.

use std::fmt::Write;

use super::status::Status;
use super::summary::{headline, sections};

/// The page that shows `status`.
pub(super) fn page(status: &Status) -> String {
    let mut body = String::new();
    for section in sections(status) {
        let rows = section.rows.iter().map(|(name, value)| {
            format!("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value))
        });
        write!(body, "<h2>{}</h2>\n<dl>\n{}</dl>\n", section.title, rows.collect::<String>())
            .expect("writing to a string does not fail");
    }
    // The template's own marks go first: what is put in for them is not
    // looked at again.
    let title = escaped(&headline(status));
    let (head, tail) = include_str!("page.html")
        .split_once("{sections}")
        .expect("the template has a place for the sections");
    format!("{}{body}{tail}", head.replace("{title}", &title))
}

/// Text as HTML: members' names come from the network.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
