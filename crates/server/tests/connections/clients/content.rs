//! Bytes that both ends know, and a web server that gives and takes them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use aws_lc_rs::digest::{Context, SHA256};
use proto::rng::Rng;

use super::process::PATIENCE;

/// Contents are so many bytes long, or a multiple.
pub(crate) const BLOCK_BYTES: u64 = 64 << 10;

/// Seeds the bytes: any number does.
const SEED: u64 = 0x5e90e;

/// Bytes that look random and are the same each time.
pub(crate) struct Content {
    rng: Rng,
    left: u64,
}

impl Content {
    /// So many, a multiple of [`BLOCK_BYTES`].
    pub(crate) fn of(bytes: u64) -> Self {
        assert_eq!(bytes % BLOCK_BYTES, 0);
        Self { rng: Rng::from_u64(SEED), left: bytes }
    }

    /// Their SHA-256, in hexadecimal.
    pub(crate) fn hash(bytes: u64) -> String {
        let mut hash = Hash::default();
        Self::of(bytes).for_each(|block| hash.take(&block));
        hash.end()
    }
}

impl Iterator for Content {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.left = self.left.checked_sub(BLOCK_BYTES)?;
        let mut block = vec![0; usize::try_from(BLOCK_BYTES).expect("it is small")];
        self.rng.fill(&mut block);
        Some(block)
    }
}

/// The SHA-256 of what comes.
pub(crate) struct Hash(Context);

impl Default for Hash {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Hash {
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn end(self) -> String {
        self.0.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// How much a server has taken, of all its clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken(Arc<(Mutex<u64>, Condvar)>);

impl Taken {
    fn add(&self, bytes: usize) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) += bytes as u64;
        self.0.1.notify_all();
    }

    pub(crate) fn so_far(&self) -> u64 {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is so much.
    pub(crate) fn until(&self, bytes: u64) {
        let taken = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(taken, PATIENCE, |taken| *taken < bytes);
        let taken = *waited.unwrap_or_else(PoisonError::into_inner).0;
        assert!(taken >= bytes, "{taken} of {bytes} bytes have come");
    }
}

/// Serves the web at an address of the calling thread's machine: who asks for
/// `/N` gets N bytes, and who puts some gets their hash. Runs until the process
/// ends.
pub(crate) fn serve_web(at: SocketAddr) -> Taken {
    let listener = TcpListener::bind(at).expect("the address is free");
    let taken = Taken::default();
    let counted = taken.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let counted = counted.clone();
            // A client that breaks off gets no answer; it says so itself.
            thread::spawn(move || answer(stream, &counted));
        }
    });
    taken
}

fn answer(stream: TcpStream, taken: &Taken) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_ascii_lowercase());
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
    if let Some(length) = length.and_then(|length| length.parse::<u64>().ok()) {
        let mut hash = Hash::default();
        let mut body = reader.take(length);
        let mut chunk = vec![0; 64 << 10];
        while let count @ 1.. = body.read(&mut chunk)? {
            hash.take(&chunk[..count]);
            taken.add(count);
        }
        let hash = hash.end();
        return write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{hash}", hash.len());
    }
    let asked = head.first().and_then(|line| line.strip_prefix("get /")?.split(' ').next());
    let bytes = asked.and_then(|asked| asked.parse().ok()).unwrap_or(0);
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n")?;
    Content::of(bytes).try_for_each(|block| stream.write_all(&block))
}

/// Sends back each line that comes, at an address of the calling thread's machine,
/// until the process ends.
pub(crate) fn serve_echo(at: SocketAddr) {
    let listener = TcpListener::bind(at).expect("the address is free");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut back = stream.try_clone()?;
                BufReader::new(stream).lines().try_for_each(|line| writeln!(back, "{}", line?))
            });
        }
    });
}
