use std::io::Write as _;
use std::thread;

use sys::namespace::Namespace;

use super::*;

#[test]
fn a_queue_that_another_has_is_said_to_be() {
    let network = match Namespace::new() {
        Ok(network) => network,
        Err(error) => {
            let required = std::env::var_os("SEGUE_REQUIRE_NETNS").is_some_and(|it| it == "1");
            assert!(!required, "SEGUE_REQUIRE_NETNS=1, but: {error}");
            writeln!(io::stderr(), "skipped: no network namespace can be made: {error}").unwrap();
            return;
        }
    };
    network.within(|| {
        let first = open_queue(7).unwrap();
        let error = open_queue(7).unwrap_err().to_string();
        assert!(error.starts_with("connections.takeover: netfilter queue 7: "), "{error}");
        assert!(error.contains("a node of the same name on this machine"), "{error}");
        drop(first);
        open_queue(7).unwrap();
    });
}

#[test]
fn one_whose_thread_has_ended_runs_no_more() {
    let poll = Poll::new().unwrap();
    let (orders, taken) = Orders::new(mio::Waker::new(poll.registry(), driver::WAKER).unwrap());
    let (end, wait) = std::sync::mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        // An error is the end as well.
        let _ = wait.recv();
        drop(taken);
    });
    let carrier = Carrier { orders, figures: Arc::default(), thread };
    assert!(carrier.runs());
    drop(end);
    while carrier.runs() {
        thread::yield_now();
    }
}
