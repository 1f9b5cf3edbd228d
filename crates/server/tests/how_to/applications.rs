//! Applications whose sessions are in the farm: an instance on each machine, of which
//! the first is lost with its node.

use std::fs;
use std::process::Command;
use std::thread;

use crate::machines::{Machines, NODES, followed, serve};
use crate::page::Page;
use crate::parts;
use crate::process::Process;
use crate::visitor::Visitor;

/// Where an instance is on its machine.
const INSTANCE: &str = "127.0.0.1:3000";

/// How many requests of one session come to each of two machines at once: without
/// locks some would be lost.
const REQUESTS: usize = 15;

/// Someone shops at one instance, which is lost with its node, and goes on at the
/// others.
fn check(machines: &mut Machines, open: impl Fn(&Machines, u8) -> (Process, String)) {
    let mut shops: Vec<_> = NODES.iter().map(|&machine| open(machines, machine)).collect();
    let [a, b, c] = [0, 1, 2].map(|at| shops[at].1.clone());
    let mut ada = Visitor::default();
    assert_eq!(ada.get(&a, "/"), "nobody");
    assert_eq!(ada.post(&a, "/login?user=ada"), "ada: ");
    assert_eq!(ada.post(&a, "/add?item=tea"), "ada: tea");
    assert_eq!(ada.post(&c, "/add?item=jam"), "ada: tea jam");
    machines.kill_the_first();
    drop(shops.remove(0));
    assert_eq!(ada.get(&b, "/"), "ada: tea jam");
    assert_eq!(ada.post(&b, "/add?item=bread"), "ada: tea jam bread");
    assert_eq!(ada.get(&c, "/"), "ada: tea jam bread");
    let listed = machines.run(NODES[1], "segue sessions list --kind web");
    assert!(listed.contains(" web "), "{listed}");
    assert_eq!(ada.post(&c, "/logout"), "nobody");
    assert_eq!(ada.get(&b, "/"), "nobody");
}

/// PHP with what a page has in its `php.ini`.
fn check_php(page: &Page, heading: &str, extension: &str) {
    if parts::php(extension).is_none() {
        return;
    }
    let mut machines = followed(page, heading);
    let ini = format!("/etc/php/8.2/mods-available/segue-{extension}.ini");
    // It is there, and under that name.
    page.file(&ini);
    let open = |machines: &Machines, machine: u8| {
        let address = machines.placed(machine, INSTANCE);
        let folder = machines.path(machine, "/etc/php/8.2/mods-available");
        let mut command = machines.command(machine, "php");
        // Beside what Debian has enabled.
        command.env("PHP_INI_SCAN_DIR", format!(":{}", folder.display()));
        command.args(["-S", &address]).arg(parts::programs().join("php/shop.php"));
        (serve(&mut command, &address), address)
    };
    check(&mut machines, open);
    // Of requests that are there at once, each finds what the one before it left.
    let shops = [NODES[1], NODES[2]].map(|machine| open(&machines, machine));
    let mut ada = Visitor::default();
    ada.post(&shops[0].1, "/login?user=ada");
    thread::scope(|scope| {
        for (_, address) in &shops {
            let mut twin = ada.twin();
            scope.spawn(move || {
                for _ in 0..REQUESTS {
                    twin.post(address, "/count");
                }
            });
        }
    });
    let count = ada.post(&shops[0].1, "/count");
    assert_eq!(count, (2 * REQUESTS + 1).to_string(), "they were not one after the other");
}

#[test]
fn php_goes_on_by_redis() {
    check_php(&Page::read("how-to/php.md"), "Steps", "redis");
}

#[test]
fn php_goes_on_by_memcached() {
    check_php(&Page::read("how-to/php.md"), "Or with memcached", "memcached");
}

/// An application that says where it is.
fn open(mut command: Command) -> (Process, String) {
    let mut process = Process::start(&mut command);
    let line = process.hear();
    let address = line.split_once("http://").map(|(_, address)| address.to_owned());
    (process, address.unwrap_or_else(|| panic!("no address in {line:?}")))
}

#[test]
fn django_goes_on() {
    if parts::python("django_shop.py").is_none() {
        return;
    }
    let page = Page::read("how-to/django.md");
    let mut machines = followed(&page, "Steps");
    check(&mut machines, |machines, machine| {
        let settings = machines.placed(machine, page.file("settings.py"));
        machines.write(machine, "/settings.py", &settings);
        let mut command = parts::python("django_shop.py").expect("it was there before");
        command.arg(machines.path(machine, "/settings.py"));
        open(command)
    });
}

#[test]
fn express_goes_on() {
    if parts::node("express.js").is_none() {
        return;
    }
    let page = Page::read("how-to/express.md");
    // The page's commands that need npm are done by `tests/clients/install`.
    let mut steps = page.under("Steps");
    steps.retain(|block| !block.commands().contains(&"node shop.js".to_owned()));
    let mut machines = Machines::new();
    for machine in NODES {
        machines.follow(machine, &steps);
    }
    machines.start_nodes();
    check(&mut machines, |machines, machine| {
        let address = machines.placed(machine, INSTANCE);
        let host = address.split(':').next().expect("an address");
        // The page's own program, whole.
        let shop = machines.placed(machine, page.file("shop.js"));
        let shop = shop.replace("3000, \"127.0.0.1\"", &format!("3000, {host:?}"));
        machines.write(machine, "/shop.js", &shop);
        let program = machines.path(machine, "/shop.js").display().to_string();
        let mut command = parts::node(&program).expect("it was there before");
        let mut process = Process::start(&mut command);
        assert_eq!(process.hear(), "the shop is open");
        (process, address)
    });
}

#[test]
fn axum_goes_on() {
    if parts::rust("shop").is_none() {
        return;
    }
    let page = Page::read("how-to/axum.md");
    // The page shows a part of the program that is run here.
    let program = fs::read_to_string(parts::programs().join("rust/src/shop.rs")).unwrap();
    for line in page.file("main.rs").lines() {
        assert!(program.contains(line.trim()), "shop.rs does not have {line:?}");
    }
    let manifest = fs::read_to_string(parts::programs().join("rust/Cargo.toml")).unwrap();
    for line in page.file("Cargo.toml").lines() {
        let (name, version) = line.split_once(" = ").expect("a dependency");
        let found = manifest.lines().find(|line| line.split(' ').next() == Some(name));
        assert!(found.is_some_and(|line| line.contains(version)), "{line}: {found:?}");
    }
    let mut machines = followed(&page, "Steps");
    check(&mut machines, |machines, machine| {
        let mut command = parts::rust("shop").expect("it was there before");
        command.arg(machines.placed(machine, "redis://:secret@127.0.0.1:6379"));
        open(command)
    });
}
