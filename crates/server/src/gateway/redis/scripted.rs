//! `EVAL` and `EVALSHA` of the scripts that are known.

use std::collections::HashMap;

use parking_lot::RwLock;
use proto::gateway::redis::scripts::{self, Script};
use proto::gateway::redis::{self, Fail, Need};
use proto::gateway::resp::{Request, Writer};

use super::aspnet;
use super::connection::Output;
use super::session::{Deed, Session};
use super::slots::{self, Slots};
use super::words::{is, subcommand};

pub(super) const UNKNOWN: Fail = Fail::Said(
    "ERR only scripts that session clients are known to send are served (docs/gateways.md), and \
     this is none of them",
);
const NO_SCRIPT: Fail = Fail::Said("NOSCRIPT No matching script. Please use EVAL.");
/// The most arguments behind the key that a known script looks at.
const MOST_ARGUMENTS: usize = 4;

/// How many names of scripts are remembered. Clients have their texts, and
/// send them again where a name is not known.
const MOST_NAMES: usize = 1_024;

/// A script that is known.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known {
    /// On one key.
    One(Script),
    AspNet(aspnet::Known),
    /// On any number of keys.
    Slots(Slots),
}

/// The names of scripts that clients have sent: the SHA-1 of each text.
#[derive(Debug, Default)]
pub(super) struct Names(RwLock<HashMap<String, Known>>);

impl Names {
    /// The script that a text is, and its name, which is remembered.
    pub(super) fn learn(&self, text: &[u8]) -> Option<(Known, String)> {
        let script = scripts::by_text(text)
            .map(Known::One)
            .or_else(|| aspnet::by_text(text).map(Known::AspNet))
            .or_else(|| slots::by_text(text).map(Known::Slots))?;
        let name = scripts::sha1(text);
        if self.script(name.as_bytes()).is_none() {
            let mut names = self.0.write();
            if names.len() >= MOST_NAMES {
                names.clear();
            }
            names.insert(name.clone(), script);
        }
        Some((script, name))
    }

    /// The script of this name, in any case.
    pub(super) fn script(&self, name: &[u8]) -> Option<Known> {
        let small = String::from_utf8(name.to_ascii_lowercase()).ok()?;
        self.0.read().get(&small).copied().or_else(|| scripts::by_sha1(name).map(Known::One))
    }

    pub(super) fn forget(&self) {
        self.0.write().clear();
    }
}

impl Session<'_> {
    /// Does a known script's work on its key.
    pub(super) async fn script(
        &self,
        name: &str,
        request: &Request<'_>,
        output: &mut Output,
    ) -> Result<(), Fail> {
        let text = redis::argument(request, 1)?;
        // A SHA-1 has forty digits: another text is none, whatever follows.
        if name == "evalsha" && text.len() != 40 {
            return Err(NO_SCRIPT);
        }
        let keys = redis::integer(request, 2)?;
        if keys < 0 {
            return Err(Fail::Said("ERR Number of keys can't be negative"));
        }
        let keys = usize::try_from(keys).unwrap_or(usize::MAX);
        if keys > request.count() - 3 {
            return Err(Fail::Said("ERR Number of keys can't be greater than number of args"));
        }
        let names = &self.shared.scripts;
        let script = if name == "eval" {
            names.learn(text).ok_or(UNKNOWN)?.0
        } else {
            names.script(text).ok_or(NO_SCRIPT)?
        };
        let script = match script {
            Known::One(script) if keys == 1 => script,
            Known::AspNet(known) if keys == known.keys() => {
                return self.asp_net(known, request, output).await;
            }
            Known::Slots(slots) if keys > 0 => {
                return self.slots(slots, keys, request, output).await;
            }
            Known::One(_) | Known::AspNet(_) | Known::Slots(_) => return Err(UNKNOWN),
        };
        let key = self.name(redis::argument(request, 3)?)?;
        let arguments: Vec<&[u8]> = request.arguments().skip(4).take(MOST_ARGUMENTS).collect();
        let deed = Deed { need: Need::OneAnswer, command: script.command(), request: *request };
        self.work(&key, deed, output, |draft, reply| scripts::run(script, draft, &arguments, reply))
            .await
    }

    /// `SCRIPT`.
    pub(super) fn scripts(
        &self,
        request: &Request<'_>,
        reply: &mut Writer<'_>,
    ) -> Result<(), Fail> {
        let (word, names) = (redis::argument(request, 1)?, &self.shared.scripts);
        if is(word, "LOAD") && request.count() == 3 {
            let (_, name) = names.learn(redis::argument(request, 2)?).ok_or(UNKNOWN)?;
            reply.bulk(name.as_bytes());
        } else if is(word, "EXISTS") && request.count() > 2 {
            reply.array(request.count() - 2);
            let known = |name: &[u8]| names.script(name).is_some();
            request.arguments().skip(2).for_each(|name| reply.integer(known(name).into()));
        } else if is(word, "FLUSH") {
            let is_mode = |mode: &[u8]| is(mode, "SYNC") || is(mode, "ASYNC");
            if request.count() > 3 || !request.get(2).is_none_or(is_mode) {
                return Err(Fail::Said("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
            }
            names.forget();
            reply.ok();
        } else if is(word, "EXISTS") || is(word, "LOAD") {
            let word = String::from_utf8_lossy(word).to_ascii_lowercase();
            return Err(redis::wrong_arguments(&format!("script|{word}")));
        } else {
            return Err(subcommand("SCRIPT", request));
        }
        Ok(())
    }
}
