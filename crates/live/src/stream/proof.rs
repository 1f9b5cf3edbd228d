//! The first bytes of a stream: both ends prove the farm's key, then say who
//! they are.
//!
//! It goes as on a link: the end that calls proves first, so that nobody learns
//! more by calling than that there is a node. The name and incarnation of either
//! end are sent only to an end that has proven itself. The called end proves the
//! same key; where it does not take a proof, it says so in one byte.

use proto::keyring::FarmKey;
use proto::proof::{self, EXPORTED_BYTES, Side};
use proto::wire::Malformed;
use proto::wire::control::MAX_NAME_BYTES;
use proto::wire::link::{CLAIM_BYTES, Claim, INTRODUCTION_BYTES, Introduction, LINK_FORMAT};
use segue::Identity;
use zeroize::Zeroizing;

use super::Ended;
use super::inbox::Inbox;
use super::tls::{Purpose, Session};

/// In place of a claim: the other end's was not taken. No claim begins with it.
const REFUSED: u8 = 0;
const _: () = assert!(REFUSED != LINK_FORMAT);

/// One end's part of it.
#[derive(Debug)]
pub(super) struct Proof {
    side: Side,
    step: Step,
}

/// What is waited for.
enum Step {
    /// The end of the TLS handshake.
    Tls,
    /// The caller's claim.
    Opening(Secret),
    /// The called end's claim to this key.
    Answer(Secret, FarmKey),
    /// The other end, which has proven this key, to say who it is.
    Introduction(FarmKey),
}

type Secret = Zeroizing<[u8; EXPORTED_BYTES]>;

impl Proof {
    pub(super) const fn caller() -> Self {
        Self { side: Side::Opener, step: Step::Tls }
    }

    pub(super) const fn called() -> Self {
        Self { side: Side::Called, step: Step::Tls }
    }

    /// Which end this is.
    pub(super) const fn side(&self) -> Side {
        self.side
    }

    /// Goes as far as what has come allows. Gives who is at the other end and
    /// the key that both have, once that is known.
    pub(super) fn advance(
        &mut self,
        session: &mut Session,
        identity: &Identity,
        inbox: &mut Inbox,
    ) -> Result<Option<(Introduction, FarmKey)>, Ended> {
        loop {
            let next = match &self.step {
                Step::Tls if session.is_handshaking() => return Ok(None),
                Step::Tls => begin(self.side, session, identity)?,
                Step::Opening(secret) => {
                    let Some(claim) = take_claim(inbox)? else { return Ok(None) };
                    answer(secret, &claim, session, identity)?
                }
                Step::Answer(secret, key) => {
                    let unproven = Ended::Unproven { key_id: key.id() };
                    if inbox.held().first() == Some(&REFUSED) {
                        return Err(unproven);
                    }
                    let Some(claim) = take_claim(inbox)? else { return Ok(None) };
                    let proven = claim.key_id == key.id()
                        && proof::holds(key, Side::Called, secret, &claim.proof);
                    if !proven {
                        return Err(unproven);
                    }
                    Step::Introduction(key.clone())
                }
                Step::Introduction(key) => {
                    let Some(peer) = take_introduction(inbox)? else { return Ok(None) };
                    if peer.incarnation == identity.incarnation {
                        return Err(Ended::Itself);
                    }
                    if self.side == Side::Opener {
                        session.seal(&introduced(identity));
                    }
                    return Ok(Some((peer, key.clone())));
                }
            };
            self.step = next;
        }
    }
}

/// The handshake is done: who called, claims.
fn begin(side: Side, session: &mut Session, identity: &Identity) -> Result<Step, Ended> {
    if !session.has_agreed() {
        return Err(Ended::Malformed(Malformed::Invalid("protocol")));
    }
    let secret = session.exported(Purpose::Proof)?;
    Ok(match side {
        Side::Opener => {
            let key = identity.keys.borrow().sealing().clone();
            session.seal(&claim(&key, side, &secret).encode());
            Step::Answer(secret, key)
        }
        Side::Called => Step::Opening(secret),
    })
}

/// Answers a caller's claim.
fn answer(
    secret: &Secret,
    theirs: &Claim,
    session: &mut Session,
    identity: &Identity,
) -> Result<Step, Ended> {
    let key = identity.keys.borrow().opening(theirs.key_id).cloned();
    let key = key.filter(|key| proof::holds(key, Side::Opener, secret, &theirs.proof));
    let Some(key) = key else {
        session.seal(&[REFUSED]);
        return Err(Ended::Unproven { key_id: theirs.key_id });
    };
    session.seal(&claim(&key, Side::Called, secret).encode());
    session.seal(&introduced(identity));
    Ok(Step::Introduction(key))
}

fn claim(key: &FarmKey, side: Side, secret: &Secret) -> Claim {
    Claim { key_id: key.id(), proof: proof::prove(key, side, secret) }
}

fn introduced(identity: &Identity) -> Vec<u8> {
    let mut bytes = Vec::new();
    identity.introduction().encode(&mut bytes);
    bytes
}

fn take_claim(inbox: &mut Inbox) -> Result<Option<Claim>, Ended> {
    let Some(bytes) = inbox.held().first_chunk::<CLAIM_BYTES>() else { return Ok(None) };
    let claim = Claim::decode(bytes).map_err(Ended::Malformed)?;
    inbox.take(CLAIM_BYTES);
    Ok(Some(claim))
}

fn take_introduction(inbox: &mut Inbox) -> Result<Option<Introduction>, Ended> {
    let Some((head, rest)) = inbox.held().split_first_chunk::<INTRODUCTION_BYTES>() else {
        return Ok(None);
    };
    let len = Introduction::name_len(head);
    let Some(name) = rest.get(..len) else {
        // What can be no name is not waited for.
        let is_none = len > MAX_NAME_BYTES;
        return if is_none { Err(Ended::Malformed(Malformed::Invalid("name"))) } else { Ok(None) };
    };
    let peer = Introduction::decode(head, name).map_err(Ended::Malformed)?;
    inbox.take(INTRODUCTION_BYTES + len);
    Ok(Some(peer))
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tls => "Tls",
            Self::Opening(_) => "Opening",
            Self::Answer(..) => "Answer",
            Self::Introduction(_) => "Introduction",
        })
    }
}
