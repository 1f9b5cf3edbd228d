//! Those who call: who they are is not known before they have proven it, and
//! until then they get little.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quinn::{Endpoint, Incoming, RecvStream, SendStream};
use tokio::sync::Semaphore;

use super::tls::{LINK_BYTES, STREAMS};
use super::{Broken, Code, HANDSHAKE_TIME, Inner, Link, LinkError, Purpose, Serve, handshake};

/// The links that a node serves at a time: those of a few hundred nodes below
/// it, of which each has one.
const MOST_LINKS: usize = 512;
/// The connections that have not proven anything, at a time. Each costs some
/// ten kilobytes for three seconds at the most.
const MOST_UNPROVEN: usize = 64;
/// With more of them than this, who calls has to show first that he is where
/// he says (a Retry packet): whoever forges addresses gets no further.
const TRUSTING: usize = 8;

/// Batches of one link that are served at a time, as many as a node has under
/// way: what it leaves unfinished stops nobody else.
const BATCHES: usize = 4;

/// Answers calls until the endpoint closes.
pub(super) async fn accept(endpoint: Endpoint, inner: Arc<Inner>, service: Arc<dyn Serve>) {
    while let Some(incoming) = endpoint.accept().await {
        let unproven = inner.tally.unproven.load(Ordering::Relaxed);
        let is_full = inner.tally.live.load(Ordering::Relaxed) >= MOST_LINKS;
        if is_full {
            // Told, so that it calls another node.
            inner.tally.turned_away.fetch_add(1, Ordering::Relaxed);
            incoming.refuse();
        } else if unproven >= MOST_UNPROVEN {
            inner.tally.turned_away.fetch_add(1, Ordering::Relaxed);
            incoming.ignore();
        } else if unproven >= TRUSTING && !incoming.remote_address_validated() {
            // An error says that it was validated after all: it calls again.
            let _ = incoming.retry();
        } else {
            inner.tally.unproven.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(attend(incoming, Arc::clone(&inner), Arc::clone(&service)));
        }
    }
}

/// Serves one caller from its first packet to the end of the link.
async fn attend(incoming: Incoming, inner: Arc<Inner>, service: Arc<dyn Serve>) {
    let address = incoming.remote_address();
    let answered = tokio::time::timeout(HANDSHAKE_TIME, prove(incoming, &inner)).await;
    inner.tally.unproven.fetch_sub(1, Ordering::Relaxed);
    let (link, key) = match answered.unwrap_or(Err(LinkError::Silent)) {
        Ok(proven) => proven,
        Err(error) => {
            let before = inner.tally.refused.fetch_add(1, Ordering::Relaxed);
            // Anybody may call as often as he likes: the figures say how often.
            if before == 0 {
                tracing::warn!(
                    %address, %error,
                    "a caller was refused; others are counted only (links.refused)"
                );
            } else {
                tracing::debug!(%address, %error, "a caller was refused");
            }
            return;
        }
    };
    tracing::info!(peer = link.peer.name, %address, "a node has linked to this one");
    tokio::spawn(Arc::clone(&inner).keep(link.held.0.clone(), key));
    serve(&link, &service).await;
}

async fn prove(
    incoming: Incoming,
    inner: &Inner,
) -> Result<(Link, proto::keyring::FarmKey), LinkError> {
    let connection = incoming.await?;
    let proven = || {
        connection.set_receive_window(LINK_BYTES.into());
        connection.set_max_concurrent_bi_streams(STREAMS.into());
    };
    let (peer, key) = handshake::answer(&connection, &inner.identity, proven).await?;
    Ok((Link::new(connection, peer), key))
}

/// Serves a link's streams until it ends.
async fn serve(link: &Link, service: &Arc<dyn Serve>) {
    let batches = Arc::new(Semaphore::new(BATCHES));
    while let Ok(streams) = link.held.0.accept_bi().await {
        let (link, service) = (link.clone(), Arc::clone(service));
        let batches = Arc::clone(&batches);
        tokio::spawn(async move {
            if serve_stream(streams, &batches, service).await.is_err() {
                tracing::warn!(peer = link.peer.name, "a link said what makes no sense");
                link.end(Code::Malformed);
            }
        });
    }
}

async fn serve_stream(
    (send, mut receive): (SendStream, RecvStream),
    batches: &Semaphore,
    service: Arc<dyn Serve>,
) -> Result<(), Broken> {
    let mut purpose = [0];
    if receive.read_exact(&mut purpose).await.is_err() {
        // It thought better of it.
        return Ok(());
    }
    let purpose = Purpose::from_u8(purpose[0]).ok_or(Broken)?;
    let _turn = match purpose {
        Purpose::Batch => Some(batches.acquire().await.expect("it is never closed")),
        Purpose::Ask | Purpose::Probe => None,
    };
    service.serve(purpose, (send, receive)).await
}
