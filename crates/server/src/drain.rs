//! `segue drain`: has a node leave, and waits until it is gone.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use hyper::{StatusCode, Uri};
use tokio::time::{sleep, timeout};

use crate::admin::{Order, Progress};
use crate::cli;
use crate::http::{self, Answer, To};
use crate::status::{NO_HOST, connect};

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the node is asked how far it has come.
const LOOK: Duration = Duration::from_millis(100);

/// Has the node whose admin server that is leave, its connections going to the
/// node that is named.
///
/// # Errors
///
/// When there is no node, when it does not leave, or when connections could not
/// be moved.
pub(crate) fn run(options: &cli::Drain) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let token = options.token.read()?;
    let node = At { admin: &options.admin, token: token.as_ref().map(|token| token.as_str()) };
    runtime.block_on(drain(node, options.to.clone()))
}

/// Where the node's admin server is, and what it is shown.
#[derive(Clone, Copy)]
struct At<'a> {
    admin: &'a Uri,
    token: Option<&'a str>,
}

async fn drain(node: At<'_>, to: Option<String>) -> anyhow::Result<()> {
    let admin = node.admin;
    let order = serde_json::to_vec(&Order { to }).context("the order as JSON")?;
    let answer = ask(node, Some(order)).await?;
    if answer.status != StatusCode::ACCEPTED {
        let said = String::from_utf8_lossy(&answer.body);
        bail!("{admin} answers {}: {}", answer.status, said.trim_end());
    }
    let mut shown = None;
    let mut answer = Some(answer);
    while let Some(Answer { body, .. }) = answer {
        let progress: Progress = serde_json::from_slice(&body)
            .with_context(|| format!("{admin} answers, but not as a node of this version does"))?;
        if let Some(why) = progress.failed {
            bail!("not moved: {why}; they are served until the node's time is up");
        }
        if shown.replace(progress.left) != Some(progress.left) {
            say(&format!("draining: {} live connections left", progress.left))?;
        }
        sleep(LOOK).await;
        answer = look(node).await?;
    }
    say("the node is gone")
}

/// How far the node has come; none once it is gone.
async fn look(node: At<'_>) -> anyhow::Result<Option<Answer>> {
    match ask(node, None).await {
        Ok(answer) => Ok(Some(answer)),
        // One that ends closes what it has been asked over, and is asked again.
        Err(_) if connect(node.admin).await.is_err() => Ok(None),
        Err(_) => ask(node, None).await.map(Some),
    }
}

/// Asks the node how far it has come, or tells it something.
async fn ask(At { admin, token }: At<'_>, order: Option<Vec<u8>>) -> anyhow::Result<Answer> {
    let exchange = async {
        let stream = connect(admin).await?;
        let host = admin.authority().context(NO_HOST)?.as_str();
        anyhow::Ok(match order {
            Some(json) => http::post_json(stream, To { host, token }, "/api/drain", json).await?,
            None => http::get(stream, To { host, token }, "/api/drain").await?,
        })
    };
    timeout(PATIENCE, exchange)
        .await
        .with_context(|| format!("{admin}: no answer within {PATIENCE:?}"))?
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output")
}
