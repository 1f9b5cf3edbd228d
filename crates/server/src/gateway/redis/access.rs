//! Who may come in where: listeners, each with the keys that are behind it,
//! and users with what they have to know.

use crate::gateway::{Encryption, Listen};
use crate::password::Password;

/// Addresses that clients come in at, and what holds for those who do.
#[derive(Debug, Clone)]
pub(crate) struct Entrance {
    /// Where clients connect.
    pub(crate) listen: Vec<Listen>,
    /// None: what is said there is not encrypted.
    pub(crate) tls: Option<Encryption>,
    pub(crate) access: Access,
}

/// What clients have to know, and what they may name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    /// What keys and channels begin with that clients may name.
    pub(crate) prefix: Vec<u8>,
    /// That of the user `default`.
    pub(crate) password: Option<Password>,
    /// Users that have names of their own.
    pub(crate) users: Vec<User>,
}

/// A user with a name of his own.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: Password,
    /// What keys and channels begin with that he may name: no less than what
    /// holds for all who come in where he does.
    pub(crate) prefix: Vec<u8>,
    /// Whether he may change nothing.
    pub(crate) read_only: bool,
}

/// The name of the user that a client is who has said nothing.
pub(super) const DEFAULT_USER: &str = "default";

impl Access {
    /// Whether clients need not log in.
    pub(super) const fn is_open(&self) -> bool {
        self.password.is_none() && self.users.is_empty()
    }

    /// The user that a client shows to be: one with a name, or `default`.
    /// Nothing where the password is another; and that takes as long whoever
    /// was named.
    pub(super) fn log_in(&self, name: &[u8], password: &[u8]) -> Option<Option<&User>> {
        let given = Password::new(password);
        let mut shown = None;
        for user in &self.users {
            let is_right = user.password.is(&given);
            if user.name.as_bytes() == name && is_right {
                shown = Some(Some(user));
            }
        }
        if let Some(expected) = &self.password
            && expected.is(&given)
            && name == DEFAULT_USER.as_bytes()
        {
            shown = Some(None);
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_with_its_own_password_only() {
        let user = |name: &str| User {
            name: name.to_owned(),
            password: Password::new(name.as_bytes()),
            prefix: Vec::new(),
            read_only: false,
        };
        let users = vec![user("ann"), user("ben")];
        let access = Access { password: Some(Password::new(b"all")), users, ..Access::default() };
        let shown = |name: &str, password: &str| {
            let shown = access.log_in(name.as_bytes(), password.as_bytes());
            shown.map(|user| user.map_or(DEFAULT_USER, |user| &user.name).to_owned())
        };
        assert_eq!(shown("ann", "ann").as_deref(), Some("ann"));
        assert_eq!(shown("ben", "ben").as_deref(), Some("ben"));
        assert_eq!(shown("default", "all").as_deref(), Some("default"));
        for (name, password) in
            [("ann", "ben"), ("ann", "all"), ("default", "ann"), ("carl", "all"), ("", "")]
        {
            assert_eq!(shown(name, password), None, "{name} {password}");
        }
        assert!(!access.is_open() && Access::default().is_open());
        // Without a password of its own, nobody is `default` where there are users.
        let named = Access { password: None, ..access.clone() };
        assert!(!named.is_open() && named.log_in(b"default", b"all").is_none());
    }
}
