//! The way from rustls to [`Records`].
//!
//! Rustls gives keys, but not the traffic secrets that the next keys come from:
//! those are taken where it would log them ([`SecretTap`]), and compared with
//! the keys. And it keeps what it has read: an unfinished record in its buffer
//! would be lost. So it is given whole records only, and none after the
//! handshake ([`Inlet`]). What it has already opened or sealed is drained.

use std::fmt;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::{KeyLog, ServerConnection};
use zeroize::Zeroizing;

use super::keys::{HEADER_BYTES, Secret, Suite};
use super::open::MAX_BODY_BYTES;
use super::snapshot::Snapshot;
use super::state::{Mark, State};
use super::{Epoch, Records};

/// What rustls' key log calls the two secrets that records come from.
const CLIENT: &str = "CLIENT_TRAFFIC_SECRET_0";
const SERVER: &str = "SERVER_TRAFFIC_SECRET_0";

/// How many key updates rustls may have seen before it is asked for its keys:
/// it refuses more of them in a row (see `MAX_IDLE` in `open`), and from an
/// [`Inlet`] it sees none.
const MAX_TURNS: u32 = 32;

/// Where a connection's traffic secrets go during its handshake. For one
/// connection, or several of which the last counts.
#[derive(Clone, Default)]
pub struct SecretTap(Arc<Mutex<Tapped>>);

#[derive(Default)]
struct Tapped {
    client: Option<Bytes>,
    server: Option<Bytes>,
}

type Bytes = Zeroizing<Vec<u8>>;

impl SecretTap {
    /// Both secrets, the client's first.
    fn take(&self) -> Option<(Bytes, Bytes)> {
        let mut tapped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tapped.client.take().zip(tapped.server.take())
    }

    /// Forgets the secrets, where the connection is not carried after all: keys
    /// that follow from them would otherwise never be gone.
    pub fn forget(&self) {
        drop(self.take());
    }
}

impl KeyLog for SecretTap {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        let mut tapped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match label {
            CLIENT => &mut tapped.client,
            SERVER => &mut tapped.server,
            _ => return,
        };
        *place = Some(Zeroizing::new(secret.to_vec()));
    }

    fn will_log(&self, label: &str) -> bool {
        matches!(label, CLIENT | SERVER)
    }
}

impl fmt::Debug for SecretTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretTap")
    }
}

/// Gives rustls a client's bytes by whole records, until the handshake is done.
#[derive(Debug, Default)]
pub struct Inlet {
    /// What rustls was not given.
    kept: Vec<u8>,
    /// How much it was.
    given: u64,
}

impl Inlet {
    /// For a connection that was given the first `given` bytes by other means:
    /// whole records.
    #[must_use]
    pub const fn after(given: u64) -> Self {
        Self { kept: Vec::new(), given }
    }

    /// Takes in the client's next bytes. They are given to rustls by
    /// [`Inlet::feed`]; less than a record is left after that, until the
    /// handshake is done.
    pub fn put(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
    }

    /// Has rustls process the whole records that are here, one after the other
    /// and none after the handshake's last. Says whether the handshake is done.
    ///
    /// # Errors
    ///
    /// What rustls fails with; it may have an alert to be written.
    pub fn feed(&mut self, connection: &mut ServerConnection) -> Result<bool, rustls::Error> {
        let mut from = 0;
        while connection.is_handshaking() {
            let Some(record) = whole(&self.kept[from..]) else { break };
            let mut rest = record;
            while !rest.is_empty() {
                // Nothing is taken of what follows a client's closure.
                match connection.read_tls(&mut rest) {
                    Ok(0) => rest = &[],
                    Ok(_) => {}
                    Err(error) => return Err(rustls::Error::General(error.to_string())),
                }
                connection.process_new_packets()?;
            }
            from += record.len();
        }
        self.kept.drain(..from);
        self.given += from as u64;
        Ok(!connection.is_handshaking())
    }
}

impl From<Inlet> for Vec<u8> {
    /// What rustls was not given, for a connection that goes on with it.
    fn from(inlet: Inlet) -> Self {
        inlet.kept
    }
}

/// The first record, as soon as it is there as a whole. What cannot become one
/// is given as it is, for rustls to refuse.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let &[_, _, _, high, low] = bytes.first_chunk::<HEADER_BYTES>()?;
    let body = usize::from(u16::from_be_bytes([high, low]));
    if body > MAX_BODY_BYTES {
        return Some(bytes);
    }
    bytes.get(..HEADER_BYTES + body)
}

/// A connection that was taken over from rustls. None of it may be dropped.
#[must_use]
pub struct Extracted {
    /// What goes on with it.
    pub records: Records,
    /// What the client has sent and nobody has read, early data included:
    /// before what [`Extracted::unread`] opens to.
    pub plaintext: Vec<u8>,
    /// What is still to be written to the client, before anything else.
    pub unsent: Vec<u8>,
    /// What the client has sent beyond the handshake, for [`Records::open`].
    pub unread: Vec<u8>,
}

impl fmt::Debug for Extracted {
    /// What the client said is between it and the application.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extracted")
            .field("records", &self.records)
            .field("plaintext", &self.plaintext.len())
            .field("unsent", &self.unsent.len())
            .field("unread", &self.unread.len())
            .finish()
    }
}

/// Why a connection was not taken over. It is lost then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// Neither its suite nor its version is carried: see [`Suite::of`].
    #[error("the connection is not of TLS 1.3, or its handshake is not done")]
    NotCarried,
    /// The tap is not that of this connection.
    #[error("rustls' keys do not come from the secrets that it logged")]
    Secrets,
    /// Rustls does not give its keys.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    /// Rustls does not give what it has read or is to write.
    #[error("rustls' buffers: {0}")]
    Buffers(#[from] std::io::Error),
}

/// Takes a connection over from rustls, after its handshake: its suite must be
/// one that is carried ([`Suite::of`]), and `tap` its key log. `written` is how
/// many bytes were written to the client so far.
///
/// # Errors
///
/// [`ExtractError`]; the connection is lost.
pub fn extract(
    mut connection: ServerConnection,
    tap: &SecretTap,
    inlet: Inlet,
    written: u64,
    epoch: Epoch,
) -> Result<Extracted, ExtractError> {
    let suite = Suite::of(&connection).ok_or(ExtractError::NotCarried)?;
    let mut plaintext = Vec::new();
    if let Some(mut early) = connection.early_data() {
        early.read_to_end(&mut plaintext)?;
    }
    // With nothing new, this says how it stands.
    let closed = connection.process_new_packets()?.peer_has_closed();
    drain(&mut connection, &mut plaintext)?;
    // An answer to a key update waits for the next write, and would be lost;
    // an empty one brings it forward.
    std::io::Write::write(&mut connection.writer(), &[])?;
    let mut unsent = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut unsent)?;
    }
    let secrets = connection.dangerous_extract_secrets()?;
    let (client, server) = tap.take().ok_or(ExtractError::Secrets)?;
    let (receiving, turned) = find(suite, &client, &secrets.rx.1)?;
    let received =
        Mark { generation: turned, sequence: secrets.rx.0, stream: inlet.given, plain: 0 };
    let (sending, turned) = find(suite, &server, &secrets.tx.1)?;
    let stream = written + unsent.len() as u64;
    let sent = Mark { generation: turned, sequence: secrets.tx.0, stream, plain: 0 };
    let mut state = State::new(received, sent);
    if closed {
        state.received.phase = super::Phase::Closed;
    }
    let snapshot = Snapshot { epoch, state, receiving, sending, pending: Vec::new() };
    let records = Records::of(snapshot, epoch);
    Ok(Extracted { records, plaintext, unsent, unread: inlet.kept })
}

/// Reads what rustls has opened already.
fn drain(connection: &mut ServerConnection, out: &mut Vec<u8>) -> std::io::Result<()> {
    match connection.reader().read_to_end(out) {
        Ok(_) => Ok(()),
        // There is no more yet, or the stream has ended: both are for others to
        // see.
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::UnexpectedEof
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The secret that rustls' keys come from, and after how many key updates.
fn find(
    suite: Suite,
    first: &[u8],
    keys: &rustls::ConnectionTrafficSecrets,
) -> Result<(Secret, u32), ExtractError> {
    let mut secret = Secret::new(suite, first).ok_or(ExtractError::Secrets)?;
    for turned in 0..=MAX_TURNS {
        if secret.gives(keys) {
            return Ok((secret, turned));
        }
        secret = secret.next();
    }
    Err(ExtractError::Secrets)
}
