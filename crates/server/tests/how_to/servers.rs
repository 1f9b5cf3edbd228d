//! Servers before the farm and behind it. Who has a TLS session resumes it at
//! another machine, and those behind are told where clients come from.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use crate::machines::{Machines, NODES, serve};
use crate::page::Page;
use crate::process::{Process, are_installed};

/// Where HAProxy is when it is in front.
const FRONT: u8 = 5;

/// What the pages' first node, or who is before it, listens at.
const TLS: &str = "10.0.0.11:443";

/// Runs a page's check with all nodes, and without the first one. What it prints with
/// all of them.
fn check(page: &Page, machines: &mut Machines, stop: impl FnOnce()) -> String {
    let blocks = page.under("Check that it works");
    let commands: Vec<_> = blocks.iter().flat_map(|block| block.commands()).collect();
    let run = |machines: &Machines, commands: &[String]| -> String {
        commands.iter().map(|command| machines.run(NODES[1], command)).collect()
    };
    let said = run(machines, &commands);
    let at = |word: &str| said.find(word);
    assert!(at("New, ") < at("Reused, ") && at("New, ").is_some(), "{said}");
    machines.kill_the_first();
    stop();
    let resumes = commands.last().expect("there are some");
    let without = machines.run(NODES[1], resumes);
    assert!(without.contains("Reused, "), "{without}");
    said
}

/// What Debian's httpd lets be read begins with this.
const PAGES: &str = "<Directory /var/";

/// An httpd of a machine, with what Debian configures.
fn prepare_httpd(machines: &Machines) {
    for machine in NODES {
        let copied = Command::new("cp")
            .args(["-a", "/etc/apache2"])
            .arg(machines.path(machine, "/etc/apache2"))
            .status();
        assert!(copied.expect("cp is installed").success());
        machines.write(machine, "/etc/apache2/ports.conf", "");
        // What it lets be read is where the machine's pages are.
        let main = fs::read_to_string(machines.path(machine, "/etc/apache2/apache2.conf"));
        let main = main.expect("Debian has it").replace(PAGES, &machines.placed(machine, PAGES));
        machines.write(machine, "/etc/apache2/apache2.conf", &main);
        machines.write(machine, "/var/lib/apache2/none", "");
        machines.run(machine, "a2dissite -q 000-default");
    }
}

/// Starts the httpd of a machine.
fn start_httpd(machines: &Machines, machine: u8, address: &str) -> Process {
    let folder = machines.path(machine, "/etc/apache2");
    let mut command = machines.command(machine, "apache2");
    // In one process, which can be ended.
    command.arg("-X").arg("-d").arg(&folder).arg("-f").arg(folder.join("apache2.conf"));
    serve(&mut command, &machines.placed(machine, address))
}

#[test]
fn httpd_keeps_its_tls_sessions_in_the_farm() {
    if !are_installed(&["apache2", "openssl"]) {
        return;
    }
    let page = Page::read("how-to/apache-tls.md");
    let mut machines = Machines::new();
    prepare_httpd(&machines);
    for machine in NODES {
        // The site that the page finds there.
        let site = "Listen 10.0.0.11:443\n<VirtualHost *:443>\nServerName shop.example\n\
                    SSLEngine on\nSSLCertificateFile /etc/segue/cert.pem\n\
                    SSLCertificateKeyFile /etc/segue/key.pem\n</VirtualHost>\n";
        let site = machines.placed(machine, &site.replace(".11", &format!(".{machine}")));
        machines.write(machine, "/etc/apache2/sites-enabled/shop.conf", &site);
        machines.follow(machine, &page.under("Steps"));
    }
    machines.start_nodes();
    let own = |machine: u8| TLS.replace(".11", &format!(".{machine}"));
    let mut servers: Vec<_> =
        NODES.iter().map(|&machine| start_httpd(&machines, machine, &own(machine))).collect();
    check(&page, &mut machines, || drop(servers.remove(0)));
    for command in page.under("Undo").iter().flat_map(|block| block.commands()) {
        if !command.starts_with("systemctl") {
            machines.run(NODES[0], &command);
        }
    }
    assert!(!machines.path(NODES[0], "/etc/apache2/conf-enabled/segue.conf").exists());
}

#[test]
fn httpd_serves_behind_the_farm() {
    if !are_installed(&["apache2", "openssl", "curl"]) {
        return;
    }
    let page = Page::read("how-to/apache-backend.md");
    let mut machines = Machines::new();
    prepare_httpd(&machines);
    for machine in NODES {
        machines.follow(machine, &page.under("Steps"));
    }
    machines.start_nodes();
    let mut servers: Vec<_> =
        NODES.iter().map(|&machine| start_httpd(&machines, machine, "127.0.0.1:8080")).collect();
    let log = machines.path(NODES[0], "/var/log/apache2/shop.log");
    let curl = &page.under("Check that it works")[0].commands()[0];
    assert!(machines.run(NODES[0], curl).contains("the shop"), "{curl}");
    let logged = fs::read_to_string(&log).unwrap();
    assert!(logged.starts_with(&machines.client()), "{logged}");
    let plain = machines.run(NODES[0], "curl -sS http://127.0.0.1:8080/ 2>&1 || true");
    assert!(
        plain.contains("Empty reply"),
        "whoever comes without the protocol is refused: {plain}"
    );
    // The page's look at the log is one at the first machine's.
    machines.write(NODES[1], "/var/log/apache2/shop.log", "");
    check(&page, &mut machines, || drop(servers.remove(0)));
}

#[test]
fn nginx_serves_behind_the_farm() {
    if !are_installed(&["nginx", "openssl", "curl"]) {
        return;
    }
    let page = Page::read("how-to/nginx.md");
    let mut machines = Machines::new();
    for machine in NODES {
        let main = "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log /var/log/nginx.log;\n\
                    events {}\nhttp {\n  access_log /var/log/access.log;\n\
                    include /etc/nginx/conf.d/*.conf;\n}\n";
        machines.write(machine, "/etc/nginx/nginx.conf", &machines.placed(machine, main));
        machines.follow(machine, &page.under("Steps"));
        tell_where_from(&machines.placed(machine, "127.0.0.1:3000"));
    }
    machines.start_nodes();
    let mut servers: Vec<_> = NODES
        .iter()
        .map(|&machine| {
            let root = machines.path(machine, "");
            let mut command = machines.command(machine, "nginx");
            command.arg("-p").arg(&root).arg("-c").arg(root.join("etc/nginx/nginx.conf"));
            serve(&mut command, &machines.placed(machine, "127.0.0.1:8080"))
        })
        .collect();
    let from = machines.run(NODES[0], "curl -sk https://10.0.0.11/");
    assert_eq!(from, format!("{} by https", machines.client()));
    check(&page, &mut machines, || drop(servers.remove(0)));
}

/// An HAProxy of a machine.
fn start_haproxy(machines: &Machines, machine: u8, address: &str) -> Process {
    let mut command = machines.command(machine, "haproxy");
    command.args(["-db", "-f"]).arg(machines.path(machine, "/etc/haproxy/haproxy.cfg"));
    serve(&mut command, &machines.placed(machine, address))
}

/// What HAProxy's file has before a page adds to it.
const HAPROXY: &str = "defaults\n    mode http\n\n";

#[test]
fn haproxy_spreads_connections_over_the_farm() {
    if !are_installed(&["haproxy", "openssl"]) {
        return;
    }
    let page = Page::read("how-to/haproxy-front.md");
    let steps = page.under("Steps");
    let is_of_haproxy = |text: &str| text.contains("haproxy");
    let (front, nodes): (Vec<_>, Vec<_>) = steps
        .into_iter()
        .partition(|block| is_of_haproxy(&block.name) || is_of_haproxy(&block.text));
    let mut machines = Machines::new();
    for machine in NODES {
        machines.follow(machine, &nodes);
    }
    machines.write(FRONT, "/etc/haproxy/haproxy.cfg", HAPROXY);
    machines.follow(FRONT, &front);
    machines.start_nodes();
    let _haproxy = start_haproxy(&machines, FRONT, "10.0.0.5:443");
    check(&page, &mut machines, || {});
}

#[test]
fn haproxy_serves_behind_the_farm() {
    if !are_installed(&["haproxy", "openssl", "curl"]) {
        return;
    }
    let page = Page::read("how-to/haproxy-backend.md");
    let mut machines = Machines::new();
    for machine in NODES {
        machines.write(machine, "/etc/haproxy/haproxy.cfg", HAPROXY);
        machines.follow(machine, &page.under("Steps"));
    }
    for server in ["10.0.0.21:3000", "10.0.0.22:3000"] {
        tell_where_from(&machines.placed(NODES[0], server));
    }
    machines.start_nodes();
    let mut servers: Vec<_> =
        NODES.iter().map(|&machine| start_haproxy(&machines, machine, "127.0.0.1:8080")).collect();
    let from = format!("{} by https", machines.client());
    let said = check(&page, &mut machines, || drop(servers.remove(0)));
    assert!(said.starts_with(&from), "{said}");
}

/// An application that tells who asks, by the headers that proxies add.
fn tell_where_from(address: &str) {
    let listener = TcpListener::bind(address).expect("an address of ours");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let head: Vec<_> = BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let header = |name: &str| {
                let lines = head.iter().filter_map(|line| line.split_once(": "));
                let mut found = lines.filter(|(it, _)| it.eq_ignore_ascii_case(name));
                found.next().map_or("nobody", |(_, value)| value).to_owned()
            };
            let said = format!("{} by {}", header("X-Forwarded-For"), header("X-Forwarded-Proto"));
            let length = said.len();
            // Who only looks whether somebody is here has gone already.
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{said}"
            );
        }
    });
}

#[test]
fn every_page_of_the_folder_is_followed_by_a_test() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/how-to");
    let sources = [include_str!("servers.rs"), include_str!("applications.rs")].concat();
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let page = format!("\"how-to/{name}\"");
        assert!(sources.contains(&page), "nothing follows {page}");
    }
}
