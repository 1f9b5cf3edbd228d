//! A login: who it is, how that was shown and when, and what he may do.
//!
//! A session's id is given anew with each change of rights, so a login under one
//! id hardly changes; where two servers change it at once the later one stays.

use std::collections::BTreeSet;
use std::time::Duration;

use zeroize::Zeroizing;

use super::codec::{self, Writing};
use super::error::StateError;
use super::index::Order;
use super::{StateId, Text, Type};
use crate::time::Wall;
use crate::wire::codec::Malformed;

/// The longest name of a user: an e-mail address has at most 254 bytes.
pub const MAX_SUBJECT_BYTES: usize = 256;
/// The longest name of a method or a right.
pub const MAX_NAME_BYTES: usize = 128;
/// The most rights: roles and scopes, not permissions on each thing.
pub const MAX_RIGHTS: usize = 128;
const SCHEMA: u8 = 1;

/// A stronger proof, that some rights want and that lasts a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepUp {
    /// How it was given: a second factor, the password once more.
    pub method: Text,
    /// When.
    pub at: Wall,
    /// Until when it counts.
    pub until: Wall,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Who it is.
    subject: Text,
    /// How that was shown.
    method: Text,
    /// When.
    at: Wall,
    /// What he may do.
    rights: BTreeSet<Text>,
    /// What was shown since.
    step_up: Option<StepUp>,
    /// Its place among the user's sessions.
    pub order: Order,
    /// After how long without use it ends.
    pub idle: Duration,
    /// When it ends whatever is done.
    pub ends: Wall,
    /// The user's cart.
    pub cart: Option<StateId>,
}

impl Auth {
    /// A login of `subject` at `at`, without rights so far.
    ///
    /// # Errors
    ///
    /// [`StateError`] for a name that cannot be one.
    pub fn new(subject: &str, method: &str, at: Wall) -> Result<Self, StateError> {
        Ok(Self {
            subject: Text::new("the subject", subject, MAX_SUBJECT_BYTES)?,
            method: Text::new("the method", method, MAX_NAME_BYTES)?,
            at,
            rights: BTreeSet::new(),
            step_up: None,
            order: Order::default(),
            idle: Duration::ZERO,
            ends: at,
            cart: None,
        })
    }

    /// Gives a right.
    ///
    /// # Errors
    ///
    /// [`StateError`] for a name that cannot be one, or too many.
    pub fn grant(&mut self, right: &str) -> Result<(), StateError> {
        self.rights.insert(Text::new("a right", right, MAX_NAME_BYTES)?);
        let found = self.rights.len();
        if found > MAX_RIGHTS {
            self.rights.remove(right);
            return Err(StateError::TooMany { field: "rights", found, limit: MAX_RIGHTS });
        }
        Ok(())
    }

    /// Takes a right. Gives whether it was there.
    pub fn revoke(&mut self, right: &str) -> bool {
        self.rights.remove(right)
    }

    /// Notes a stronger proof, which counts for so long.
    ///
    /// # Errors
    ///
    /// [`StateError`] for a name that cannot be one.
    pub fn step_up(&mut self, method: &str, at: Wall, lasts: Duration) -> Result<(), StateError> {
        let method = Text::new("the method", method, MAX_NAME_BYTES)?;
        self.step_up = Some(StepUp { method, at, until: at + lasts });
        Ok(())
    }

    /// Who it is.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.subject.as_str()
    }

    /// How that was shown.
    #[must_use]
    pub fn method(&self) -> &str {
        self.method.as_str()
    }

    /// When.
    #[must_use]
    pub const fn at(&self) -> Wall {
        self.at
    }

    /// Whether he has a right.
    #[must_use]
    pub fn may(&self, right: &str) -> bool {
        self.rights.contains(right)
    }

    /// What he may do.
    pub fn rights(&self) -> impl Iterator<Item = &str> {
        self.rights.iter().map(Text::as_str)
    }

    /// The stronger proof that counts at `now`.
    #[must_use]
    pub fn stepped_up(&self, now: Wall) -> Option<&StepUp> {
        self.step_up.as_ref().filter(|step_up| step_up.until > now)
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writing = Writing::new(Type::Auth, SCHEMA);
        writing.text(&self.subject);
        writing.text(&self.method);
        writing.u48(self.at.as_millis());
        writing.count(self.rights.len());
        self.rights.iter().for_each(|right| writing.text(right));
        writing.option(self.step_up.as_ref(), |writing, step_up| {
            writing.text(&step_up.method);
            writing.u48(step_up.at.as_millis());
            writing.u48(step_up.until.as_millis());
        });
        writing.u64(self.order.0);
        let idle = u64::try_from(self.idle.as_millis()).unwrap_or(u64::MAX);
        writing.u48(Wall::from_millis(idle).as_millis());
        writing.u48(self.ends.as_millis());
        writing.option(self.cart.as_ref(), |writing, cart| writing.bytes(cart.as_bytes()));
        writing.finish()
    }

    /// Reads what [`Auth::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut reader, _) = codec::open(bytes, Type::Auth, SCHEMA)?;
        let auth = Self {
            subject: codec::text(&mut reader, "subject", MAX_SUBJECT_BYTES)?,
            method: codec::text(&mut reader, "method", MAX_NAME_BYTES)?,
            at: reader.wall("time")?,
            rights: codec::ascending(&mut reader, "rights", |reader| {
                Ok((codec::text(reader, "right", MAX_NAME_BYTES)?, ()))
            })?
            .into_keys()
            .collect(),
            step_up: codec::option(&mut reader, "step-up", |reader| {
                Ok(StepUp {
                    method: codec::text(reader, "step-up's method", MAX_NAME_BYTES)?,
                    at: reader.wall("step-up's time")?,
                    until: reader.wall("step-up's end")?,
                })
            })?,
            order: Order(reader.u64("order")?),
            idle: Duration::from_millis(reader.u48("idle")?),
            ends: reader.wall("end")?,
            cart: codec::option(&mut reader, "cart", |reader| {
                Ok(StateId::new(reader.array("cart")?))
            })?,
        };
        reader.finish("login")?;
        if auth.rights.len() > MAX_RIGHTS {
            return Err(Malformed::Invalid("rights"));
        }
        Ok(auth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_and_proofs_come_and_go() {
        let at = Wall::from_millis(1_000);
        let mut auth = Auth::new("ada@example.org", "password", at).unwrap();
        auth.grant("order").unwrap();
        auth.step_up("totp", at, Duration::from_secs(60)).unwrap();
        assert!(auth.may("order") && !auth.may("refund"));
        assert_eq!(auth.stepped_up(at).map(|step_up| step_up.method.as_str()), Some("totp"));
        assert!(auth.stepped_up(at + Duration::from_secs(60)).is_none());
        assert_eq!(Auth::decode(&auth.encode()), Ok(auth.clone()));
        assert!(auth.revoke("order") && !auth.may("order"));
    }

    #[test]
    fn too_many_rights_are_refused_and_change_nothing() {
        let mut auth = Auth::new("ada", "password", Wall::from_millis(0)).unwrap();
        (0..MAX_RIGHTS).for_each(|right| auth.grant(&format!("r{right}")).unwrap());
        let refused = auth.grant("one more").unwrap_err();
        assert!(matches!(refused, StateError::TooMany { found: 129, limit: 128, .. }));
        assert!(!auth.may("one more"));
        assert_eq!(auth.grant("r7"), Ok(()), "it is there already");
    }
}
