//! Scripts that session clients are known to send, done without an
//! interpreter: each is recognised by its words ([`words`]), or by the SHA-1
//! of a text that is known byte by byte.
//!
//! All of these work on one key. Another script is answered by an error.

mod limits;
mod normal;

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::strings::add;
use super::{Fail, NO_INTEGER, text};
use crate::gateway::number::parse_i64;
use crate::gateway::resp::Writer;
use crate::time::Wall;
use crate::web::Draft;
use crate::web::draft::Until;
use normal::normal;
pub use normal::normal as words;

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
    /// The same as the first one, and answers 1 also where it did nothing
    /// (ASP.NET's session state).
    FreeIfEqual,
    /// Writes the first argument, to end in so many milliseconds (second
    /// argument), unless the key is there (redlock for node, from version 5).
    Take,
    /// Writes it anew if it is there (the same).
    Renew,
    /// Has the key end later if its text is the first argument, or else takes
    /// it if it is not there (Symfony's lock store).
    HoldOrTake,
    /// Increments, and has a counter that is new end after the first argument,
    /// in seconds.
    Count,
    /// Writes the first argument, to end in so many seconds (second argument),
    /// unless the key is there (Laravel's cache).
    Add,
    /// Counts how often something is done within a time (Laravel's
    /// `DurationLimiter`).
    Limit,
    /// Says how often it may yet be done (the same).
    LookAtLimit,
}

impl Script {
    /// The command that it does in the end, for those who listen.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::DeleteIfEqual | Self::FreeIfEqual => "del",
            // Without options behind them.
            Self::Take | Self::Renew | Self::HoldOrTake | Self::Add => "setex",
            Self::ExpireIfEqual | Self::ExtendIfEqual => "pexpire",
            Self::Count => "incr",
            Self::Limit => "hincrby",
            Self::LookAtLimit => "hget",
        }
    }
}

/// Texts as clients have them: their SHA-1 is known before they are sent.
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

/// What else is recognised by its words.
const MEANT: [(&str, Script); 6] = [
    (
        "local writeLockValueFromCache = redis.call('GET', KEYS[1]) \
         if writeLockValueFromCache == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1",
        Script::FreeIfEqual,
    ),
    (
        "for i, key in ipairs(KEYS) do if redis.call('exists', key) == 1 then return 0 end end \
         for i, key in ipairs(KEYS) do redis.call('set', key, ARGV[1], 'PX', ARGV[2]) end \
         return #KEYS",
        Script::Take,
    ),
    (
        "for i, key in ipairs(KEYS) do if redis.call('get', key) ~= ARGV[1] then return 0 end end \
         for i, key in ipairs(KEYS) do redis.call('set', key, ARGV[1], 'PX', ARGV[2]) end \
         return #KEYS",
        Script::Renew,
    ),
    (
        "local count = 0 for i, key in ipairs(KEYS) do if redis.call('get', key) == ARGV[1] then \
         redis.pcall('del', key) count = count + 1 end end return count",
        Script::DeleteIfEqual,
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then \
         return redis.call('pexpire', KEYS[1], ARGV[2]) \
         else return redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) end",
        Script::HoldOrTake,
    ),
    (
        "local current = redis.call('incr', KEYS[1]) if current == 1 then \
         redis.call('expire', KEYS[1], ARGV[1]) end return current",
        Script::Count,
    ),
];

/// What is recognised by the SHA-1 of its words: Laravel's, the same from 5.5
/// on (those that look, from 8).
const LARAVEL: [(&str, Script); 3] = [
    ("8b64e514a958adffb2013946c36c6a8935f374d8", Script::Add),
    ("d52913364fc54c7f605090c342dead14a6b2b700", Script::Limit),
    ("021ea243799feb64019dd43de8873a2912bbcf61", Script::LookAtLimit),
];

/// The words of all that stand here.
static WORDS: LazyLock<Vec<(Vec<u8>, Script)>> = LazyLock::new(|| {
    let all = KNOWN.iter().chain(&MEANT);
    let words = |text: &str| normal(text.as_bytes()).expect("the ones above can be read");
    all.map(|(text, script)| (words(text), *script)).collect()
});

/// The SHA-1 of a script's text, as clients name it.
#[must_use]
pub fn sha1(text: &[u8]) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, text);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The script with this text, or another one of the same words.
#[must_use]
pub fn by_text(text: &[u8]) -> Option<Script> {
    let words = normal(text)?;
    let known = WORDS.iter().find(|(known, _)| *known == words).map(|(_, script)| *script);
    known.or_else(|| by_name(&sha1(&words), &LARAVEL))
}

/// What has this name, of some.
#[must_use]
pub fn by_name<T: Copy>(name: &str, some: &[(&str, T)]) -> Option<T> {
    some.iter().find(|(known, _)| *known == name).map(|(_, script)| *script)
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
    let arguments = Arguments(arguments);
    match script {
        Script::Count => count(draft, arguments, reply),
        Script::Take | Script::Add => claim(script, draft, arguments, reply),
        Script::Limit => limits::count(draft, &limits::Asked::of(arguments.0)?, reply),
        Script::LookAtLimit => limits::look(draft, &limits::Asked::of(arguments.0)?, reply),
        Script::DeleteIfEqual
        | Script::ExpireIfEqual
        | Script::ExtendIfEqual
        | Script::FreeIfEqual
        | Script::Renew
        | Script::HoldOrTake => if_equal(script, draft, arguments, reply),
    }
}

/// What stands behind a script's key.
#[derive(Clone, Copy)]
struct Arguments<'a>(&'a [&'a [u8]]);

impl<'a> Arguments<'a> {
    fn text(self, index: usize) -> &'a [u8] {
        self.0.get(index).copied().unwrap_or_default()
    }

    fn number(self, index: usize) -> Result<i64, Fail> {
        parse_i64(self.text(index)).ok_or(NO_INTEGER)
    }
}

fn count(draft: &mut Draft, arguments: Arguments<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    let is_new = !draft.is_there();
    add(draft, 1, reply)?;
    if is_new {
        let end = in_millis(draft, arguments.number(0)?.saturating_mul(1_000));
        draft.set_end(Some(end));
    }
    Ok(())
}

/// Writes a text where nothing is.
fn claim(
    script: Script,
    draft: &mut Draft,
    arguments: Arguments<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    let is_taken = draft.is_there();
    if !is_taken {
        let (unit, command) = if script == Script::Add { (1_000, "setex") } else { (1, "set") };
        let millis = arguments.number(1)?.saturating_mul(unit);
        take(draft, arguments.text(0), millis, command)?;
    }
    match (script, is_taken) {
        (Script::Add, true) => reply.null(),
        (Script::Add, false) => reply.ok(),
        (_, is_taken) => reply.integer((!is_taken).into()),
    }
    Ok(())
}

/// Changes what is there if it is the first argument.
fn if_equal(
    script: Script,
    draft: &mut Draft,
    arguments: Arguments<'_>,
    reply: &mut Writer<'_>,
) -> Result<(), Fail> {
    let equal = text(draft)? == Some(arguments.text(0));
    let left = draft.end().map(|end| end.saturating_since(draft.now()));
    if !equal && script == Script::HoldOrTake {
        if draft.is_there() {
            reply.null();
        } else {
            take(draft, arguments.text(0), arguments.number(1)?, "set")?;
            reply.ok();
        }
        return Ok(());
    }
    let without_end = script == Script::ExtendIfEqual && left.is_none();
    let does = equal && !without_end;
    if does {
        if matches!(script, Script::DeleteIfEqual | Script::FreeIfEqual) {
            draft.delete();
        } else if script == Script::Renew {
            take(draft, arguments.text(0), arguments.number(1)?, "set")?;
        } else {
            let mut millis = arguments.number(1)?;
            if script == Script::ExtendIfEqual && arguments.text(2) == b"0" {
                let left = left.map_or(0, |left| i64::try_from(left.as_millis()).unwrap_or(0));
                millis = millis.saturating_add(left);
            }
            let end = in_millis(draft, millis);
            draft.set_end(Some(end));
        }
    }
    reply.integer((does || script == Script::FreeIfEqual).into());
    Ok(())
}

/// The time in so many milliseconds.
fn in_millis(draft: &Draft, millis: i64) -> Wall {
    Wall::from_millis(draft.now().as_millis().saturating_add_signed(millis))
}

/// Writes a text that ends in so many milliseconds.
fn take(draft: &mut Draft, text: &[u8], millis: i64, command: &str) -> Result<(), Fail> {
    if millis <= 0 {
        return Err(Fail::Told(format!("ERR invalid expire time in '{command}' command")));
    }
    let end = in_millis(draft, millis);
    draft.set_text(text.to_vec(), Until::At(end));
    Ok(())
}
