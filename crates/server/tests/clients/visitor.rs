//! A visitor of web applications, who keeps their cookies. It knows of HTTP what
//! they need: one request a connection, and the answer until its end.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::patience::PATIENCE;

/// Someone with a browser.
#[derive(Default)]
pub(crate) struct Visitor {
    cookies: BTreeMap<String, String>,
}

impl Visitor {
    /// Looks at a page: what it says.
    pub(crate) fn get(&mut self, server: &str, path: &str) -> String {
        self.visit(server, "GET", path)
    }

    /// Sends a form without fields: what the page says after that.
    pub(crate) fn post(&mut self, server: &str, path: &str) -> String {
        self.visit(server, "POST", path)
    }

    /// Someone with the same cookies, as of now.
    pub(crate) fn twin(&self) -> Self {
        Self { cookies: self.cookies.clone() }
    }

    fn visit(&mut self, server: &str, method: &str, path: &str) -> String {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut stream = TcpStream::connect(server).expect("the application serves");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {server}\r\nContent-Length: 0\r\nCookie: {}\r\n\r\n",
            cookies.join("; ")
        );
        stream.write_all(request.as_bytes()).expect("the application reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1);
        assert_eq!(status, Some("200"), "{method} {path}: {answer}");
        for line in head.lines() {
            let Some((name, value)) = line.split_once(": ") else { continue };
            if name.eq_ignore_ascii_case("set-cookie") {
                let pair = value.split(';').next().unwrap_or_default();
                let (name, value) = pair.split_once('=').expect("a name and a value");
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        body.to_owned()
    }
}
