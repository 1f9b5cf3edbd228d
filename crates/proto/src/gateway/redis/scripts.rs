//! Scripts that session clients are known to send, done without an
//! interpreter: each is recognised by the SHA-1 of its text.
//!
//! All of them work on one key. Another script is answered by an error.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::strings::add;
use super::{Fail, NO_INTEGER, text};
use crate::gateway::number::parse_i64;
use crate::gateway::resp::Writer;
use crate::time::Wall;
use crate::web::Draft;

/// What a known script does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Deletes the key if its text is the first argument: frees a lock.
    DeleteIfEqual,
    /// Has the key end in so many milliseconds (second argument) if its text
    /// is the first argument: holds a lock for longer.
    ExpireIfEqual,
    /// Adds the time of the second argument to what is left, or, where the
    /// third one is `1`, begins anew with it; if the text is the first one
    /// (redis-py's `Lock.extend`).
    ExtendIfEqual,
    /// Increments, and has a counter that is new end after the first argument,
    /// in seconds.
    Count,
}

impl Script {
    /// The command that it does in the end, for those who listen.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::DeleteIfEqual => "del",
            Self::ExpireIfEqual | Self::ExtendIfEqual => "pexpire",
            Self::Count => "incr",
        }
    }
}

/// The texts, as the clients have them.
const KNOWN: [(&str, Script); 9] = [
    // redlock, node-redlock 3, Laravel 8 and others; phpredis' session handler.
    (
        "if redis.call(\"get\",KEYS[1]) == ARGV[1] then return redis.call(\"del\",KEYS[1]) else return 0 end",
        Script::DeleteIfEqual,
    ),
    (
        "if redis.call(\"get\",KEYS[1]) == ARGV[1]\nthen\n    return redis.call(\"del\",KEYS[1])\nelse\n    return 0\nend",
        Script::DeleteIfEqual,
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
        Script::DeleteIfEqual,
    ),
    // Laravel's LuaScripts::releaseLock.
    (
        "if redis.call(\"get\",KEYS[1]) == ARGV[1] then\n    return redis.call(\"del\",KEYS[1])\nelse\n    return 0\nend",
        Script::DeleteIfEqual,
    ),
    // redis-py's Lock.
    (
        "\n        local token = redis.call('get', KEYS[1])\n        if not token or token ~= ARGV[1] then\n            return 0\n        end\n        redis.call('del', KEYS[1])\n        return 1\n    ",
        Script::DeleteIfEqual,
    ),
    (
        "\n        local token = redis.call('get', KEYS[1])\n        if not token or token ~= ARGV[1] then\n            return 0\n        end\n        redis.call('pexpire', KEYS[1], ARGV[2])\n        return 1\n    ",
        Script::ExpireIfEqual,
    ),
    (
        "\n        local token = redis.call('get', KEYS[1])\n        if not token or token ~= ARGV[1] then\n            return 0\n        end\n        local expiration = redis.call('pttl', KEYS[1])\n        if not expiration then\n            expiration = 0\n        end\n        if expiration < 0 then\n            return 0\n        end\n\n        local newttl = ARGV[2]\n        if ARGV[3] == \"0\" then\n            newttl = ARGV[2] + expiration\n        end\n        redis.call('pexpire', KEYS[1], newttl)\n        return 1\n    ",
        Script::ExtendIfEqual,
    ),
    (
        "if redis.call(\"get\",KEYS[1]) == ARGV[1] then return redis.call(\"pexpire\",KEYS[1],ARGV[2]) else return 0 end",
        Script::ExpireIfEqual,
    ),
    (
        "local current = redis.call(\"INCR\",KEYS[1]) if tonumber(current) == 1 then redis.call(\"EXPIRE\",KEYS[1],ARGV[1]) end return current",
        Script::Count,
    ),
];

/// The SHA-1 of a script's text, as clients name it.
#[must_use]
pub fn sha1(text: &[u8]) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, text);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The script with this text.
#[must_use]
pub fn by_text(text: &[u8]) -> Option<Script> {
    KNOWN.iter().find(|(known, _)| known.as_bytes() == text).map(|(_, script)| *script)
}

/// The script whose text has this SHA-1, in any case.
#[must_use]
pub fn by_sha1(name: &[u8]) -> Option<Script> {
    let is_it = |text: &str| sha1(text.as_bytes()).as_bytes().eq_ignore_ascii_case(name);
    KNOWN.iter().find(|(known, _)| is_it(known)).map(|(_, script)| *script)
}

/// Does what a script does, with the arguments behind its key.
///
/// # Errors
///
/// [`Fail`], where the calls in it would fail.
pub fn run(
    script: Script,
    draft: &mut Draft,
    arguments: &[&[u8]],
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    let argument = |index: usize| arguments.get(index).copied().unwrap_or_default();
    let number = |index: usize| parse_i64(argument(index)).ok_or(NO_INTEGER);
    let in_millis = |draft: &Draft, millis: i64| {
        let end = draft.now().as_millis().saturating_add_signed(millis);
        Some(Wall::from_millis(end))
    };
    if script == Script::Count {
        let is_new = !draft.is_there();
        add(draft, 1, reply)?;
        if is_new {
            let end = in_millis(draft, number(0)?.saturating_mul(1_000));
            draft.set_end(end);
        }
        return Ok(());
    }
    let equal = text(draft)? == Some(argument(0));
    let left = draft.end().map(|end| end.saturating_since(draft.now()));
    let done = match script {
        _ if !equal => false,
        Script::DeleteIfEqual => draft.delete(),
        Script::ExtendIfEqual if left.is_none() => false,
        Script::ExpireIfEqual | Script::ExtendIfEqual => {
            let mut millis = number(1)?;
            if script == Script::ExtendIfEqual && argument(2) == b"0" {
                let left = left.map_or(0, |left| i64::try_from(left.as_millis()).unwrap_or(0));
                millis = millis.saturating_add(left);
            }
            let end = in_millis(draft, millis);
            draft.set_end(end);
            true
        }
        Script::Count => unreachable!("done above"),
    };
    reply.integer(done.into());
    Ok(())
}
