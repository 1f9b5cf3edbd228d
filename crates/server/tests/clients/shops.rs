//! Web applications: three instances of one shop, each at a node of its own.

use std::process::Command;

use crate::bed::Bed;
use crate::parts;
use crate::process::Process;
use crate::visitor::Visitor;

/// A shop that serves.
pub(crate) struct Shop {
    _process: Process,
    pub(crate) address: String,
}

impl Shop {
    /// Starts a shop, which says where it is.
    pub(crate) fn open(command: &mut Command) -> Self {
        let mut process = Process::start(command);
        let address = loop {
            let line = process.hear();
            if let Some((_, address)) = line.split_once("http://") {
                break address.split([')', '/']).next().expect("something").to_owned();
            }
        };
        Self { _process: process, address }
    }
}

/// Someone shops at one instance, whose node is killed, and goes on at the others.
fn check(shop: impl Fn(&Bed, usize) -> Option<Command>) {
    let mut bed = Bed::new();
    let mut shops = Vec::new();
    for node in 0..3 {
        let Some(mut command) = shop(&bed, node) else { return };
        shops.push(Shop::open(&mut command));
    }
    let [a, b, c] = [0, 1, 2].map(|node| shops[node].address.as_str());

    let mut ada = Visitor::default();
    assert_eq!(ada.get(a, "/"), "nobody");
    assert_eq!(ada.post(a, "/login?user=ada"), "ada: ");
    assert_eq!(ada.post(a, "/add?item=tea"), "ada: tea");
    // Each write is at each node once it is answered.
    assert_eq!(ada.get(b, "/"), "ada: tea");
    assert_eq!(ada.post(c, "/add?item=jam"), "ada: tea jam");
    assert_eq!(ada.get(a, "/"), "ada: tea jam");

    bed.kill_the_first();
    assert_eq!(ada.get(b, "/"), "ada: tea jam");
    assert_eq!(ada.post(b, "/add?item=bread"), "ada: tea jam bread");
    assert_eq!(ada.get(c, "/"), "ada: tea jam bread");
    assert_eq!(Visitor::default().get(c, "/"), "nobody");

    // Whoever has the cookies of before is logged out as well.
    let mut twin = ada.twin();
    assert_eq!(ada.post(c, "/logout"), "nobody");
    assert_eq!(ada.get(b, "/"), "nobody");
    assert_eq!(twin.get(b, "/"), "nobody");
}

#[test]
fn express_sessions_go_on() {
    check(|bed, node| {
        let mut command = parts::node("express.js")?;
        command.arg(bed.url(node));
        Some(command)
    });
}

#[test]
fn flask_sessions_go_on() {
    check(|bed, node| {
        let mut command = parts::python("flask_shop.py")?;
        command.arg(bed.url(node));
        Some(command)
    });
}

#[test]
fn django_sessions_go_on() {
    check(|bed, node| {
        let mut command = parts::python("django_shop.py")?;
        command.arg(bed.url(node));
        Some(command)
    });
}

#[test]
fn php_sessions_go_on() {
    check(|bed, node| crate::php::shop("redis", &bed.phpredis(node)));
}

#[test]
fn php_sessions_go_on_by_memcached() {
    check(|bed, node| crate::php::shop("memcached", bed.memcached(node)));
}

#[test]
fn tower_sessions_go_on() {
    check(|bed, node| {
        let mut command = parts::rust("shop")?;
        command.arg(bed.url(node));
        Some(command)
    });
}
