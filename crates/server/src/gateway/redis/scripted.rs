//! `EVAL` and `EVALSHA` of the scripts that are known.

use proto::gateway::redis::{self, Fail, Need, scripts};
use proto::gateway::resp::Request;

use super::connection::Output;
use super::session::{Deed, Session};

pub(super) const UNKNOWN: Fail = Fail::Said(
    "ERR only scripts that session clients are known to send are served (docs/gateways.md), and \
     this is none of them",
);
const NO_SCRIPT: Fail = Fail::Said("NOSCRIPT No matching script. Please use EVAL.");
/// The most arguments behind the key that a known script looks at.
const MOST_ARGUMENTS: usize = 3;

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
        let script = if name == "eval" {
            scripts::by_text(text).ok_or(UNKNOWN)?
        } else {
            scripts::by_sha1(text).ok_or(NO_SCRIPT)?
        };
        if keys != 1 {
            return Err(UNKNOWN);
        }
        let key = self.name(redis::argument(request, 3)?)?;
        let arguments: Vec<&[u8]> = request.arguments().skip(4).take(MOST_ARGUMENTS).collect();
        let deed = Deed { need: Need::OneAnswer, command: script.command(), request: *request };
        self.work(&key, deed, output, |draft, reply| scripts::run(script, draft, &arguments, reply))
            .await
    }
}
