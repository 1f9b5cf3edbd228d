//! The same commands to a real `redis-server` and to a node: the same bytes
//! come back.

use crate::node::{Node, RedisServer, directory};

/// Lines of commands, each answered the same by both. What Redis gives in the
/// order of its hash tables is asked of one member only.
const COMMANDS: &str = "\
PING
ping hello
PING a b
ECHO x
ECHO
NOSUCH a b
GET
GET a b
SET a 1
SET a 2 NX
SET a 2 XX
SET b 2 XX
GET a
SET a 3 GET
SET a 3 NX XX
SET a 3 EX
SET a 3 EX x
SET a 3 EX 0
SET a 3 EX -5
SET a 3 PX 100000 KEEPTTL
SET a 3 EX 9223372036854775807
SET a 3 FOO
SETNX a 4
SETNX c 4
GETSET c 5
SETEX c 0 x
SETEX c x x
PSETEX c -1 x
SETEX c 100 hello
TTL c
EXPIRE c 200 NX
EXPIRE c 200 XX
EXPIRE c 100 GT
EXPIRE c 300 LT
EXPIRE c 300 NX XX
EXPIRE c 300 GT LT
EXPIRE c 300 FOO
EXPIRE c x
EXPIRE c 9223372036854775807
EXPIRE none 10
PERSIST c
PERSIST c
TTL c
TTL none
PTTL none
EXPIRETIME c
PEXPIRETIME none
GETEX c EX 100
TTL c
GETEX c PERSIST
TTL c
GETEX c EX 0
GETEX c FOO
EXPIRE c -1
EXISTS c
INCR a
INCRBY a 10
INCRBY a x
DECR a
DECRBY a 5
DECRBY a -9223372036854775808
SET a 9223372036854775807
INCR a
SET a abc
INCR a
SET f 10.5
INCRBYFLOAT f 0.1
INCRBYFLOAT f -5
INCRBYFLOAT f x
SET f 5.0e3
INCRBYFLOAT f 2.0e2
APPEND a def
APPEND new x
STRLEN a
STRLEN none
GETRANGE a 0 2
GETRANGE a -3 -1
GETRANGE a 5 1
GETRANGE a 0 100
GETRANGE none 0 1
SUBSTR a 1 2
SETRANGE a 2 ZZ
SETRANGE a -1 x
SETRANGE none 0 x
SETRANGE pad 3 x
GET pad
MSET x 1 y 2
MSET x 1 y
MGET x y none
MSETNX z 1
MSETNX z 2
DEL x y none
UNLINK z
EXISTS a a none
TOUCH a none
TYPE a
TYPE none
GETDEL a
GETDEL a
HSET h f 1
HSET h f 2 g 3
HSET h f
HGET h f
HGET h none
HGET none f
HMGET h f none g
HLEN h
HEXISTS h f
HEXISTS h none
HSTRLEN h f
HINCRBY h f 5
HINCRBY h f x
HINCRBYFLOAT h f 0.5
HSET h t text
HINCRBY h t 1
HINCRBYFLOAT h t 1
HSETNX h f 1
HSETNX h new 1
HRANDFIELD none
HRANDFIELD none 2
HRANDFIELD h x
HRANDFIELD h 1 FOO
HDEL h f none
GET h
INCR h
SET h x
HGET h f
HSET h f 1
DEL h
HMSET h f 1
HRANDFIELD h
HRANDFIELD h 5 WITHVALUES
HRANDFIELD h -3
HGETALL h
HKEYS h
HVALS h
TYPE h
HDEL h f
EXISTS h
HGETALL h
SADD s m m
SADD s m
SISMEMBER s m
SISMEMBER s none
SMISMEMBER s m none
SMEMBERS s
SCARD s
SADD h x
SCARD h
HGET s f
TYPE s
SREM s m none
EXISTS s
SMEMBERS s
ZADD z 1 a
ZADD z 2 b 3 c
ZADD z x d
ZADD z 1
ZADD z NX XX 1 d
ZADD z GT LT 1 d
ZADD z XX 1 d
ZADD z NX 9 a
ZADD z GT CH 9 a
ZADD z INCR 1 a
ZADD z INCR 1 a 2 b
ZSCORE z a
ZSCORE z none
ZCARD z
ZRANGE z 0 -1
ZRANGE z 0 -1 WITHSCORES
ZRANGE z 0 0 REV
ZRANGE z 2 3 BYSCORE
ZRANGE z (2 +inf BYSCORE LIMIT 0 1
ZRANGE z 0 1 LIMIT 0 1
ZRANGE z a b
ZRANGEBYSCORE z -inf +inf
ZRANGEBYSCORE z (2 10 WITHSCORES
ZRANGEBYSCORE z a b
ZREVRANGEBYSCORE z +inf -inf LIMIT 1 1
ZCOUNT z 2 3
ZINCRBY z 1.5 b
ZREM z a none
ZREMRANGEBYSCORE z 0 3
ZCARD z
RENAME none x
SET r 1
RENAME r r2
RENAMENX r2 c2
GET c2
COPY c2 c3
COPY c2 c3
COPY c2 c3 REPLACE
COPY c2 c2
COPY none c9
COPY c2 c2 DB 3
COPY c2 c2 db 3
COPY c2 c2 replace DB 3 REPLACE
COPY c2 c9 DB 16
COPY c2 c9 DB x
COPY c2 c9 DB
COPY c2 c9 REPLACE DB 3 x
COPY none c2 DB 3
SELECT 3
GET c2
COPY c2 c2 DB 3
DEL c2
SELECT 0
OBJECT ENCODING c2
OBJECT ENCODING none
OBJECT ENCODING
OBJECT NOSUCH c2
OBJECT FREQ c2
SELECT 1
GET c2
SELECT 16
SELECT x
SELECT 0
MULTI
SET m 1
INCR m
INCR m
GET m
EXEC
MULTI
MULTI
DISCARD
DISCARD
EXEC
MULTI
SET m
EXEC
MULTI
NOSUCH
EXEC
MULTI
HSET m f 1
SET m 7
EXEC
WATCH m
SET m 8
MULTI
SET m 9
EXEC
GET m
WATCH m
MULTI
SET m 9
WATCH m
EXEC
UNWATCH
AUTH x
AUTH a b c d
CLIENT GETNAME
CLIENT SETNAME me
CLIENT GETNAME
CLIENT SETINFO lib-name x
HELLO 4
HELLO x
SCRIPT FLUSH
SCRIPT EXISTS abc
EVALSHA abc 0
EVALSHA abc x
CLUSTER INFO
CLUSTER NODES
CLUSTER
SENTINEL masters
CLIENT NO-EVICT on
CLIENT NO-EVICT x
CLIENT NOSUCH
COMMAND NOSUCH
COMMAND INFO nosuch
COMMAND DOCS nosuch
CONFIG GET save
CONFIG GET nosuch
CONFIG GET
CONFIG SET appendonly no
CONFIG SET timeout 0
CONFIG SET nosuch 1
CONFIG SET save
CONFIG NOSUCH
CONFIG RESETSTAT
FUNCTION FLUSH
FUNCTION LIST
SCRIPT FLUSH ASYNC
SCRIPT FLUSH X
SCRIPT NOSUCH
SCRIPT EXISTS
WAIT 0 0
WAIT 0 100
WAIT x 0
WAIT 0 -1
ACL WHOAMI
ACL NOSUCH
SCAN x
KEYS none*
DBSIZE
FLUSHALL
DBSIZE
KEYS *
RANDOMKEY
SCAN 0
RESET";

/// What 7.0 says otherwise than 7.2, whose words are ours; or is ours to say.
const OTHERWISE: [&str; 2] = ["CLIENT SETINFO", "OBJECT ENCODING none"];

#[test]
fn replies_are_those_of_redis_byte_for_byte() {
    let directory = directory();
    let redis = RedisServer::start(directory.path());
    let node = Node::start(directory.path(), "a", "");
    let (mut theirs, mut ours) = (redis.client(), node.client());
    let mut differing = Vec::new();
    for line in COMMANDS.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (expected, found) = (theirs.ask(&words), ours.ask(&words));
        if expected != found && !OTHERWISE.iter().any(|other| line.starts_with(other)) {
            let text = |reply: &[u8]| String::from_utf8_lossy(reply).replace("\r\n", " ");
            differing.push(format!("{line}: {} and not {}", text(&found), text(&expected)));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn what_is_no_request_is_answered_as_by_redis() {
    let directory = directory();
    let redis = RedisServer::start(directory.path());
    let node = Node::start(directory.path(), "a", "");
    let inputs: [&[u8]; 5] = [
        b"*1\r\n$-1\r\n",
        b"*x\r\n",
        b"*2\r\n!3\r\n",
        b"SET a \"b\r\n",
        b"*1\r\n$4\r\nPING\r\n*1\r\nPING\r\n",
    ];
    for input in inputs {
        let mut replies = [redis.client(), node.client()].map(|mut client| {
            client.send(input);
            // The last reply is nothing: the connection is closed.
            [client.reply(), client.reply(), client.reply()]
        });
        let ours = std::mem::take(&mut replies[1]);
        assert_eq!(ours, replies[0], "{:?}", input.escape_ascii().to_string());
    }
}
