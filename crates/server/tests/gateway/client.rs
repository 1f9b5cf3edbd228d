//! A client that sees the bytes of replies.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::patience::PATIENCE;

pub(crate) trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

pub(crate) struct Client(BufReader<Box<dyn Stream>>);

impl Client {
    pub(crate) fn tcp(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
        stream.set_nodelay(true).expect("a TCP socket");
        Self(BufReader::new(Box::new(stream)))
    }

    pub(crate) fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
        Self(BufReader::new(Box::new(stream)))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("the server reads");
    }

    /// One command as an array of strings; its reply as it came.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Vec<u8> {
        self.send(&request(words));
        self.reply()
    }

    /// The same, for people, with what can be read of it.
    pub(crate) fn say(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let reply = self.ask(&words);
        String::from_utf8_lossy(&reply).trim_end().replace("\r\n", " ")
    }

    /// The same; none if the server has gone.
    pub(crate) fn try_ask(&mut self, words: &[&str]) -> Option<Vec<u8>> {
        self.0.get_mut().write_all(&request(words)).ok()?;
        self.try_reply().ok()
    }

    /// One reply, whatever it is.
    pub(crate) fn reply(&mut self) -> Vec<u8> {
        self.try_reply().expect("a reply")
    }

    fn try_reply(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut left = 1_usize;
        while left > 0 {
            left -= 1;
            let begin = bytes.len();
            let read = self.0.read_until(b'\n', &mut bytes)?;
            if read == 0 {
                break;
            }
            let line = String::from_utf8_lossy(&bytes[begin..]).trim_end().to_owned();
            let (kind, number) = line.split_at(1);
            let number = number.parse::<i64>().ok().and_then(|number| usize::try_from(number).ok());
            match (kind, number) {
                ("$" | "=", Some(len)) => {
                    let at = bytes.len();
                    bytes.resize(at + len + 2, 0);
                    self.0.read_exact(&mut bytes[at..])?;
                }
                ("*" | "~" | ">", Some(count)) => left += count,
                ("%", Some(count)) => left += 2 * count,
                _ => {}
            }
        }
        Ok(bytes)
    }
}

pub(crate) fn request(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}
