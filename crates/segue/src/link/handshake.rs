//! The first stream of a connection: both ends prove the farm's key, then say
//! who they are.
//!
//! The end that calls proves first, so that nobody learns more by calling than
//! that there is a node. The name and incarnation of either end are sent only to
//! an end that has proven itself. The called end proves the same key.

use proto::keyring::FarmKey;
use proto::proof::{self, EXPORTED_BYTES, Side};
use proto::wire::link::{CLAIM_BYTES, Claim, INTRODUCTION_BYTES, Introduction};
use quinn::{Connection, ConnectionError, ReadExactError, RecvStream, SendStream, WriteError};
use zeroize::Zeroizing;

use super::{Code, Identity, LinkError};

/// What the exported secret is for (RFC 5705's label).
const LABEL: &[u8] = b"EXPERIMENTAL segue link";

/// Proves this end, which called, and has the other one prove itself. Gives who
/// that is, and the key that both have.
pub(super) async fn call(
    connection: &Connection,
    identity: &Identity,
) -> Result<(Introduction, FarmKey), LinkError> {
    let mut streams = connection.open_bi().await?;
    let called = call_over(&mut streams, connection, identity).await;
    ended_by(connection, called)
}

async fn call_over(
    (send, receive): &mut (SendStream, RecvStream),
    connection: &Connection,
    identity: &Identity,
) -> Result<(Introduction, FarmKey), LinkError> {
    let exported = exported(connection)?;
    let key = identity.keys.borrow().sealing().clone();
    let unproven = || LinkError::Unproven { key_id: key.id() };
    let refusal = |error: LinkError| {
        let refused = matches!(
            &error,
            LinkError::Ended(ConnectionError::ApplicationClosed(close))
                if close.error_code == Code::Unproven.into()
        );
        if refused { unproven() } else { error }
    };
    let claim = Claim { key_id: key.id(), proof: proof::prove(&key, Side::Opener, &exported) };
    send.write_all(&claim.encode()).await.map_err(written).map_err(refusal)?;
    let theirs = read_claim(receive).await.map_err(refusal)?;
    let proven =
        theirs.key_id == key.id() && proof::holds(&key, Side::Called, &exported, &theirs.proof);
    if !proven {
        return Err(unproven());
    }
    let peer = read_introduction(receive).await?;
    if peer.incarnation == identity.incarnation {
        return Err(LinkError::Itself);
    }
    send.write_all(&introduced(identity)).await.map_err(written)?;
    // An error says that the stream was stopped, which is to be seen.
    let _ = send.finish();
    Ok((peer, key))
}

/// Has the other end, which called, prove itself, and proves this one.
/// `proven` is called as soon as the other end has.
pub(super) async fn answer(
    connection: &Connection,
    identity: &Identity,
    proven: impl FnOnce(),
) -> Result<(Introduction, FarmKey), LinkError> {
    let mut streams = connection.accept_bi().await?;
    let answered = answer_over(&mut streams, connection, identity, proven).await;
    ended_by(connection, answered)
}

async fn answer_over(
    (send, receive): &mut (SendStream, RecvStream),
    connection: &Connection,
    identity: &Identity,
    proven: impl FnOnce(),
) -> Result<(Introduction, FarmKey), LinkError> {
    let exported = exported(connection)?;
    let theirs = read_claim(receive).await?;
    let key = identity.keys.borrow().opening(theirs.key_id).cloned();
    let key = key.filter(|key| proof::holds(key, Side::Opener, &exported, &theirs.proof));
    let key = key.ok_or(LinkError::Unproven { key_id: theirs.key_id })?;
    proven();
    let claim = Claim { key_id: key.id(), proof: proof::prove(&key, Side::Called, &exported) };
    let mut bytes = claim.encode().to_vec();
    bytes.extend(introduced(identity));
    send.write_all(&bytes).await.map_err(written)?;
    let _ = send.finish();
    Ok((read_introduction(receive).await?, key))
}

/// Ends the connection, if that is what came of it. The streams are still open
/// then: else the other end might see their end first, and not why.
fn ended_by<T>(connection: &Connection, result: Result<T, LinkError>) -> Result<T, LinkError> {
    if let Err(error) = &result {
        let code = match error {
            LinkError::Unproven { .. } => Code::Unproven,
            LinkError::Malformed => Code::Malformed,
            LinkError::Uncallable(_)
            | LinkError::Silent
            | LinkError::Itself
            | LinkError::Ended(_) => Code::Done,
        };
        connection.close(code.into(), b"");
    }
    result
}

/// The secret that both ends of this connection have, and nobody else.
fn exported(connection: &Connection) -> Result<Zeroizing<[u8; EXPORTED_BYTES]>, LinkError> {
    let mut secret = Zeroizing::new([0; EXPORTED_BYTES]);
    connection
        .export_keying_material(&mut *secret, LABEL, b"")
        .map_err(|_| LinkError::Malformed)?;
    Ok(secret)
}

fn introduced(identity: &Identity) -> Vec<u8> {
    let mut bytes = Vec::new();
    identity.introduction().encode(&mut bytes);
    bytes
}

async fn read_claim(receive: &mut RecvStream) -> Result<Claim, LinkError> {
    let mut bytes = [0; CLAIM_BYTES];
    receive.read_exact(&mut bytes).await.map_err(read)?;
    Claim::decode(&bytes).map_err(|_| LinkError::Malformed)
}

async fn read_introduction(receive: &mut RecvStream) -> Result<Introduction, LinkError> {
    let mut head = [0; INTRODUCTION_BYTES];
    receive.read_exact(&mut head).await.map_err(read)?;
    let mut name = vec![0; Introduction::name_len(&head)];
    receive.read_exact(&mut name).await.map_err(read)?;
    Introduction::decode(&head, &name).map_err(|_| LinkError::Malformed)
}

fn read(error: ReadExactError) -> LinkError {
    match error {
        ReadExactError::ReadError(quinn::ReadError::ConnectionLost(error)) => error.into(),
        ReadExactError::ReadError(_) | ReadExactError::FinishedEarly(_) => LinkError::Malformed,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "however else the other end stops")]
fn written(error: WriteError) -> LinkError {
    match error {
        WriteError::ConnectionLost(error) => error.into(),
        _ => LinkError::Malformed,
    }
}
