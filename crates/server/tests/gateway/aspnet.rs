//! The scripts of ASP.NET's session state provider
//! (`Microsoft.Web.RedisSessionStateProvider`, which is under the MIT licence),
//! beside a real `redis-server` that interprets them.

use crate::client::Client;
use crate::node::{Node, RedisServer, directory, farm};

/// The scripts of version 4: lock, look, release, remove, set, touch, update.
const VERSION_4: [&str; 7] = [
    "local retArray = {} local lockValue = ARGV[1] local locked = \
     redis.call('SETNX',KEYS[1],ARGV[1]) local IsLocked = true if locked == 0 then \
     lockValue = redis.call('GET',KEYS[1]) else redis.call('EXPIRE',KEYS[1],ARGV[2]) \
     IsLocked = false end retArray[1] = lockValue if lockValue == ARGV[1] then \
     retArray[2] = redis.call('HGETALL',KEYS[2]) else retArray[2] = '' end local \
     SessionTimeout = redis.call('HGET', KEYS[3], 'SessionTimeout') if SessionTimeout ~= \
     false then retArray[3] = SessionTimeout redis.call('EXPIRE',KEYS[2], SessionTimeout) \
     redis.call('EXPIRE',KEYS[3], SessionTimeout) else retArray[3] = '-1' end retArray[4] \
     = IsLocked return retArray",
    "local retArray = {} local lockValue = '' local writeLockValue = \
     redis.call('GET',KEYS[1]) if writeLockValue ~= false then lockValue = writeLockValue \
     end retArray[1] = lockValue if lockValue == '' then retArray[2] = \
     redis.call('HGETALL',KEYS[2]) else retArray[2] = '' end local SessionTimeout = \
     redis.call('HGET', KEYS[3], 'SessionTimeout') if SessionTimeout ~= false then \
     retArray[3] = SessionTimeout redis.call('EXPIRE',KEYS[2], SessionTimeout) \
     redis.call('EXPIRE',KEYS[3], SessionTimeout) else retArray[3] = '-1' end return \
     retArray",
    "local writeLockValueFromCache = redis.call('GET',KEYS[1]) if writeLockValueFromCache \
     == ARGV[1] then redis.call('DEL',KEYS[1]) end local SessionTimeout = \
     redis.call('HGET', KEYS[3], 'SessionTimeout') if SessionTimeout ~= false then \
     redis.call('EXPIRE',KEYS[2], SessionTimeout) redis.call('EXPIRE',KEYS[3], \
     SessionTimeout) else redis.call('EXPIRE',KEYS[2],ARGV[2]) end return 1",
    "local lockValue = redis.call('GET',KEYS[1]) if lockValue == ARGV[1] then \
     redis.call('DEL',KEYS[2]) redis.call('DEL',KEYS[3]) redis.call('DEL',KEYS[1]) end \
     return 1",
    "redis.call('HMSET', KEYS[1], unpack(ARGV, 3, ARGV[1])) \
     redis.call('EXPIRE',KEYS[1],ARGV[2]) redis.call('HMSET', KEYS[2], 'SessionTimeout', \
     ARGV[2]) redis.call('EXPIRE',KEYS[2],ARGV[2]) return 1",
    "local dataExists = redis.call('EXISTS', KEYS[1]) if dataExists == 0 then return 1; \
     end local SessionTimeout = redis.call('HGET', KEYS[2], 'SessionTimeout') if \
     SessionTimeout ~= false then redis.call('EXPIRE',KEYS[1], SessionTimeout) \
     redis.call('EXPIRE',KEYS[2], SessionTimeout) else \
     redis.call('EXPIRE',KEYS[1],ARGV[1]) redis.call('HMSET', KEYS[2], 'SessionTimeout', \
     ARGV[1]) redis.call('EXPIRE',KEYS[2],ARGV[1]) end return 1",
    "local writeLockValueFromCache = redis.call('GET',KEYS[1]) if writeLockValueFromCache \
     == ARGV[1] then if tonumber(ARGV[3]) ~= 0 then redis.call('HDEL', KEYS[2], \
     unpack(ARGV, ARGV[4], ARGV[5])) end if tonumber(ARGV[6]) ~= 0 then \
     redis.call('HMSET', KEYS[2], unpack(ARGV, ARGV[7], ARGV[8])) end \
     redis.call('EXPIRE',KEYS[2],ARGV[2]) redis.call('HMSET', KEYS[3], 'SessionTimeout', \
     ARGV[2]) redis.call('EXPIRE',KEYS[3],ARGV[2]) redis.call('DEL',KEYS[1]) end return 1",
];

/// The scripts of version 5: lock, look, release, remove, set, touch, update.
const VERSION_5: [&str; 7] = [
    "local retArray = {} local lockValue = ARGV[1] local locked = \
     redis.call('SETNX',KEYS[1],ARGV[1]) local IsLocked = true if locked == 0 then \
     lockValue = redis.call('GET',KEYS[1]) else redis.call('EXPIRE',KEYS[1],ARGV[2]) \
     IsLocked = false end retArray[1] = lockValue if lockValue == ARGV[1] then \
     retArray[2] = redis.call('GET',KEYS[2]) else retArray[2] = '' end local \
     SessionTimeout = redis.call('GET', KEYS[3]) if SessionTimeout ~= false then \
     retArray[3] = SessionTimeout redis.call('EXPIRE',KEYS[2], SessionTimeout) \
     redis.call('EXPIRE',KEYS[3], SessionTimeout) else retArray[3] = '-1' end retArray[4] \
     = IsLocked return retArray",
    "local retArray = {} local lockValue = '' local writeLockValue = \
     redis.call('GET',KEYS[1]) if writeLockValue ~= false then lockValue = writeLockValue \
     end retArray[1] = lockValue if lockValue == '' then retArray[2] = \
     redis.call('GET',KEYS[2]) else retArray[2] = '' end local SessionTimeout = \
     redis.call('GET', KEYS[3]) if SessionTimeout ~= false then retArray[3] = \
     SessionTimeout redis.call('EXPIRE',KEYS[2], SessionTimeout) \
     redis.call('EXPIRE',KEYS[3], SessionTimeout) else retArray[3] = '-1' end return \
     retArray",
    "local writeLockValueFromCache = redis.call('GET',KEYS[1]) if writeLockValueFromCache \
     == ARGV[1] then redis.call('DEL',KEYS[1]) end local SessionTimeout = \
     redis.call('GET', KEYS[3]) if SessionTimeout ~= false then \
     redis.call('EXPIRE',KEYS[2], SessionTimeout) redis.call('EXPIRE',KEYS[3], \
     SessionTimeout) else redis.call('EXPIRE',KEYS[2],ARGV[2]) end return 1",
    "if ARGV[1] ~= '' then local lockValue = redis.call('GET',KEYS[1]) if lockValue ~= \
     ARGV[1] then return 1 end end redis.call('DEL',KEYS[2]) redis.call('DEL',KEYS[3]) \
     redis.call('DEL',KEYS[1])",
    "redis.call('SET', KEYS[1], ARGV[1]) redis.call('EXPIRE',KEYS[1],ARGV[2]) \
     redis.call('SET', KEYS[2], ARGV[2]) redis.call('EXPIRE',KEYS[2],ARGV[2]) return 1",
    "local dataExists = redis.call('EXISTS', KEYS[1]) if dataExists == 0 then return 1; \
     end local SessionTimeout = redis.call('GET', KEYS[2]) if SessionTimeout ~= false \
     then redis.call('EXPIRE',KEYS[1], SessionTimeout) redis.call('EXPIRE',KEYS[2], \
     SessionTimeout) else redis.call('EXPIRE',KEYS[1],ARGV[1]) redis.call('SET', KEYS[2], \
     ARGV[1]) redis.call('EXPIRE',KEYS[2],ARGV[1]) end return 1",
    "if ARGV[1] ~= '' then local writeLockValueFromCache = redis.call('GET',KEYS[1]) if \
     writeLockValueFromCache ~= ARGV[1] then return 1 end end if tonumber(ARGV[6]) ~= 0 \
     then redis.call('SET', KEYS[2], ARGV[10]) end redis.call('EXPIRE',KEYS[2],ARGV[2]) \
     redis.call('SET', KEYS[3], ARGV[2]) redis.call('EXPIRE',KEYS[3],ARGV[2]) \
     redis.call('DEL',KEYS[1])",
];

/// What the provider asks: a script's number and its arguments behind the keys,
/// or a command on one of the keys.
const ASKED_4: &str = "\
0 one 100
3 none
4 6 1200 a 1 b 2
TTL data
HGETALL internal
5 900
TTL data
1
2 one 600
1
0 two 100
TTL lock
0 three 100
1
6 two 700 1 9 9 2 10 13 a b 5 c 6
HGET data b
HGET data c
HEXISTS data a
TTL data
EXISTS lock
0 four 100
6 other 700 0 9 8 1 9 10 d 1
6 four 800 0 9 8 0 9 8
TTL internal
EXISTS lock
0 five 100
2 other 100
2 five 100
TTL data
0 six 100
3 five
3 six
EXISTS data lock internal
5 100
1
2 six 100";

const ASKED_5: &str = "\
0 one 100
3 none
4 state 1200
TTL data
GET internal
5 900
TTL data
1
2 one 600
1
0 two 100
TTL lock
0 three 100
1
6 two 700 0 9 8 1 9 10 SessionState other
GET data
TTL data
EXISTS lock
0 four 100
6 other 700 0 9 8 1 9 10 SessionState wrong
GET data
GET lock
6  800 0 9 8 1 9 10 SessionState free
GET data
TTL internal
EXISTS lock
0 five 100
2 other 100
2 five 100
TTL data
0 six 100
3 five
3 six
EXISTS data lock internal
4 state 100
3 
EXISTS data lock internal
5 100
1
2 six 100";

/// How many keys each script has: the lock is one of three only.
const KEYS: [usize; 7] = [3, 3, 3, 3, 2, 2, 3];

fn replies(client: &mut Client, scripts: &[&str; 7], asked: &str) -> Vec<String> {
    let mut said = Vec::new();
    for line in asked.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let reply = match words[0].parse::<usize>() {
            Ok(number) => {
                let keys = &["lock", "data", "internal"][3 - KEYS[number]..];
                let count = KEYS[number].to_string();
                let head = ["EVAL", scripts[number], &count];
                client.ask(&[&head, keys, &words[1..]].concat())
            }
            Err(_) => client.ask(&words),
        };
        said.push(format!("{line}: {}", reply.escape_ascii()));
    }
    said
}

#[test]
fn sessions_of_both_versions_are_kept_as_by_redis() {
    let directory = directory();
    let redis = RedisServer::start(directory.path());
    let node = Node::start(directory.path(), "a", "");
    for (scripts, asked) in [(&VERSION_4, ASKED_4), (&VERSION_5, ASKED_5)] {
        let (mut ours, mut theirs) = (node.client(), redis.client());
        assert_eq!(replies(&mut ours, scripts, asked), replies(&mut theirs, scripts, asked));
        assert_eq!(ours.say("FLUSHALL"), theirs.say("FLUSHALL"));
    }
}

#[test]
fn one_of_many_requests_gets_a_session_at_three_nodes() {
    let directory = directory();
    let nodes = farm(directory.path(), &["a", "b", "c"]);
    let mut clients: Vec<Client> = nodes.iter().map(Node::client).collect();
    let scripts = &VERSION_5;
    assert!(replies(&mut clients[0], scripts, "4 state 1200")[0].ends_with(":1\\r\\n"));
    for round in 0..10 {
        let taken: Vec<bool> = std::thread::scope(|scope| {
            let askers = clients.iter_mut().enumerate().map(|(at, client)| {
                let line = format!("0 {round}-{at} 100");
                scope.spawn(move || replies(client, scripts, &line)[0].ends_with("$-1\\r\\n"))
            });
            let askers: Vec<_> = askers.collect();
            askers.into_iter().map(|asker| asker.join().expect("it ends in order")).collect()
        });
        let winner = taken.iter().position(|taken| *taken).expect("one gets it");
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "{taken:?}");
        let line = format!("6 {round}-{winner} 700 0 9 8 1 9 10 SessionState state{round}");
        assert!(replies(&mut clients[winner], scripts, &line)[0].ends_with("$-1\\r\\n"));
        for client in &mut clients {
            let expected = format!("state{round}");
            assert_eq!(client.say("GET data"), format!("${} {expected}", expected.len()));
        }
    }
}
