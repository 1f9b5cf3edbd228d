//! One HTTP/1.1 request over a stream that is open already, and its answer.

use std::io::{self, Read, Write};

/// What a server has answered.
pub(crate) struct Answer {
    /// The status line and the headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The status, as in `200`.
    pub(crate) fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

/// What the nodes of tests that ask for a token have: others disregard it.
pub(crate) const TOKEN: &str = "of-the-tests-0123456789";

/// Asks for `path` and gives the body of the answer; the connection is used up.
///
/// # Errors
///
/// The stream's, and `InvalidData` for any answer but `200`.
pub(crate) fn get(stream: impl Read + Write, host: &str, path: &str) -> io::Result<String> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n");
    let answer = ask(stream, &head, "")?;
    match answer.status() {
        "200" => Ok(answer.body),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}{}", answer.head, answer.body),
        )),
    }
}

/// Sends a request, whose head has every line but the last ones, and gives the
/// answer; the connection is used up.
///
/// # Errors
///
/// The stream's, and `InvalidData` for what is no answer.
pub(crate) fn ask(mut stream: impl Read + Write, head: &str, body: &str) -> io::Result<Answer> {
    let length = match body.len() {
        0 => String::new(),
        bytes => format!("Content-Length: {bytes}\r\n"),
    };
    write!(stream, "{head}{length}Connection: close\r\n\r\n{body}")?;
    stream.flush()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 ") => {
            Ok(Answer { head: head.to_owned(), body: body.to_owned() })
        }
        Some(_) | None => Err(io::Error::new(io::ErrorKind::InvalidData, answer)),
    }
}
