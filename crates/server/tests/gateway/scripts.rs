//! Scripts that clients send, beside a real `redis-server` that interprets them.

use crate::client::Client;
use crate::node::{Node, RedisServer, directory};

/// What clients of locks and counters send, in other words than theirs at times:
/// blanks, quotes and comments do not matter.
const SCRIPTS: [&str; 9] = [
    // 0: free if it is ours.
    "if redis.call('get', KEYS[1]) == ARGV[1] then\r\n  return redis.call('del', KEYS[1])\r\nelse\r\n  return 0\r\nend\r\n",
    // 1: hold for longer if it is ours.
    "\n            if redis.call(\"GET\", KEYS[1]) == ARGV[1] then\n                return redis.call(\"PEXPIRE\", KEYS[1], ARGV[2])\n            else\n                return 0\n            end\n        ",
    // 2: hold for longer, or take.
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) else return redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) end",
    // 3: take all, if none is taken.
    "-- taken?\nfor i, key in ipairs(KEYS) do if redis.call('exists', key) == 1 then return 0 end end\n-- no\nfor i, key in ipairs(KEYS) do redis.call('set', key, ARGV[1], 'PX', ARGV[2]) end return #KEYS",
    // 4: renew all, if all are ours.
    "for i, key in ipairs(KEYS) do if redis.call('get', key) ~= ARGV[1] then return 0 end end for i, key in ipairs(KEYS) do redis.call('set', key, ARGV[1], 'PX', ARGV[2]) end return #KEYS",
    // 5: free all that are ours, and count them.
    "local count = 0 for i, key in ipairs(KEYS) do if redis.call('get', key) == ARGV[1] then redis.pcall('del', key) count = count + 1 end end return count",
    // 6: free, without a word of whether.
    "local writeLockValueFromCache = redis.call('GET',KEYS[1])\nif writeLockValueFromCache == ARGV[1] then\n redis.call('DEL',KEYS[1])\nend return 1",
    // 7: count, with an end.
    "local current = redis.call('INCR', KEYS[1]) if current == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end return current",
    // 8: the same in other words.
    "local current = redis.call(\"INCR\",KEYS[1]) if tonumber(current) == 1 then redis.call(\"EXPIRE\",KEYS[1],ARGV[1]) end return current",
];

/// What is asked: a script's number and its arguments, or a command.
const ASKED: &str = "\
0 lock mine
2 lock mine 100000
TTL lock
2 lock other 100000
2 lock mine 200000
TTL lock
1 lock other 300000
1 lock mine 300000
TTL lock
3 lock other 100000
4 lock other 100000
4 lock mine 400000
TTL lock
5 lock other
GET lock
5 lock mine
5 lock mine
3 lock mine 100000
GET lock
TTL lock
6 lock other
GET lock
6 lock mine
GET lock
7 n 100
TTL n
7 n 200
TTL n
8 n 100
GET n
DEL n
8 n 100
TTL n
SET lock mine
0 lock other
0 lock mine
EXISTS lock";

fn replies(client: &mut Client) -> Vec<String> {
    let mut names = Vec::new();
    for script in SCRIPTS {
        // Its name is known once it was sent.
        let name = client.ask(&["SCRIPT", "LOAD", script]);
        names.push(String::from_utf8(name[5..45].to_vec()).expect("digits"));
    }
    let asked = ASKED.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let reply = match words[0].parse::<usize>() {
            Ok(number) => {
                let head = ["EVALSHA", &names[number], "1"];
                client.ask(&[&head, &words[1..]].concat())
            }
            Err(_) => client.ask(&words),
        };
        format!("{line}: {}", reply.escape_ascii())
    });
    asked.collect()
}

#[test]
fn known_scripts_do_what_an_interpreter_does() {
    let directory = directory();
    let redis = RedisServer::start(directory.path());
    let node = Node::start(directory.path(), "a", "");
    assert_eq!(replies(&mut node.client()), replies(&mut redis.client()));
    let mut client = node.client();
    let name = client.ask(&["SCRIPT", "LOAD", SCRIPTS[2]]);
    let name = String::from_utf8(name[5..45].to_vec()).expect("digits");
    assert_eq!(client.ask(&["SCRIPT", "EXISTS", &name]), b"*1\r\n:1\r\n");
    assert_eq!(client.say("SCRIPT FLUSH"), "+OK");
    assert!(client.ask(&["EVALSHA", &name, "1", "k", "x", "1"]).starts_with(b"-NOSCRIPT"));
    assert!(client.ask(&["EVAL", SCRIPTS[3], "2", "a", "b", "x", "1"]).starts_with(b"-ERR only"));
}
