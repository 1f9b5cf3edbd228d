//! A node's leave: who asked for it, where its connections go, and how far that
//! has come.
//!
//! Moving them is their carrier's work. Those that cannot be moved are served on
//! until the node's time is up.

use std::time::Duration;

use parking_lot::Mutex;
use segue::{Member, MemberState};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::admin::Progress;
use crate::connections::Carry;

/// How often is looked at how far moving has come: an operator sees it go on, and
/// it costs nothing.
const LOOK: Duration = Duration::from_millis(20);

/// Why a node does not leave as it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DrainError {
    /// There is no such node.
    #[error("to: found {found:?}, expected a live member of the farm: {}", list(.members))]
    Unknown {
        /// Who was named.
        found: String,
        /// Who is there.
        members: Vec<String>,
    },
    /// There is nothing that could go there.
    #[error(
        "to: this node carries no connections ([connections]), so none can go to {0:?}; drain it \
         without `to`"
    )]
    NothingCarried(String),
}

fn list(members: &[String]) -> String {
    if members.is_empty() { "there is none".to_owned() } else { members.join(", ") }
}

/// Whether connections can go to the node of that name.
///
/// # Errors
///
/// Why not.
pub(super) fn check(to: &str, members: &[Member], is_carried: bool) -> Result<(), DrainError> {
    let there: Vec<_> = members.iter().filter(|member| is_there(member)).collect();
    if !there.iter().any(|member| member.name == to) {
        let members = there.into_iter().map(|member| member.name.clone()).collect();
        return Err(DrainError::Unknown { found: to.to_owned(), members });
    }
    if is_carried { Ok(()) } else { Err(DrainError::NothingCarried(to.to_owned())) }
}

/// Whether a member lives.
pub(super) fn is_there(member: &Member) -> bool {
    member.state == MemberState::Alive
}

/// A node's leave.
#[derive(Debug, Default)]
pub(super) struct Leave {
    /// Set once: where connections go.
    asked: watch::Sender<Option<To>>,
    failed: Mutex<Option<String>>,
}

/// Where connections go; none: to the node that follows.
type To = Option<String>;

impl Leave {
    /// Asks for it. Who asked first decides where to.
    pub(super) fn ask(&self, to: To) {
        self.asked.send_if_modified(|asked| {
            let is_first = asked.is_none();
            if is_first {
                *asked = Some(to);
            }
            is_first
        });
    }

    /// Whether it was asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.borrow().is_some()
    }

    /// Waits until it is.
    pub(super) async fn asked(&self) {
        let mut asked = self.asked.subscribe();
        asked.wait_for(Option::is_some).await.expect("this node keeps the other end");
    }

    /// How far it has come, with so many connections left.
    pub(super) fn progress(&self, left: u64) -> Progress {
        Progress { draining: self.is_asked(), left, failed: self.failed.lock().clone() }
    }

    /// Moves all connections, or says why that cannot be done in this time;
    /// `alone`: there is no other node.
    pub(super) async fn move_all(&self, carrier: &dyn Carry, alone: bool, patience: Duration) {
        let to = self.asked.borrow().clone().flatten();
        let before = carrier.figures().live;
        if alone && before > 0 {
            return self.fail(format!("{before} live connections: there is no other node"));
        }
        let whom = to.clone().unwrap_or_else(|| "the node that follows".to_owned());
        carrier.drain(to);
        let deadline = Instant::now() + patience;
        let moved = async {
            while carrier.figures().to_move != Some(0) {
                sleep(LOOK).await;
            }
        };
        if timeout_at(deadline, moved).await.is_err() {
            let figures = carrier.figures();
            let left = figures.to_move.unwrap_or(figures.live);
            let follows = figures.understudy.map_or_else(
                || "nobody follows this node".to_owned(),
                |name| format!("{name} follows this node"),
            );
            self.fail(format!(
                "{left} of {before} live connections did not go to {whom} within {patience:?}: \
                 {follows}"
            ));
        }
    }

    fn fail(&self, why: String) {
        tracing::warn!("not moved: {why}");
        *self.failed.lock() = Some(why);
    }
}

/// Waits until no connection is left, at most for that time.
pub(super) async fn until_none(carrier: &dyn Carry, patience: Duration) {
    let none = async {
        while carrier.figures().live > 0 {
            sleep(LOOK).await;
        }
    };
    // Who is still there when time is up, is told so by their end.
    let _ = timeout_at(Instant::now() + patience, none).await;
}

#[cfg(test)]
mod tests;
