//! The storefront of `crates/shop` in a program of one's own: a node of the farm,
//! and axum in front of it.
//!
//! It serves plain HTTP on loopback. TLS, and the sessions of TLS, are the front's
//! that stands before it: `segue serve` with this program as its backend.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use segue::{Config, FARM_KEY_BYTES, FarmKey, Keyring, Node};
use serde::Deserialize;
use shop::{Arrival, Shop};
use tokio::net::TcpListener;

/// What the program is told, by a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The node's name: another one for each node.
    name: String,
    /// Where browsers, or the front, connect.
    http: SocketAddr,
    /// Where the other nodes do.
    farm: SocketAddr,
    /// All other nodes of the farm.
    #[serde(default)]
    peers: Vec<SocketAddr>,
    /// The file that has the farm's key as 64 hexadecimal digits, as `segue keygen`
    /// makes it.
    key: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(file) = std::env::args_os().nth(1) else {
        bail!("which configuration? Run it as: shop-example a.toml");
    };
    let file = Path::new(&file);
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let settings: Settings = toml::from_str(&text).with_context(|| file.display().to_string())?;

    // A node of the farm: it keeps what the others keep.
    let keys = Keyring::new(vec![key(&file.with_file_name(&settings.key))?])?;
    let config = Config::new(&settings.name, keys);
    let config = Config { listen: settings.farm, peers: settings.peers, ..config };
    let node = Node::start(config)?;
    node.ready().await;

    // The shop takes the node's cache, and gives a router.
    let app = Shop::new(&settings.name, node.cache()).router().layer(from_fn(arrive));
    let listener = TcpListener::bind(settings.http).await?;
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            // Without signals there is no other end than being killed.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    node.shutdown().await;
    Ok(())
}

/// Tells the shop where a request comes from: it slows down who guesses
/// passwords. Behind a proxy that is the proxy, unless it is asked for the
/// client's address here.
async fn arrive(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(Arrival { peer: Some(peer.ip()), tls: None });
    next.run(request).await
}

/// The farm's key, from a file that nobody else should be able to read.
fn key(path: &Path) -> anyhow::Result<FarmKey> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let digits = text.trim();
    let expected = || format!("{}: expected 64 hexadecimal digits", path.display());
    ensure!(digits.len() == 2 * FARM_KEY_BYTES && digits.is_ascii(), expected());
    let mut bytes = [0; FARM_KEY_BYTES];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).with_context(expected)?;
    }
    Ok(FarmKey::new(bytes))
}
