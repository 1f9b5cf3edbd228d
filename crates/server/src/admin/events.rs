//! `/api/events`: what the page shows, once a second, for as long as it is looked
//! at (server-sent events).
//!
//! A few listeners are served; one that does not keep up is dropped, and all are
//! when the server ends.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hyper::body::{Bytes, Frame};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval};

use super::Site;
use super::history::{FIGURES, History, Sample};
use super::picture::Picture;
use super::summary::headline;
use crate::serve::Server;

/// How often the figures are looked at: what a person can follow.
const BEAT: Duration = Duration::from_secs(1);

/// Listeners at once: of the server's 64 connections most are left to tools.
const MAX_LISTENERS: usize = 16;

/// Events that wait for a listener: who is further behind than so many seconds
/// has gone, or looks at something else.
const MAX_WAITING: usize = 8;

/// Who listens, and what was to be heard.
#[derive(Debug, Default)]
pub(super) struct Events(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    history: History,
    listeners: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    events: mpsc::Sender<Bytes>,
    lease: Arc<Lease>,
}

/// A connection's permission to last.
#[derive(Debug, Default)]
pub(super) struct Lease {
    over: Notify,
    lasts: std::sync::atomic::AtomicBool,
}

impl Lease {
    /// Waits until the connection is to be closed: after `time`, or, if it was
    /// made to last, when it is dropped.
    pub(super) async fn ends(&self, time: Duration) {
        tokio::time::sleep(time).await;
        if self.lasts.load(std::sync::atomic::Ordering::Acquire) {
            self.over.notified().await;
        }
    }

    fn extend(&self) {
        self.lasts.store(true, std::sync::atomic::Ordering::Release);
    }
}

/// What an event says.
#[derive(Serialize)]
struct Event<'a> {
    headline: &'a str,
    picture: &'a Picture,
    sample: Sample,
    /// In a listener's first event only.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Past>,
}

#[derive(Serialize)]
struct Past {
    figures: [&'static str; FIGURES.len()],
    samples: Vec<Sample>,
    beat_ms: u64,
}

impl Events {
    /// Looks at the node's figures for as long as it is polled, and tells.
    pub(super) async fn beat(&self, server: &Server) {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            self.tell(server);
        }
    }

    fn tell(&self, server: &Server) {
        let status = server.status();
        let sample = Sample::new(&status);
        let mut told = self.0.lock();
        told.history.push(sample);
        if told.listeners.is_empty() {
            return;
        }
        let picture = Picture::new(&status, server.own());
        let headline = headline(&status);
        let event = Event { headline: &headline, picture: &picture, sample, history: None };
        told.pass(&bytes(&event));
    }

    /// One listener more, unless there are too many: what it is told.
    fn listen(&self, server: &Server, lease: Arc<Lease>) -> Option<mpsc::Receiver<Bytes>> {
        let status = server.status();
        let picture = Picture::new(&status, server.own());
        let headline = headline(&status);
        let mut told = self.0.lock();
        told.listeners.retain(|listener| !listener.events.is_closed());
        if told.listeners.len() >= MAX_LISTENERS {
            return None;
        }
        let samples = told.history.samples();
        let beat_ms = u64::try_from(BEAT.as_millis()).expect("a second");
        let event = Event {
            headline: &headline,
            picture: &picture,
            sample: Sample::new(&status),
            history: Some(Past { figures: FIGURES, samples, beat_ms }),
        };
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        sender.try_send(bytes(&event)).expect("it is empty");
        lease.extend();
        told.listeners.push(Listener { events: sender, lease });
        Some(receiver)
    }
}

impl Told {
    /// Tells everybody, and lets those go who do not listen.
    fn pass(&mut self, event: &Bytes) {
        self.listeners.retain(|listener| match listener.events.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                // What waits in the socket is not waited for.
                listener.lease.over.notify_one();
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
    }
}

/// Serves a listener.
pub(super) async fn events(
    State(site): State<Arc<Site>>,
    Extension(lease): Extension<Arc<Lease>>,
) -> Response {
    let Some(events) = site.events.listen(&site.server, lease) else {
        let said = format!("{MAX_LISTENERS} pages are open already\n");
        return (StatusCode::SERVICE_UNAVAILABLE, said).into_response();
    };
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (headers, Body::new(Stream(events))).into_response()
}

/// An event as it goes out: JSON has no line ends.
fn bytes(event: &Event<'_>) -> Bytes {
    let json = serde_json::to_string(event).expect("it has names and figures only");
    format!("data: {json}\n\n").into()
}

/// A body that has no end of its own.
struct Stream(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_does_not_keep_up_is_dropped_and_nobody_else() {
        let mut told = Told::default();
        let mut listen = || {
            let (events, receiver) = mpsc::channel(MAX_WAITING);
            let lease = Arc::new(Lease::default());
            lease.extend();
            told.listeners.push(Listener { events, lease: Arc::clone(&lease) });
            (receiver, lease)
        };
        let (mut quick, _) = listen();
        let (slow, lease) = listen();
        let (gone, _) = listen();
        drop(gone);
        for _ in 0..=MAX_WAITING {
            told.pass(&Bytes::from_static(b"data: {}\n\n"));
            assert!(quick.recv().await.is_some());
        }
        assert_eq!(told.listeners.len(), 1);
        // Its connection ends, whatever still waits in it.
        lease.ends(Duration::ZERO).await;
        assert_eq!(slow.len(), MAX_WAITING);
    }
}
