//! PHP's session handlers, under requests that are there at once.

use std::process::Command;
use std::thread;

use crate::bed::Bed;
use crate::parts;
use crate::shops::Shop;
use crate::visitor::Visitor;

/// A shop whose sessions the handler of an extension keeps at a node, and that
/// locks them for each request.
pub(crate) fn shop(handler: &str, path: &str) -> Option<Command> {
    let php = parts::php(handler)?;
    let settings = [
        format!("session.save_handler={handler}"),
        format!("session.save_path=\"{path}\""),
        // As long as a request may take.
        "redis.session.locking_enabled=1".to_owned(),
        "redis.session.lock_expire=30".to_owned(),
        // Whoever waits asks every 2 ms, until the lock is free.
        "redis.session.lock_retries=-1".to_owned(),
        "redis.session.lock_wait_time=2000".to_owned(),
        // The same of the other handler: seconds, and milliseconds. It has no number
        // for "until the lock is free".
        "memcached.sess_locking=1".to_owned(),
        "memcached.sess_lock_expire=30".to_owned(),
        "memcached.sess_lock_retries=15000".to_owned(),
        "memcached.sess_lock_wait_min=2".to_owned(),
        "memcached.sess_lock_wait_max=2".to_owned(),
    ];
    let mut command = Command::new("sh");
    // Its server says on the standard error where it is.
    command.args(["-c", "exec \"$@\" 2>&1", "sh"]).arg(php.get_program());
    for setting in settings {
        command.arg("-d").arg(setting);
    }
    command.args(["-S", "127.0.0.1:0"]).arg(parts::programs().join("php/shop.php"));
    Some(command)
}

/// How many requests of one session come to each node.
const REQUESTS: usize = 15;

/// Requests of one session come to two nodes at once.
fn check(command: impl Fn(&Bed, usize) -> Option<Command>) {
    let mut bed = Bed::new();
    let mut shops = Vec::new();
    for node in 0..3 {
        let Some(mut command) = command(&bed, node) else { return };
        shops.push(Shop::open(&mut command));
    }
    let mut ada = Visitor::default();
    ada.post(&shops[0].address, "/login?user=ada");
    // Once with all of the nodes, and once after one is dead.
    let mut expected = 0;
    for servers in [&shops[..2], &shops[1..]] {
        thread::scope(|scope| {
            for shop in servers {
                let (mut twin, address) = (ada.twin(), shop.address.as_str());
                scope.spawn(move || {
                    for _ in 0..REQUESTS {
                        twin.post(address, "/count");
                    }
                });
            }
        });
        expected += servers.len() * REQUESTS;
        if expected == 2 * REQUESTS {
            bed.kill_the_first();
        }
    }
    let count = ada.post(&shops[2].address, "/count");
    assert_eq!(count, (expected + 1).to_string(), "requests were not one after the other");
}

#[test]
fn requests_at_two_nodes_take_turns_on_a_session() {
    check(|bed, node| shop("redis", &bed.phpredis(node)));
}

#[test]
fn requests_at_two_nodes_take_turns_on_a_session_by_memcached() {
    check(|bed, node| shop("memcached", bed.memcached(node)));
}
