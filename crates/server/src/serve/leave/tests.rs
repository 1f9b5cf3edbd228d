use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::connections::{Figures, Handed};

/// Moves one connection each time that it is looked at, up to some that stay.
#[derive(Debug)]
struct Counting {
    live: AtomicUsize,
    stay: usize,
    asked: Mutex<Option<Option<String>>>,
}

impl Counting {
    fn new(live: usize, stay: usize) -> Self {
        Self { live: live.into(), stay, asked: Mutex::default() }
    }
}

impl Carry for Counting {
    fn listen(&self, address: SocketAddr) -> std::io::Result<TcpListener> {
        TcpListener::bind(address)
    }

    fn takes(&self) -> bool {
        true
    }

    fn carry(&self, _handed: Handed) {}

    fn drain(&self, to: Option<String>) {
        *self.asked.lock() = Some(to);
    }

    fn stop(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    fn figures(&self) -> Figures {
        let live = self.live.load(Ordering::Relaxed);
        let is_asked = self.asked.lock().is_some();
        if is_asked && live > self.stay {
            self.live.fetch_sub(1, Ordering::Relaxed);
        }
        let understudy = Some("b".to_owned());
        Figures { live, understudy, to_move: is_asked.then_some(live), ..Figures::default() }
    }
}

#[tokio::test]
async fn who_asked_first_decides_where_connections_go() {
    let leave = Leave::default();
    assert!(!leave.is_asked());
    leave.ask(Some("b".to_owned()));
    leave.ask(None);
    leave.asked().await;
    let carrier = Counting::new(40, 0);
    leave.move_all(&carrier, false, Duration::from_secs(10)).await;
    assert_eq!(*carrier.asked.lock(), Some(Some("b".to_owned())));
    let all = Progress { draining: true, left: 0, failed: None };
    assert_eq!(leave.progress(0), all);
    until_none(&carrier, Duration::from_secs(10)).await;
    assert_eq!(carrier.figures().live, 0);
}

#[tokio::test]
async fn what_does_not_move_is_told_with_the_reason() {
    let leave = Leave::default();
    leave.ask(None);
    let carrier = Counting::new(2, 2);
    leave.move_all(&carrier, false, Duration::from_millis(100)).await;
    let failed = leave.progress(2).failed.unwrap();
    assert_eq!(
        failed,
        "2 of 2 live connections did not go to the node that follows within 100ms: b follows this \
         node"
    );

    let leave = Leave::default();
    leave.ask(None);
    let carrier = Counting::new(5, 0);
    leave.move_all(&carrier, true, Duration::from_secs(10)).await;
    let failed = leave.progress(5).failed.unwrap();
    assert_eq!(failed, "5 live connections: there is no other node");
    assert!(carrier.asked.lock().is_none());
}

#[test]
fn whom_connections_cannot_go_to_is_told_with_those_who_are_there() {
    let unknown = |members: &[&str]| DrainError::Unknown {
        found: "x".to_owned(),
        members: members.iter().map(|&name| name.to_owned()).collect(),
    };
    assert_eq!(
        unknown(&["b", "c"]).to_string(),
        "to: found \"x\", expected a live member of the farm: b, c"
    );
    assert_eq!(
        unknown(&[]).to_string(),
        "to: found \"x\", expected a live member of the farm: there is none"
    );
    assert_eq!(check("x", &[], true).unwrap_err().to_string(), unknown(&[]).to_string());
}
