//! `segue sessions`: looks at what sessions a node holds, and ends them at every
//! node.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use hyper::Uri;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::admin::{End, Ended, Session, Sessions, Wanted};
use crate::cli::{SessionsOptions, SessionsWork};
use crate::http::{self, To};
use crate::status::{NO_HOST, connect};

/// How long a node may take to answer: a large table is walked in a second, and
/// ending waits for every live node.
const PATIENCE: Duration = Duration::from_secs(8);

/// Does what is asked at the node whose admin server that is.
///
/// # Errors
///
/// When there is no node, or it does not do it.
pub(crate) fn run(options: &SessionsOptions) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let SessionsOptions { work, user, kind, admin, token } = options;
    let token = token.read()?;
    let token = token.as_ref().map(|token| token.as_str());
    let node = At { admin, token };
    let (user, kind) = (user.clone(), kind.clone());
    let text = match work {
        SessionsWork::List => {
            let wanted = Wanted { kind, user, id: None };
            list(&runtime.block_on(ask(node, "/api/sessions", &wanted))?)
        }
        SessionsWork::Show { id } => {
            let wanted = Wanted { kind, user, id: Some(id.clone()) };
            let found: Sessions = runtime.block_on(ask(node, "/api/sessions", &wanted))?;
            let Some(session) = found.sessions.first() else {
                bail!("{admin} holds no session {id}: `segue sessions list` shows which it does");
            };
            show(session, found.now_ms)
        }
        SessionsWork::End { id } => {
            let end = match (id, user) {
                (Some(id), None) => End::Id(id.clone()),
                (None, Some(user)) => End::User(user),
                _ => bail!("expected the session to end, or --user and whose to end"),
            };
            let Ended { ended } = runtime.block_on(ask(node, "/api/sessions/end", &end))?;
            format!("{ended} ended\n")
        }
    };
    io::stdout().write_all(text.as_bytes()).context("standard output")
}

/// Where the node's admin server is, and what it is shown.
#[derive(Clone, Copy)]
struct At<'a> {
    admin: &'a Uri,
    token: Option<&'a str>,
}

async fn ask<T: DeserializeOwned>(
    At { admin, token }: At<'_>,
    path: &str,
    order: &impl Serialize,
) -> anyhow::Result<T> {
    let json = serde_json::to_vec(order).context("the order as JSON")?;
    let exchange = async {
        let stream = connect(admin).await?;
        let host = admin.authority().context(NO_HOST)?.as_str();
        anyhow::Ok(http::post_json(stream, To { host, token }, path, json).await?)
    };
    let answer = timeout(PATIENCE, exchange)
        .await
        .with_context(|| format!("{admin}: no answer within {PATIENCE:?}"))??;
    if !answer.status.is_success() {
        let said = String::from_utf8_lossy(&answer.body);
        bail!("{admin} answers {}: {}", answer.status, said.trim_end());
    }
    serde_json::from_slice(&answer.body)
        .with_context(|| format!("{admin} answers, but not as a node of this version does"))
}

/// Sessions as a table.
fn list(found: &Sessions) -> String {
    let mut text = format!("{:<16}  {:<8}  {:>8}  {:>8}  user\n", "id", "kind", "bytes", "ends in");
    for session in &found.sessions {
        let user = session.login.as_ref().map_or("", |login| &login.user);
        let left = span(session.idle_ms.saturating_sub(found.now_ms));
        let Session { id, kind, bytes, .. } = session;
        text += format!("{id}  {kind:<8}  {bytes:>8}  {left:>8}  {user}").trim_end();
        text += "\n";
    }
    if found.more {
        text += "and more: --user or --kind shows fewer\n";
    }
    text
}

/// One session, line by line.
fn show(session: &Session, now_ms: u64) -> String {
    let ago = |ms: u64| format!("{} ago", span(now_ms.saturating_sub(ms)));
    let left = |ms: u64| format!("in {}", span(ms.saturating_sub(now_ms)));
    let mut lines = vec![
        ("id", session.id.clone()),
        ("kind", session.kind.clone()),
        ("bytes", session.bytes.to_string()),
        ("written", ago(session.written_ms)),
        ("ends unless used", left(session.idle_ms)),
        ("ends in any case", left(session.ends_ms)),
    ];
    if let Some(login) = &session.login {
        lines.extend([
            ("user", login.user.clone()),
            ("logged in", ago(login.at_ms)),
            ("by", login.method.clone()),
            ("rights", login.rights.join(", ")),
        ]);
        lines.extend(login.stepped_up.clone().map(|method| ("stepped up by", method)));
    }
    lines.iter().map(|(name, value)| format!("{name:<16}  {value}\n")).collect()
}

/// A time as a person says it.
fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h {}m", minutes % 60),
        (days, hours, _) => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn times_are_said_in_two_units_at_the_most() {
        let check = |seconds: u64, expected: &str| assert_eq!(span(seconds * 1_000), expected);
        check(0, "0s");
        check(59, "59s");
        check(60, "1m");
        check(3_661, "1h 1m");
        check(90_000, "1d 1h");
    }
}
