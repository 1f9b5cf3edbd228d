use super::*;
use crate::gateway::resp::{Limits, Parser, Version as Resp};
use crate::record::{Deadlines, Hlc, Version, Writer as By};
use crate::time::Wall;
use crate::web::memory::lasting;
use crate::web::{Stamp, State, text_payload};

/// One value, and the commands that work on it one after another.
struct Bench {
    state: State<'static>,
    now: u64,
}

impl Bench {
    fn run(&mut self, line: &str) -> String {
        self.now += 1;
        let mut parser = Parser::new(Limits::default(), true);
        let typed = format!("{line}\r\n");
        let mut input = typed.as_bytes();
        let request = parser.next(&mut input).expect("a line").expect("a whole one");
        let command = find(request.name()).expect("a command");
        assert!(command.takes(request.count()), "{line}");
        let (_, run) = need(command, &request).expect("about one value");
        let now = Wall::from_millis(self.now);
        let version = Version { time: Hlc::at(now), writer: By(1) };
        let mut draft = Draft::new(self.state.clone(), Stamp::Plain(version), now);
        let mut out = Vec::new();
        let mut reply = Writer::new(&mut out, Resp::Resp2);
        if let Err(fail) = run(&mut draft, &request, &mut reply) {
            reply.error(fail.text());
        } else {
            self.state = draft.into_state();
        }
        String::from_utf8(out).expect("text").replace("\r\n", " ").trim_end().to_owned()
    }
}

fn check(pairs: &[(&str, &str)]) {
    let mut bench = Bench { state: State::nothing(), now: 1_000_000 };
    for (line, expected) in pairs {
        assert_eq!(bench.run(line), *expected, "{line}");
    }
}

#[test]
fn commands_stand_in_order() {
    assert!(all().is_sorted_by(|one, next| one.name < next.name));
    assert!(find(b"SeTeX").is_some_and(|command| command.name == "setex"));
    assert!(find(b"LPUSH").is_none());
}

#[test]
fn texts() {
    check(&[
        ("GET k", "$-1"),
        ("SET k v NX", "+OK"),
        ("SET k w NX", "$-1"),
        ("SET k w XX GET", "$1 v"),
        ("INCR k", "-ERR value is not an integer or out of range"),
        ("SET k 9223372036854775807", "+OK"),
        ("INCR k", "-ERR increment or decrement would overflow"),
        ("SET k 5 EX 10", "+OK"),
        ("INCRBY k 3", ":8"),
        ("PTTL k", ":9998"),
        ("SET k v KEEPTTL", "+OK"),
        ("TTL k", ":10"),
        ("SET k v EX 0", "-ERR invalid expire time in 'set' command"),
        ("SET k v EX 1 PX 1", "-ERR syntax error"),
        ("APPEND k xyz", ":4"),
        ("GETRANGE k -3 -1", "$3 xyz"),
        ("SETRANGE k 6 !", ":7"),
        ("STRLEN k", ":7"),
        ("HGET k f", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("GETDEL k", "$7 vxyz\0\0!"),
        ("TTL k", ":-2"),
    ]);
}

#[test]
fn a_plain_set_writes_what_the_command_does() {
    let now = Wall::from_millis(1_000_000);
    let check = |line: &str, is_plain: bool| {
        let (mut parser, typed) = (Parser::new(Limits::default(), true), format!("{line}\r\n"));
        let mut input = typed.as_bytes();
        let request = parser.next(&mut input).expect("a line").expect("a whole one");
        let plain = plain_set(&request, now);
        assert_eq!(plain.is_some(), is_plain, "{line}");
        let Some(PlainSet { key, text, end }) = plain else { return };
        assert_eq!(key, b"k", "{line}");
        let version = Version { time: Hlc::at(now), writer: By(1) };
        let mut draft = Draft::new(State::nothing(), Stamp::Plain(version), now);
        let (_, run) = need(find(request.name()).expect("a command"), &request).expect("one value");
        run(&mut draft, &request, &mut Writer::new(&mut Vec::new(), Resp::Resp2)).expect("done");
        let mut payload = Vec::new();
        text_payload(&mut payload, &[], text);
        let deadlines = end.map_or(Deadlines::at(Wall::MAX), |end| lasting(end, now));
        assert_eq!(draft.finish(), (Some(payload), deadlines), "{line}");
    };
    check("SET k v", true);
    check("set k v ex 10", true);
    check("SET k v PX 10", true);
    check("SET k v EXAT 2000", true);
    check("SETEX k 10 v", true);
    check("SET k v EXAT 10", false);
    check("SET k v EX 0", false);
    check("SET k v EX no", false);
    check("SET k v NX", false);
    check("SET k v NX EX", false);
    check("SET k v KEEPTTL", false);
    check("SET k v XX PX 10", false);
    check("SETNX k v", false);
    check("PSETEX k 10 v", false);
}

#[test]
fn ends() {
    check(&[
        ("EXPIRE k 10", ":0"),
        ("SET k v", "+OK"),
        ("TTL k", ":-1"),
        ("EXPIRE k 10 XX", ":0"),
        ("EXPIRE k 10 NX", ":1"),
        ("EXPIRE k 5 GT", ":0"),
        ("EXPIRE k 20 GT", ":1"),
        (
            "EXPIRE k 20 NX GT",
            "-ERR NX and XX, GT or LT options at the same time are not compatible",
        ),
        ("PERSIST k", ":1"),
        ("PERSIST k", ":0"),
        ("EXPIRE k -1", ":1"),
        ("GET k", "$-1"),
    ]);
}

#[test]
fn hashes() {
    check(&[
        ("HSET k a 1 b 2", ":2"),
        ("HSET k a 3", ":0"),
        ("HSET k a 1 b", "-ERR wrong number of arguments for 'hset' command"),
        ("HGETALL k", "*4 $1 a $1 3 $1 b $1 2"),
        ("HINCRBY k a 4", ":7"),
        ("HINCRBYFLOAT k b 0.5", "$3 2.5"),
        ("HSETNX k a 1", ":0"),
        ("HMGET k a x", "*2 $1 7 $-1"),
        ("HDEL k a b", ":2"),
        ("TYPE k", "+none"),
    ]);
}

#[test]
fn sets() {
    check(&[
        ("SADD k b a b", ":2"),
        ("SMEMBERS k", "*2 $1 a $1 b"),
        ("SREM k a c", ":1"),
        ("SISMEMBER k b", ":1"),
        ("SCARD k", ":1"),
        ("GET k", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn sorted_sets() {
    check(&[
        ("ZADD k 2 b 1 a 3 c", ":3"),
        ("ZRANGE k 0 -1", "*3 $1 a $1 b $1 c"),
        ("ZRANGEBYSCORE k (1 +inf LIMIT 0 1", "*1 $1 b"),
        ("ZADD k GT CH 1 b 9 c", ":1"),
        ("ZSCORE k c", "$1 9"),
        ("ZINCRBY k 0.5 c", "$3 9.5"),
        ("ZREMRANGEBYSCORE k -inf 2", ":2"),
        ("ZCARD k", ":1"),
    ]);
}

#[test]
fn scripts_are_known_by_their_text() {
    let text = "if redis.call(\"get\",KEYS[1]) == ARGV[1] then return redis.call(\"del\",KEYS[1]) \
                else return 0 end";
    assert_eq!(scripts::by_text(text.as_bytes()), Some(scripts::Script::DeleteIfEqual));
    let name = scripts::sha1(text.as_bytes());
    assert_eq!(
        scripts::by_sha1(name.to_uppercase().as_bytes()),
        Some(scripts::Script::DeleteIfEqual)
    );
    assert_eq!(scripts::by_text(b"return 1"), None);
}
