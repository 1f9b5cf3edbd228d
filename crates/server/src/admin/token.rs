//! What operators have to know, and how a browser shows that it was told: by a
//! cookie that holds for a while. Neither is kept as it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;

use crate::password::Password;

/// How long a browser stays logged in: a shift of work.
const LOGGED_IN: Duration = Duration::from_secs(12 * 60 * 60);

/// Names what is sealed, so that no other use of the token could ever give the
/// same.
const PURPOSE: &[u8] = b"segue admin cookie, until ";

/// A token.
#[derive(Clone)]
pub(crate) struct Token {
    told: Password,
    /// Seals cookies. It comes from the token, so that nodes that share one take
    /// each other's cookies, and so that they end with it.
    seal: hmac::Key,
}

impl Token {
    pub(crate) fn new(token: &[u8]) -> Self {
        Self { told: Password::new(token), seal: hmac::Key::new(hmac::HMAC_SHA256, token) }
    }

    /// Whether it is this one.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        self.told.is(&Password::new(given))
    }

    /// What a browser shows from `now` on, and for how long that holds.
    pub(super) fn cookie(&self, now: SystemTime) -> (String, Duration) {
        let until = seconds(now) + LOGGED_IN.as_secs();
        let tag = hmac::sign(&self.seal, &sealed(until));
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        (format!("{until:x}.{tag}"), LOGGED_IN)
    }

    /// Whether it was made by [`Self::cookie`] and holds at `now`.
    pub(super) fn made(&self, cookie: &str, now: SystemTime) -> bool {
        let Some((until, tag)) = cookie.split_once('.') else { return false };
        let (Ok(until), Some(tag)) = (u64::from_str_radix(until, 16), bytes(tag)) else {
            return false;
        };
        hmac::verify(&self.seal, &sealed(until), &tag).is_ok() && seconds(now) < until
    }
}

fn sealed(until: u64) -> Vec<u8> {
    [PURPOSE, &until.to_be_bytes()].concat()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The 32 bytes of a tag.
fn bytes(hexadecimal: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hexadecimal.len() != 64 || !hexadecimal.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hexadecimal[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_holds_for_a_while_and_for_its_token() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let (token, other) = (Token::new(b"of the farm"), Token::new(b"of another"));
        assert!(token.is(b"of the farm") && !token.is(b"of the far") && !token.is(b""));
        let (cookie, holds) = token.cookie(now);
        let second = Duration::from_secs(1);
        assert!(token.made(&cookie, now) && token.made(&cookie, now + holds - second));
        assert!(!token.made(&cookie, now + holds) && !other.made(&cookie, now));
        // Neither a longer time nor another tag is believed.
        let (_, tag) = cookie.split_once('.').unwrap();
        for forged in [
            format!("ffffffff.{tag}"),
            format!("{cookie}0"),
            cookie.replace('.', ""),
            String::new(),
            ".".to_owned(),
            format!("1.{}", "ü".repeat(32)),
        ] {
            assert!(!token.made(&forged, now), "{forged}");
        }
    }
}
