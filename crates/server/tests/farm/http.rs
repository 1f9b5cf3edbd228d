//! One HTTP/1.1 request over a stream that is open already, and its answer.

use std::io::{self, Read, Write};

/// What the nodes of tests that ask for a token have: others disregard it.
pub(crate) const TOKEN: &str = "of-the-tests-0123456789";

/// Asks for `path` and gives the body of the answer; the connection is used up.
///
/// # Errors
///
/// The stream's, and `InvalidData` for any answer but `200`.
pub(crate) fn get(mut stream: impl Read + Write, host: &str, path: &str) -> io::Result<String> {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n\
         Connection: close\r\n\r\n"
    )?;
    stream.flush()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        Some(_) | None => Err(io::Error::new(io::ErrorKind::InvalidData, answer)),
    }
}
