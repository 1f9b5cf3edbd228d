//! Asks the node for its status, once a second, on a thread and a runtime of its
//! own; and hears signals, which the runtime knows how to.

use std::sync::mpsc::SyncSender;
use std::task::Poll;
use std::time::Duration;
use std::{io, thread};

use hyper::Uri;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};
use zeroize::Zeroizing;

use super::Happened;
use crate::admin::Status;
use crate::status;

/// How often it is asked: rates are for a second.
const PACE: Duration = Duration::from_secs(1);
/// How long a node may take to answer, before that is said. It goes on being
/// asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// Signals that ask to end.
const ENDS: [SignalKind; 3] =
    [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];

/// Who is asked, and the token that is shown there.
pub(super) struct Node {
    pub(super) admin: Uri,
    pub(super) token: Option<Zeroizing<String>>,
}

/// Asks from here on, and tells what comes of it. From here on, too, signals that
/// ask to end are told and end nothing by themselves.
///
/// # Errors
///
/// The operating system's.
pub(super) fn start(node: Node, tell: SyncSender<Happened>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _here = runtime.enter();
        ENDS.into_iter().map(signal).collect::<io::Result<Vec<_>>>()?
    };
    let run = move || {
        runtime.block_on(async {
            tokio::select! {
                () = ask_on(&node, &tell) => {}
                () = any_of(&mut signals) => {
                    // Who no longer listens has ended already.
                    let _ = tell.send(Happened::Signal);
                }
            }
        });
    };
    thread::Builder::new().name("fetch".to_owned()).spawn(run).map(|_| ())
}

/// Waits for one of them.
async fn any_of(signals: &mut [Signal]) {
    std::future::poll_fn(|context| {
        let has_come = |signal: &mut Signal| signal.poll_recv(context).is_ready();
        // Each is polled, so that each wakes.
        if signals.iter_mut().map(has_come).fold(false, |any, it| any | it) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Asks until nobody listens. The channel is the thread's that draws, which is
/// quick: a full one is waited for, as nothing else runs here.
async fn ask_on(node: &Node, tell: &SyncSender<Happened>) {
    let mut due = interval(PACE);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let answer = Happened::Answer(Box::new(ask(node).await));
        if tell.send(answer).is_err() {
            return;
        }
    }
}

/// A node's status, or why there is none.
async fn ask(Node { admin, token }: &Node) -> Result<Status, String> {
    let token = token.as_ref().map(|token| token.as_str());
    let asked = timeout(PATIENCE, status::fetch(admin, token)).await;
    let answer = asked.map_err(|_| format!("no answer within {PATIENCE:?}"))?;
    answer.map_err(|error| format!("{error:#}"))
}
