//! TLS sessions that Apache's httpd keeps in a gateway.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::bed::Bed;
use crate::parts;
use crate::patience::until;
use crate::process::Process;

/// An httpd that serves.
struct Httpd {
    _process: Process,
    address: SocketAddr,
}

impl Httpd {
    /// Starts one that keeps its sessions there.
    fn start(mut command: Command, directory: &Path, name: &str, cache: &str) -> Self {
        let address = free_address();
        command
            // In one process, which can be ended.
            .args(["-X", "-f"])
            .arg(parts::programs().join("apache/httpd.conf"))
            .env("SEGUE_DIRECTORY", directory)
            .env("SEGUE_NAME", name)
            .env("SEGUE_LISTEN", address.to_string())
            .env("SEGUE_CACHE", cache);
        let mut process = Process::start(&mut command);
        let log = directory.join(format!("{name}.httpd.log"));
        let listens = || {
            assert!(process.runs(), "{}", fs::read_to_string(&log).unwrap_or_default());
            TcpStream::connect(address).ok()
        };
        until(listens, || fs::read_to_string(&log).unwrap_or_default());
        Self { _process: process, address }
    }
}

/// An address that nobody has. A port is asked for and given back; httpd wants to
/// be told one.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("it is bound")
}

/// A version of TLS, as options of `openssl s_client`: the older one without its
/// tickets, so that sessions have ids. The newer one's tickets are ids where the
/// server is told to give no others.
const VERSIONS: [&[&str]; 2] = [&["-tls1_2", "-no_ticket"], &["-tls1_3"]];

/// Visits a server with `openssl`; by that option it remembers or offers the session
/// of a file. Whether it says that its session was reused.
fn visit(server: &Httpd, version: &[&str], option: &str, session: &Path) -> bool {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-ign_eof", "-connect", &server.address.to_string()]);
    command.args(version).arg(option).arg(session);
    let mut client = Process::start(&mut command);
    client.tell("GET / HTTP/1.0\r");
    client.tell("\r");
    let said = client.finish();
    let begins = |word: &str| said.lines().any(|line| line.starts_with(word));
    assert!(begins("New, ") != begins("Reused, "), "{said}");
    begins("Reused, ")
}

/// Sessions that are begun at one httpd resume at the others, of which each has a
/// node of its own.
fn check(bed: &mut Bed, module: &str, cache: impl Fn(&Bed, usize) -> String) {
    let directory = bed.directory.path().to_owned();
    write_certificate(&directory);
    let mut servers = Vec::new();
    for (node, name) in ["a", "b", "c"].into_iter().enumerate() {
        let Some(command) = parts::apache(module) else { return };
        servers.push(Httpd::start(command, &directory, name, &cache(bed, node)));
    }
    let [a, b, c] = [&servers[0], &servers[1], &servers[2]];
    let session = |index: usize| directory.join(format!("session-{index}.pem"));
    for (index, version) in VERSIONS.into_iter().enumerate() {
        assert!(!visit(a, version, "-sess_out", &session(index)), "there was none to reuse");
        assert!(visit(b, version, "-sess_in", &session(index)), "{version:?}: with all nodes");
    }
    bed.kill_the_first();
    for (index, version) in VERSIONS.into_iter().enumerate() {
        assert!(visit(b, version, "-sess_in", &session(index)), "{version:?}: from a dead node");
        assert!(!visit(b, version, "-sess_out", &session(index)), "there was none to reuse");
        assert!(visit(c, version, "-sess_in", &session(index)), "{version:?}: without one node");
        // Without its node httpd has no sessions, and serves all the same.
        assert!(!visit(a, version, "-sess_out", &session(index)), "{version:?}: without a node");
    }
}

/// A certificate that all of the servers show.
fn write_certificate(directory: &Path) {
    let made = rcgen::generate_simple_self_signed(["shop.segue.example".to_owned()]);
    let made = made.expect("the name is well formed");
    fs::write(directory.join("cert.pem"), made.cert.pem()).expect("a file of ours");
    fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).expect("a file of ours");
}

#[test]
fn httpd_resumes_at_another_node_by_redis() {
    let cache = |bed: &Bed, node: usize| format!("redis:{}", bed.redis(node));
    check(&mut Bed::of_prefix("mod_ssl-sess:"), "socache_redis", cache);
}

#[test]
fn httpd_resumes_at_another_node_by_memcached() {
    let cache = |bed: &Bed, node: usize| format!("memcache:{}", bed.memcached(node));
    check(&mut Bed::new(), "socache_memcache", cache);
}
