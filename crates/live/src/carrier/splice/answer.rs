//! What is said at one end for what came in at the other.
//!
//! Between plain ends it is the same bytes. With TLS at the client's end, records
//! are opened and sealed, and TLS may have something to say by itself. Each
//! answer comes with how far it answers the input and with what TLS needs to go
//! on after it, so that whoever has the one has the other.

use proto::connection::End;
use proto::connection::sequence::Position;
use tls_rustls::records::Records;
use zeroize::Zeroizing;

use super::Splice;

/// What was read at an end.
#[derive(Debug, Clone, Copy)]
pub(in crate::carrier) enum Input<'a> {
    Bytes(&'a [u8]),
    /// The peer's end.
    End,
}

/// What is to be said at an end.
pub(in crate::carrier) struct Said {
    pub(in crate::carrier) end: End,
    /// The bytes; none: those that were read.
    pub(in crate::carrier) bytes: Option<Zeroizing<Vec<u8>>>,
    /// How far the input is answered by it.
    pub(in crate::carrier) consumed: Position,
    /// Whether nothing comes after it.
    pub(in crate::carrier) fin: bool,
    /// What TLS needs to go on after it.
    pub(in crate::carrier) tls: Option<Zeroizing<Vec<u8>>>,
}

/// A stream that was cut short or makes no sense: the other end must not take it
/// for complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::carrier) struct Cut;

impl Splice {
    /// What is said for `input` at `from`: at most two answers, put into `said`.
    ///
    /// # Errors
    ///
    /// When the connection has to end by a reset, after what is in `said`.
    pub(in crate::carrier) fn answer(
        &mut self,
        from: End,
        input: Input<'_>,
        said: &mut Vec<Said>,
    ) -> Result<(), Cut> {
        let side = self.side_mut(from);
        match input {
            Input::Bytes(bytes) => side.read = side.read + bytes.len(),
            Input::End => side.ended = true,
        }
        let read = side.read;
        let backend_read = self.side(End::Backend).read;
        let Some(records) = &mut self.records else {
            let bytes = if let Input::End = input { Some(Zeroizing::default()) } else { None };
            let fin = matches!(input, Input::End);
            said.push(Said { end: from.other(), bytes, consumed: read, fin, tls: None });
            return Ok(());
        };
        match from {
            End::Client => opened(records, input, backend_read, said),
            End::Backend => {
                sealed(records, input, backend_read, said);
                Ok(())
            }
        }
    }
}

/// What the client's records say.
fn opened(
    records: &mut Records,
    input: Input<'_>,
    backend_read: Position,
    said: &mut Vec<Said>,
) -> Result<(), Cut> {
    let Input::Bytes(bytes) = input else {
        // After its closure, or after ours, a client may go without more words.
        let complete = records.received_close() || records.sent_close();
        if complete && !records.received_close() {
            said.push(to_backend(records, Zeroizing::default(), true));
        }
        return if complete { Ok(()) } else { Err(Cut) };
    };
    let was_closed = records.received_close();
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let result = records.open(bytes, &mut plain);
    let closes = records.received_close() && !was_closed;
    said.push(to_backend(records, plain, closes));
    if records.wants_flush() {
        let mut out = Zeroizing::default();
        let _ = records.flush(&mut out);
        let fin = result.is_err();
        said.push(to_client(records, out, backend_read, fin));
    }
    result.map(drop).map_err(|_| Cut)
}

/// What the backend says, in records.
fn sealed(records: &mut Records, input: Input<'_>, backend_read: Position, said: &mut Vec<Said>) {
    let mut out = Zeroizing::default();
    let fin = match input {
        Input::Bytes(bytes) => {
            // A client that was told the end hears no more.
            let _ = records.seal(&[bytes], &mut out);
            false
        }
        Input::End => {
            records.close();
            let _ = records.flush(&mut out);
            true
        }
    };
    said.push(to_client(records, out, backend_read, fin));
}

fn to_backend(records: &Records, plain: Zeroizing<Vec<u8>>, fin: bool) -> Said {
    let consumed = Position(records.received().stream);
    Said { end: End::Backend, bytes: Some(plain), consumed, fin, tls: Some(needed(records)) }
}

fn to_client(
    records: &Records,
    out: Zeroizing<Vec<u8>>,
    backend_read: Position,
    fin: bool,
) -> Said {
    let tls = Some(needed(records));
    Said { end: End::Client, bytes: Some(out), consumed: backend_read, fin, tls }
}

/// What TLS needs to go on from here, beside the client's bytes from the last
/// whole record on.
pub(in crate::carrier) fn needed(records: &Records) -> Zeroizing<Vec<u8>> {
    records.snapshot_of_whole_records().encode()
}
