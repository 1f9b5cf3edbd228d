//! Commands about the connection and the server: greetings, and what clients
//! look around for.

use proto::gateway::redis::{self, Fail, SYNTAX};
use proto::gateway::resp::{Request, Version, Writer};

use super::connection::Output;
use super::session::{NO_AUTH, Session, Then};
use crate::gateway::keys::DATABASES;
use crate::gateway::running::Service as _;

/// The version of Redis whose commands these are.
const REDIS_VERSION: &str = "7.2.0";

pub(super) fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

impl Session<'_> {
    /// Does a command that is about no key.
    pub(super) async fn about_itself(
        &mut self,
        name: &str,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<Then, Fail> {
        match name {
            "auth" => self.auth(request).await?,
            "hello" => return self.hello(request, output).await.map(|()| Then::GoOn),
            "multi" | "exec" | "discard" | "watch" | "unwatch" => {
                return self.transaction(name, request, output).await.map(|()| Then::GoOn);
            }
            "subscribe" | "psubscribe" | "unsubscribe" | "punsubscribe" | "publish" | "pubsub" => {
                return self.channels(name, request, output).await.map(|()| Then::GoOn);
            }
            "reset" => {
                self.reset();
                Writer::new(&mut output.bytes, self.version).simple("RESET");
                return Ok(Then::GoOn);
            }
            "select" => self.select(request)?,
            _ => {
                let mut reply = Writer::new(&mut output.bytes, self.version);
                if self.look_around(name, request, &mut reply)? == Then::Close {
                    return Ok(Then::Close);
                }
                return Ok(Then::GoOn);
            }
        }
        Writer::new(&mut output.bytes, self.version).ok();
        Ok(Then::GoOn)
    }

    async fn auth(&mut self, request: &Request<'_>) -> Result<(), Fail> {
        if self.access.is_open() && request.count() == 2 {
            return Err(Fail::Said(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ));
        }
        match (request.get(1), request.get(2), request.count()) {
            (Some(password), None, _) => self.log_in(b"default", password).await,
            (Some(user), Some(password), 3) => self.log_in(user, password).await,
            _ => Err(SYNTAX),
        }
    }

    async fn hello(&mut self, request: &Request<'_>, output: &mut Output) -> Result<(), Fail> {
        let mut version = self.version;
        let mut at = 1;
        if let Some(number) = request.get(1) {
            version = match number {
                b"2" => Version::Resp2,
                b"3" => Version::Resp3,
                _ if number.iter().all(u8::is_ascii_digit) => {
                    return Err(Fail::Said("NOPROTO unsupported protocol version"));
                }
                _ => {
                    return Err(Fail::Said(
                        "ERR Protocol version is not an integer or out of range",
                    ));
                }
            };
            at = 2;
        }
        let (mut client_name, mut login) = (None, None);
        while let Some(word) = request.get(at) {
            match (request.get(at + 1), request.get(at + 2)) {
                (Some(user), Some(password)) if is(word, "AUTH") => {
                    login = Some((user, password));
                    at += 3;
                }
                (Some(name), _) if is(word, "SETNAME") => {
                    client_name = Some(name);
                    at += 2;
                }
                _ => {
                    let word = String::from_utf8_lossy(word);
                    return Err(Fail::Told(format!("ERR Syntax error in HELLO option '{word}'")));
                }
            }
        }
        if let Some((user, password)) = login {
            self.log_in(user, password).await?;
        }
        if !self.is_authenticated() {
            return Err(Fail::Said(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
                 HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client \
                 and select the RESP protocol version at the same time",
            ));
        }
        if let Some(name) = client_name {
            self.set_client_name(name)?;
        }
        self.version = version;
        self.greet(&mut Writer::new(&mut output.bytes, version));
        Ok(())
    }

    fn greet(&self, reply: &mut Writer<'_>) {
        let words = [("server", "redis"), ("version", REDIS_VERSION)];
        reply.map(7);
        for (name, value) in words {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        }
        reply.bulk(b"proto");
        reply.integer(if self.version == Version::Resp3 { 3 } else { 2 });
        reply.bulk(b"id");
        reply.integer(i64::try_from(self.id).unwrap_or(i64::MAX));
        for (name, value) in [("mode", "standalone"), ("role", "master")] {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        }
        reply.bulk(b"modules");
        reply.array(0);
    }

    fn select(&mut self, request: &Request<'_>) -> Result<(), Fail> {
        let number = redis::integer(request, 1)?;
        let number = u8::try_from(number).ok().filter(|&number| number < DATABASES);
        self.database = number.ok_or(Fail::Said("ERR DB index is out of range"))?;
        Ok(())
    }

    fn set_client_name(&mut self, name: &[u8]) -> Result<(), Fail> {
        if !name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
            return Err(Fail::Said(
                "ERR Client names cannot contain spaces, newlines or special characters.",
            ));
        }
        self.client_name = name.to_vec();
        Ok(())
    }

    fn look_around(
        &mut self,
        name: &str,
        request: &Request<'_>,
        reply: &mut Writer<'_>,
    ) -> Result<Then, Fail> {
        match name {
            "ping" => match (request.get(1), request.count()) {
                (text, 1 | 2) if self.only_listens() => {
                    reply.array(2);
                    reply.bulk(b"pong");
                    reply.bulk(text.unwrap_or_default());
                }
                (None, _) => reply.simple("PONG"),
                (Some(text), 2) => reply.bulk(text),
                _ => return Err(redis::wrong_arguments("ping")),
            },
            "echo" => reply.bulk(redis::argument(request, 1)?),
            "quit" => {
                reply.ok();
                return Ok(Then::Close);
            }
            "time" => self.time(reply),
            "client" => self.client(request, reply)?,
            "acl" if is(redis::argument(request, 1)?, "WHOAMI") && request.count() == 2 => {
                reply.bulk(self.user_name().as_bytes());
            }
            "acl" => return Err(subcommand("ACL", request)),
            "command" => command(request, reply)?,
            "config" => self.config(request, reply)?,
            "info" => self.info(reply),
            "cluster" => return Err(Fail::Said("ERR This instance has cluster support disabled")),
            "script" => self.scripts(request, reply)?,
            "function" if is(redis::argument(request, 1)?, "FLUSH") => reply.ok(),
            "function" if is(redis::argument(request, 1)?, "LIST") => reply.array(0),
            "function" => return Err(subcommand("FUNCTION", request)),
            // A write is answered once those that it waits for have it.
            "wait" => {
                let others = redis::integer(request, 1)?;
                if redis::integer(request, 2)? < 0 {
                    return Err(Fail::Said("ERR timeout is negative"));
                }
                reply.integer(others.max(0));
            }
            _ => return Err(NO_AUTH),
        }
        Ok(Then::GoOn)
    }

    fn time(&self, reply: &mut Writer<'_>) {
        let millis = self.shared.store.cache.now().as_millis();
        reply.array(2);
        reply.bulk((millis / 1_000).to_string().as_bytes());
        reply.bulk((millis % 1_000 * 1_000).to_string().as_bytes());
    }

    fn client(&mut self, request: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
        let word = redis::argument(request, 1)?;
        if is(word, "SETNAME") {
            self.set_client_name(redis::argument(request, 2)?)?;
            reply.ok();
        } else if is(word, "GETNAME") {
            if self.client_name.is_empty() {
                reply.null();
            } else {
                reply.bulk(&self.client_name);
            }
        } else if is(word, "ID") {
            reply.integer(i64::try_from(self.id).unwrap_or(i64::MAX));
        } else if ["NO-EVICT", "NO-TOUCH"].iter().any(|name| is(word, name)) {
            let switch = redis::argument(request, 2)?;
            if !is(switch, "ON") && !is(switch, "OFF") {
                return Err(SYNTAX);
            }
            reply.ok();
        } else if ["SETINFO", "MAINT_NOTIFICATIONS"].iter().any(|name| is(word, name)) {
            reply.ok();
        } else if is(word, "LIST") || is(word, "INFO") {
            let name = String::from_utf8_lossy(&self.client_name);
            let (id, database) = (self.id, self.database);
            let user = self.user_name();
            let line = format!("id={id} name={name} db={database} user={user}\n");
            reply.verbatim(*b"txt", line.as_bytes());
        } else {
            return Err(subcommand("CLIENT", request));
        }
        Ok(())
    }

    fn info(&self, reply: &mut Writer<'_>) {
        let figures = self.shared.figures();
        let text = format!(
            "# Server\r\nredis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\nsegue_version:{}\r\n\
             segue_node:{}\r\n\r\n# Clients\r\nconnected_clients:{}\r\n\r\n# Stats\r\n\
             total_connections_received:{}\r\ntotal_commands_processed:{}\r\n\r\n# Replication\r\n\
             role:master\r\nconnected_slaves:0\r\n\r\n# Persistence\r\nloading:0\r\n",
            env!("CARGO_PKG_VERSION"),
            self.shared.node,
            figures.connections,
            figures.accepted,
            figures.commands,
        );
        reply.verbatim(*b"txt", text.as_bytes());
    }
}

pub(super) fn subcommand(name: &str, request: &Request<'_>) -> Fail {
    let word = String::from_utf8_lossy(request.get(1).unwrap_or_default()).into_owned();
    Fail::Told(format!("ERR unknown subcommand '{word}'. Try {name} HELP."))
}

fn command(request: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
    match request.get(1) {
        None => describe_all(reply),
        Some(word) if is(word, "INFO") && request.count() == 2 => describe_all(reply),
        Some(word) if is(word, "LIST") && request.count() == 2 => {
            reply.array(redis::all().len());
            redis::all().iter().for_each(|command| reply.bulk(command.name.as_bytes()));
        }
        Some(word) if is(word, "COUNT") => {
            reply.integer(i64::try_from(redis::all().len()).unwrap_or(i64::MAX));
        }
        Some(word) if is(word, "DOCS") => reply.map(0),
        Some(word) if is(word, "INFO") => {
            reply.array(request.count() - 2);
            for name in request.arguments().skip(2) {
                match redis::find(name) {
                    Some(command) => describe(command, reply),
                    None => reply.null(),
                }
            }
        }
        Some(_) => return Err(subcommand("COMMAND", request)),
    }
    Ok(())
}

fn describe_all(reply: &mut Writer<'_>) {
    reply.array(redis::all().len());
    redis::all().iter().for_each(|command| describe(command, reply));
}

/// A command's name, arity, flags, first and last key and their distance: what
/// clients ask for to find keys by.
fn describe(command: &redis::Command, reply: &mut Writer<'_>) {
    let keys = match command.name {
        "mget" | "del" | "unlink" | "exists" | "touch" | "watch" => [1, -1, 1],
        "mset" | "msetnx" => [1, -1, 2],
        "rename" | "renamenx" | "copy" => [1, 2, 1],
        "object" => [2, 2, 1],
        _ => match command.kind {
            redis::Kind::Keys | redis::Kind::Session => [0, 0, 0],
            redis::Kind::Read(_)
            | redis::Kind::Write(_)
            | redis::Kind::Agree(_)
            | redis::Kind::Either(_) => [1, 1, 1],
        },
    };
    reply.array(6);
    reply.bulk(command.name.as_bytes());
    reply.integer(command.arity.into());
    reply.array(1);
    reply.simple(if matches!(command.kind, redis::Kind::Read(_)) { "readonly" } else { "write" });
    keys.into_iter().for_each(|key| reply.integer(key));
}
