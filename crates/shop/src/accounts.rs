//! The accounts of the demonstration, and the check of their passwords.
//!
//! A check takes 19 MiB and some tens of milliseconds by intent (argon2id, two
//! passes in one lane, as OWASP's cheat sheet for passwords has it), so it runs
//! apart from the runtime's threads, and few run at once.

use std::sync::Arc;

use argon2::{Argon2, PasswordVerifier};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// How many passwords are checked at once: 38 MiB, and no more than two cores.
const AT_ONCE: usize = 2;

/// How many wait for that: at 50 ms each, the last one for a second.
const WAITING: usize = 40;

/// An account that everybody knows: the log-in page has its password.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
    phc: &'static str,
}

/// All of them.
pub(crate) const ACCOUNTS: [Account; 3] = [
    Account {
        name: "ada",
        password: "analytical engine",
        phc: "$argon2id$v=19$m=19456,t=2,p=1$Amp47xXPBjd0tcQB/ySyAQ$\
              Qm23mMbVi4NMhIe6frKKliDG2xKMbgnmo21yw9HRilw",
    },
    Account {
        name: "charles",
        password: "difference engine",
        phc: "$argon2id$v=19$m=19456,t=2,p=1$gbmyLMCEcFBNl8P8v9bboA$\
              DuUk3b1WlMPghv5rOY/D9GYTU3Cz2EUN8e89DOL8vgw",
    },
    Account {
        name: "grace",
        password: "compiler",
        phc: "$argon2id$v=19$m=19456,t=2,p=1$wSk0pOFTDqK7npyfSF2S/g$\
              vYj0ZVZbLvt+KYAZP6RLTX72mlt6eyXieHYkwhNdHZM",
    },
];

/// What the passwords of unknown names are compared with, so that an answer's
/// time does not tell which names there are. Of a text that is kept nowhere.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$XyxaLpdjBXcmU1GjQtGwDA$\
                      E9Ouhdr3OAs6ero3zY+7mjCGXONXtJr50LfRndPq3oM";

/// Too many passwords wait to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

/// Who checks passwords.
#[derive(Debug)]
pub(crate) struct Accounts {
    places: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Default for Accounts {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), waiting: Semaphore::new(WAITING) }
    }
}

impl Accounts {
    /// The account of that name and password.
    ///
    /// # Errors
    ///
    /// [`Busy`], and nothing was checked.
    pub(crate) async fn find(
        &self,
        name: &str,
        password: Zeroizing<String>,
    ) -> Result<Option<&'static Account>, Busy> {
        let _waiting = self.waiting.try_acquire().map_err(|_| Busy)?;
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Busy)?;
        let account = ACCOUNTS.iter().find(|account| account.name == name);
        let phc = account.map_or(NOBODY, |account| account.phc);
        let check = move || {
            // The place is free when the check is over, also if nobody waits.
            let _place = place;
            Argon2::default().verify_password(password.as_bytes(), phc).is_ok()
        };
        // One that panicked has found nothing.
        let is_right = tokio::task::spawn_blocking(check).await.unwrap_or(false);
        Ok(account.filter(|_| is_right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_opens_its_own_account() {
        let accounts = Accounts::default();
        let find = async |name: &str, password: &str| {
            let found = accounts.find(name, Zeroizing::new(password.to_owned())).await;
            found.unwrap().map(|account| account.name)
        };
        for account in &ACCOUNTS {
            assert_eq!(find(account.name, account.password).await, Some(account.name));
        }
        assert_eq!(find("ada", "difference engine").await, None);
        assert_eq!(find("ada", "").await, None);
        assert_eq!(find("nobody", "compiler").await, None);
    }

    #[tokio::test]
    async fn beyond_those_who_wait_nobody_does() {
        let accounts = Accounts::default();
        let _all = accounts.waiting.acquire_many(u32::try_from(WAITING).unwrap()).await.unwrap();
        let found = accounts.find("ada", Zeroizing::new(String::new())).await;
        assert!(matches!(found, Err(Busy)));
    }
}
