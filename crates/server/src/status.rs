//! `segue status`: a node's own account of itself, for people or as JSON.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::body::Bytes;
use hyper::{StatusCode, Uri};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::admin::{Status, headline, sections};
use crate::cli;
use crate::http::{self, Answer, To};

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The port of `[admin]` by default.
const ADMIN_PORT: u16 = 9700;

/// What is wrong with a URL that names none.
pub(crate) const NO_HOST: &str = "a URL without a host";

/// Prints the status of the node whose admin server that is.
///
/// # Errors
///
/// When there is no node, or it is none of this version.
pub(crate) fn run(options: &cli::Status) -> anyhow::Result<()> {
    let cli::Status { admin, json, token } = options;
    let token = token.read()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = runtime.block_on(ask(admin, token.as_ref().map(|token| token.as_str())))?;
    let status = read(admin, &body)?;
    let text =
        if *json { String::from_utf8_lossy(&body).into_owned() + "\n" } else { table(&status) };
    std::io::stdout().write_all(text.as_bytes()).context("standard output")
}

/// The status of the node whose admin server is at `admin`, which is shown the
/// token.
///
/// # Errors
///
/// As [`run`].
pub(crate) async fn fetch(admin: &Uri, token: Option<&str>) -> anyhow::Result<Status> {
    read(admin, &ask(admin, token).await?)
}

fn read(admin: &Uri, body: &[u8]) -> anyhow::Result<Status> {
    serde_json::from_slice(body)
        .with_context(|| format!("{admin} answers, but not as a node of this version does"))
}

/// The answer of the node's admin server.
async fn ask(admin: &Uri, token: Option<&str>) -> anyhow::Result<Bytes> {
    let exchange = async {
        let stream = connect(admin).await?;
        let host = admin.authority().context(NO_HOST)?.as_str();
        anyhow::Ok(http::get(stream, To { host, token }, "/api/status").await?)
    };
    let Answer { status, body, .. } = timeout(PATIENCE, exchange)
        .await
        .with_context(|| format!("{admin}: no answer within {PATIENCE:?}"))??;
    ensure!(
        status != StatusCode::UNAUTHORIZED,
        "{admin} asks for the token of its admin.token_file: give it with --token-file FILE"
    );
    ensure!(status.is_success(), "{admin} answers {status}: is it a node's admin address?");
    Ok(body)
}

/// A connection to a node's admin server.
///
/// # Errors
///
/// When nobody is there, with what to do about it.
pub(crate) async fn connect(admin: &Uri) -> anyhow::Result<TcpStream> {
    let authority = admin.authority().context(NO_HOST)?;
    let port = authority.port_u16().unwrap_or(ADMIN_PORT);
    // An IPv6 address stands in brackets, which name resolution does not know.
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    TcpStream::connect((host, port)).await.with_context(|| {
        format!(
            "no node answers at {host}:{port}; start one with `segue serve`, or give the \
             `admin` address of its `ready` line with --admin"
        )
    })
}

/// A status as a table for the terminal.
fn table(status: &Status) -> String {
    let sections = sections(status);
    let width = |text: &str| text.chars().count();
    let names = sections.iter().flat_map(|section| &section.rows).map(|(name, _)| width(name));
    let widest = names.max().unwrap_or(0);
    let mut text = headline(status) + "\n";
    for section in &sections {
        text += &format!("\n{}\n", section.title);
        for (name, value) in &section.rows {
            text += &format!("  {name:<widest$}  {value}\n");
        }
    }
    text
}
