//! `CONFIG`: what clients look for in a server's configuration, and the little
//! that they may change in it.

use proto::gateway::redis::events::Wanted;
use proto::gateway::redis::{self, Fail};
use proto::gateway::resp::{Request, Writer};

use super::session::Session;
use super::words::{is, subcommand};

/// The one thing that can be changed.
const EVENTS: &str = "notify-keyspace-events";

/// What clients and benchmarks ask of the configuration, and what it is here.
const CONFIGURATION: [(&str, &str); 10] = [
    ("appendonly", "no"),
    ("databases", "16"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    (EVENTS, ""),
    ("proto-max-bulk-len", "4194304"),
    ("save", ""),
    ("slave-read-only", "yes"),
    ("tcp-keepalive", "300"),
    ("timeout", "0"),
];

impl Session<'_> {
    pub(super) fn config(&self, request: &Request<'_>, reply: &mut Writer<'_>) -> Result<(), Fail> {
        let word = redis::argument(request, 1)?;
        if is(word, "GET") && request.count() > 2 {
            self.shown(request, reply);
        } else if is(word, "RESETSTAT") {
            reply.ok();
        } else if is(word, "SET") && request.count() > 3 && request.count().is_multiple_of(2) {
            self.tune(request)?;
            reply.ok();
        } else if is(word, "SET") || is(word, "GET") {
            let word = String::from_utf8_lossy(word).to_ascii_lowercase();
            return Err(redis::wrong_arguments(&format!("config|{word}")));
        } else if is(word, "REWRITE") {
            return Err(Fail::Said("ERR The server is running without a config file"));
        } else {
            return Err(subcommand("CONFIG", request));
        }
        Ok(())
    }

    fn shown(&self, request: &Request<'_>, reply: &mut Writer<'_>) {
        let asked = |name: &str| {
            let name = name.as_bytes();
            let matches =
                |pattern: &[u8]| redis::glob::matches(&pattern.to_ascii_lowercase(), name);
            request.arguments().skip(2).any(matches)
        };
        let found: Vec<_> = CONFIGURATION.iter().filter(|(name, _)| asked(name)).collect();
        reply.map(found.len());
        for (name, value) in found {
            reply.bulk(name.as_bytes());
            if *name == EVENTS {
                reply.bulk(self.shared.channels.wanted().letters().as_bytes());
            } else {
                reply.bulk(value.as_bytes());
            }
        }
    }

    /// All that is asked for, or nothing. What is so already may be asked for.
    fn tune(&self, request: &Request<'_>) -> Result<(), Fail> {
        let mut wanted = None;
        for at in (2..request.count()).step_by(2) {
            let (name, value) = (redis::argument(request, at)?, redis::argument(request, at + 1)?);
            let Some((known, held)) = CONFIGURATION.iter().find(|(known, _)| is(name, known))
            else {
                let name = String::from_utf8_lossy(name);
                return Err(Fail::Told(format!(
                    "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
                )));
            };
            let refused = |why: &str| {
                let failed = "ERR CONFIG SET failed (possibly related to argument";
                Fail::Told(format!("{failed} '{known}') - {why}"))
            };
            if *known == EVENTS {
                let unknown = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
                wanted = Some(Wanted::parse(value).ok_or_else(|| refused(unknown))?);
            } else if value != held.as_bytes() {
                return Err(refused("this node's configuration says how it runs"));
            }
        }
        if let Some(wanted) = wanted {
            self.shared.channels.want(wanted);
        }
        Ok(())
    }
}
