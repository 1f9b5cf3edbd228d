//! The commands that there are.

use super::{Run, expiry, hashes, sets, sorted, strings};
use crate::gateway::Need;
use crate::gateway::resp::Request;

/// A command.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Its name, in small letters.
    pub name: &'static str,
    /// How many arguments it has, the name counted; negative: so many at least.
    pub arity: i8,
    /// What it needs.
    pub kind: Kind,
}

/// What a command needs.
#[derive(Clone, Copy)]
pub enum Kind {
    /// The value of its first key, to read.
    Read(Run),
    /// That value, for a change that merges with others' changes.
    Write(Run),
    /// That value, for a change that needs one answer.
    Agree(Run),
    /// `SET`, and `ZADD`: one or the other, as their options say.
    Either(Run),
    /// Several keys, or all.
    Keys,
    /// The connection.
    Session,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read(_) => "Read",
            Self::Write(_) => "Write",
            Self::Agree(_) => "Agree",
            Self::Either(_) => "Either",
            Self::Keys => "Keys",
            Self::Session => "Session",
        })
    }
}

impl Command {
    /// Whether so many arguments, the name counted, are what it takes.
    #[must_use]
    pub fn takes(&self, count: usize) -> bool {
        let arity = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { count >= arity } else { count == arity }
    }
}

/// How a request is brought about, and by what; none where it is not about one
/// value.
#[must_use]
pub fn need(command: &Command, request: &Request<'_>) -> Option<(Need, Run)> {
    let merges = || match command.name {
        "set" => strings::is_plain_set(request),
        _ => sorted::is_plain_add(request),
    };
    match command.kind {
        Read(run) => Some((Need::Read, run)),
        Write(run) => Some((Need::Write, run)),
        Either(run) if merges() => Some((Need::Write, run)),
        Agree(run) | Either(run) => Some((Need::OneAnswer, run)),
        Keys | Session => None,
    }
}

/// Whether a command may change something that others see.
#[must_use]
pub fn may_change(command: &Command) -> bool {
    const READ: [&str; 10] = [
        "dbsize",
        "exists",
        "keys",
        "mget",
        "object",
        "randomkey",
        "scan",
        "touch",
        "type",
        "watch",
    ];
    match command.kind {
        Read(_) => false,
        Write(_) | Agree(_) | Either(_) => true,
        Keys => !READ.contains(&command.name),
        Session => matches!(command.name, "config" | "publish"),
    }
}

/// The command of this name, in any case.
#[must_use]
pub fn find(name: &[u8]) -> Option<&'static Command> {
    /// Longer than any name.
    const LONGEST: usize = 24;
    let mut small = [0; LONGEST];
    let small = small.get_mut(..name.len())?;
    small.copy_from_slice(name);
    small.make_ascii_lowercase();
    let found = COMMANDS.binary_search_by(|command| command.name.as_bytes().cmp(small));
    found.ok().map(|index| &COMMANDS[index])
}

const fn command(name: &'static str, arity: i8, kind: Kind) -> Command {
    Command { name, arity, kind }
}

use Kind::{Agree, Either, Keys, Read, Session, Write};

/// By name, so that one is found by halves.
pub(super) static COMMANDS: &[Command] = &[
    command("acl", -2, Session),
    command("append", 3, Agree(strings::append)),
    command("auth", -2, Session),
    command("client", -2, Session),
    command("cluster", -2, Session),
    command("command", -1, Session),
    command("config", -2, Session),
    command("copy", -3, Keys),
    command("dbsize", 1, Keys),
    command("decr", 2, Agree(strings::decr)),
    command("decrby", 3, Agree(strings::decrby)),
    command("del", -2, Keys),
    command("discard", 1, Session),
    command("echo", 2, Session),
    command("eval", -3, Keys),
    command("evalsha", -3, Keys),
    command("exec", 1, Session),
    command("exists", -2, Keys),
    command("expire", -3, Write(expiry::expire)),
    command("expireat", -3, Write(expiry::expireat)),
    command("expiretime", 2, Read(expiry::expiretime)),
    command("flushall", -1, Keys),
    command("flushdb", -1, Keys),
    command("function", -2, Session),
    command("get", 2, Read(strings::get)),
    command("getdel", 2, Agree(strings::getdel)),
    command("getex", -2, Write(strings::getex)),
    command("getrange", 4, Read(strings::getrange)),
    command("getset", 3, Agree(strings::getset)),
    command("hdel", -3, Write(hashes::hdel)),
    command("hello", -1, Session),
    command("hexists", 3, Read(hashes::hexists)),
    command("hget", 3, Read(hashes::hget)),
    command("hgetall", 2, Read(hashes::hgetall)),
    command("hincrby", 4, Agree(hashes::hincrby)),
    command("hincrbyfloat", 4, Agree(hashes::hincrbyfloat)),
    command("hkeys", 2, Read(hashes::hkeys)),
    command("hlen", 2, Read(hashes::hlen)),
    command("hmget", -3, Read(hashes::hmget)),
    command("hmset", -4, Write(hashes::hmset)),
    command("hrandfield", -2, Read(hashes::hrandfield)),
    command("hscan", -3, Read(hashes::HSCAN)),
    command("hset", -4, Write(hashes::hset)),
    command("hsetnx", 4, Agree(hashes::hsetnx)),
    command("hstrlen", 3, Read(hashes::hstrlen)),
    command("hvals", 2, Read(hashes::hvals)),
    command("incr", 2, Agree(strings::incr)),
    command("incrby", 3, Agree(strings::incrby)),
    command("incrbyfloat", 3, Agree(strings::incrbyfloat)),
    command("info", -1, Session),
    command("keys", 2, Keys),
    command("mget", -2, Keys),
    command("mset", -3, Keys),
    command("msetnx", -3, Keys),
    command("multi", 1, Session),
    command("object", -2, Keys),
    command("persist", 2, Write(expiry::persist)),
    command("pexpire", -3, Write(expiry::pexpire)),
    command("pexpireat", -3, Write(expiry::pexpireat)),
    command("pexpiretime", 2, Read(expiry::pexpiretime)),
    command("ping", -1, Session),
    command("psetex", 4, Write(strings::psetex)),
    command("psubscribe", -2, Session),
    command("pttl", 2, Read(expiry::pttl)),
    command("publish", 3, Session),
    command("pubsub", -2, Session),
    command("punsubscribe", -1, Session),
    command("quit", -1, Session),
    command("randomkey", 1, Keys),
    command("rename", 3, Keys),
    command("renamenx", 3, Keys),
    command("reset", 1, Session),
    command("sadd", -3, Write(sets::sadd)),
    command("scan", -2, Keys),
    command("scard", 2, Read(sets::scard)),
    command("script", -2, Session),
    command("select", 2, Session),
    command("set", -3, Either(strings::set)),
    command("setex", 4, Write(strings::setex)),
    command("setnx", 3, Agree(strings::setnx)),
    command("setrange", 4, Agree(strings::setrange)),
    command("sismember", 3, Read(sets::sismember)),
    command("smembers", 2, Read(sets::smembers)),
    command("smismember", -3, Read(sets::smismember)),
    command("srem", -3, Write(sets::srem)),
    command("sscan", -3, Read(hashes::SSCAN)),
    command("strlen", 2, Read(strings::strlen)),
    command("subscribe", -2, Session),
    command("substr", 4, Read(strings::getrange)),
    command("time", 1, Session),
    command("touch", -2, Keys),
    command("ttl", 2, Read(expiry::ttl)),
    command("type", 2, Read(expiry::kind)),
    command("unlink", -2, Keys),
    command("unsubscribe", -1, Session),
    command("unwatch", 1, Session),
    command("wait", 3, Session),
    command("watch", -2, Session),
    command("zadd", -4, Either(sorted::zadd)),
    command("zcard", 2, Read(sorted::zcard)),
    command("zcount", 4, Read(sorted::zcount)),
    command("zincrby", 4, Agree(sorted::zincrby)),
    command("zrange", -4, Read(sorted::zrange)),
    command("zrangebyscore", -4, Read(sorted::zrangebyscore)),
    command("zrem", -3, Write(sorted::zrem)),
    command("zremrangebyscore", 4, Write(sorted::zremrangebyscore)),
    command("zrevrangebyscore", -4, Read(sorted::zrevrangebyscore)),
    command("zscan", -3, Read(hashes::ZSCAN)),
    command("zscore", 3, Read(sorted::zscore)),
];

/// `OBJECT`'s work on its key, which is not its first argument.
pub const OBJECT: Run = expiry::object;

/// All there are, by name.
#[must_use]
pub fn all() -> &'static [Command] {
    COMMANDS
}
