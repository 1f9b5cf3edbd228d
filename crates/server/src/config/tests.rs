//! Whole configurations: what is taken, what is refused and with which words.

mod admin;
mod connections;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::sources::Variable;
use super::{Config, Sources};
use crate::keyfile;

/// A directory with a farm key, two certificates with their keys, and a
/// configuration.
struct Place(tempfile::TempDir);

impl Place {
    fn new(text: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        keyfile::create(&place.path("farm.key")).unwrap();
        for name in ["one", "two"] {
            let pair = rcgen::generate_simple_self_signed(vec![format!("{name}.example")]).unwrap();
            fs::write(place.path(&format!("{name}.cert")), pair.cert.pem()).unwrap();
            fs::write(place.path(&format!("{name}.key")), pair.signing_key.serialize_pem())
                .unwrap();
        }
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(place.path("broken.cert"), broken).unwrap();
        fs::write(place.file(), text).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path("segue.toml")
    }

    fn load(&self) -> Result<Config, String> {
        self.load_over(&[], &[])
    }

    /// Loads the file under environment variables and `--set` arguments.
    /// Errors name the directory as `DIR`.
    fn load_over(&self, environment: &[(&str, &str)], set: &[&str]) -> Result<Config, String> {
        let sources = Sources {
            file: Some(self.file()),
            environment: environment
                .iter()
                .filter_map(|(name, value)| Variable::new(name, value))
                .collect(),
            set: set.iter().map(|&argument| argument.to_owned()).collect(),
        };
        let directory = self.0.path().display().to_string();
        Config::load(&sources).map_err(|faults| faults.to_string().replace(&directory, "DIR"))
    }
}

/// What is said of a configuration that cannot be used.
#[track_caller]
fn check(text: &str, expected: &str) {
    let error = Place::new(text).load().expect_err("this configuration should be refused");
    assert_eq!(error, expected, "{text}");
}

#[test]
fn nothing_at_all_is_a_configuration() {
    let config = Config::load(&Sources::default()).unwrap();
    assert!(config.keyring.is_none() && config.identities.is_empty());
    assert_eq!(config.sections.tls.listen.0[0].0, "127.0.0.1:8443".parse().unwrap());
}

#[test]
fn every_documented_key_is_known() {
    let place = Place::new(
        r#"
        [node]
        name = "a"
        [farm]
        keys = ["farm.key"]
        listen = "127.0.0.1:7700"
        peers = ["127.0.0.1:7710"]
        transport = "multicast"
        group = "239.255.77.1:7799"
        interface = "127.0.0.1"
        ttl = 1
        [cache]
        memory = "256MiB"
        [portion]
        keep = "all"
        replicas = 2
        of = ["a", "b"]
        [writes]
        web = "one"
        [tls]
        listen = "127.0.0.1:8443"
        certificates = [{ cert = "one.cert", key = "one.key" }]
        client_ca = "two.cert"
        backend = "127.0.0.1:8080"
        proxy_protocol = false
        early_data = "0B"
        tickets = 1
        lifetime = "12h"
        [connections]
        address = "10.77.0.100/24"
        interface = "eth0"
        takeover = false
        hold_timeout = "200ms"
        detect = "100ms"
        [[connections.plain]]
        listen = "10.77.0.100:22"
        backend = "10.77.0.50:22"
        [admin]
        listen = "127.0.0.1:9700"
        [log]
        level = "info"
        format = "text"
        "#,
    );
    let config = place.load().unwrap();
    assert_eq!(config.name, "a");
    assert_eq!(
        Some(config.keyring.unwrap().sealing().clone()),
        keyfile::read(&place.path("farm.key")).unwrap().keys().next()
    );
    assert_eq!((config.identities.len(), config.client_ca.len()), (1, 1));
    assert_eq!(config.sections.tls.lifetime.0, Duration::from_secs(43_200));
    assert_eq!(config.sections.farm.keys.0, [place.path("farm.key")], "relative to the file");
}

#[test]
fn what_is_nearer_to_the_command_overrides() {
    let place = Place::new("[node]\nname = \"file\"\n[farm]\nttl = 2\n");
    let environment = [("SEGUE_NODE__NAME", "environment"), ("SEGUE_FARM__TTL", "3")];
    assert_eq!(place.load().unwrap().name, "file");
    assert_eq!(place.load_over(&environment, &[]).unwrap().name, "environment");
    let config = place.load_over(&environment, &["node.name=argument"]).unwrap();
    assert_eq!((config.name.as_str(), config.sections.farm.ttl), ("argument", 3));
}

#[test]
fn text_from_outside_becomes_what_its_key_takes() {
    let place = Place::new("");
    let set = [
        "node.name=7",
        "tls.tickets=2",
        "farm.drop=0.05",
        "tls.proxy_protocol=true",
        "tls.listen=[\"127.0.0.1:1\", \"127.0.0.1:2\"]",
    ];
    let config = place.load_over(&[], &set).unwrap();
    let tls = &config.sections.tls;
    assert_eq!((config.name.as_str(), tls.tickets, tls.proxy_protocol), ("7", 2, true));
    assert_eq!(tls.listen.0.len(), 2);
    assert!((config.sections.farm.drop - 0.05).abs() < f64::EPSILON);
}

#[test]
fn the_place_of_a_fault_is_named() {
    let place = Place::new("");
    let refused = |environment: &[(&str, &str)], set: &[&str]| {
        place.load_over(environment, set).expect_err("refused")
    };
    assert_eq!(
        refused(&[("SEGUE_TLS__LIFETIME", "12")], &[]),
        "environment variable SEGUE_TLS__LIFETIME: tls.lifetime: found \"12\", \
         expected a time with its unit, as \"30ms\" or \"12h\""
    );
    assert_eq!(
        refused(&[], &["cache.memory=256"]),
        "--set: cache.memory: found \"256\", expected a size with its unit, as \"256MiB\" or \"0B\""
    );
    assert_eq!(
        refused(&[], &["cache.memory"]),
        "--set: found \"cache.memory\", expected section.key=value"
    );
    assert_eq!(
        refused(&[], &["node.name.first=a"]),
        "--set: node.name: found a section, expected a string"
    );
}

#[test]
fn forms_are_judged_with_file_line_and_key() {
    check("[node\n", "DIR/segue.toml:1: not TOML: unclosed table, expected `]`");
    check("[node]\nname = 5\n", "DIR/segue.toml:2: node.name: found 5, expected a string");
    check(
        "[tsl]\n",
        "DIR/segue.toml:1: tsl: found an unknown key, expected one of \"node\", \"farm\", \
         \"cache\", \"portion\", \"upstream\", \"writes\", \"tls\", \"redis\", \"memcached\", \
         \"connections\", \"admin\", \"log\"; \
         did you mean \"tls\"?",
    );
    check(
        "[admin]\n\nlsten = \"127.0.0.1:1\"\n",
        "DIR/segue.toml:3: admin.lsten: found an unknown key, expected one of \"listen\", \
         \"token_file\", \"metrics_open\"; did you mean \"listen\"?",
    );
    check(
        "[farm]\ntransport = \"multicats\"\n",
        "DIR/segue.toml:2: farm.transport: found \"multicats\", expected one of \"multicast\", \
         \"unicast\"; did you mean \"multicast\"?",
    );
    check(
        "[tls]\nlisten = [\"127.0.0.1:1\",\n  \"nowhere\"]\n",
        "DIR/segue.toml:3: tls.listen[1]: found \"nowhere\", \
         expected an IP address and a port, as \"127.0.0.1:8443\"",
    );
    check(
        "[tls]\ncertificates = [{ cert = \"one.cert\" }]\n",
        "DIR/segue.toml:2: tls.certificates[0]: found nothing, expected a value for `key`",
    );
    check(
        "[log]\nlevel = \"loud\"\n",
        "DIR/segue.toml:2: log.level: found \"loud\", expected off, error, warn, info, debug, \
         trace, or a list as \"info,segue=debug\"",
    );
    check(
        "[farm]\nttl = 256\n",
        "DIR/segue.toml:2: farm.ttl: found 256, expected a whole number from 0 to 255",
    );
}

#[test]
fn more_early_data_than_is_kept_in_memory_is_refused() {
    check(
        "[tls]\nearly_data = \"65KiB\"\n",
        "DIR/segue.toml:2: tls.early_data: found 66560 bytes, expected at most 64 KiB",
    );
}

#[test]
fn a_portion_that_cannot_be_is_refused() {
    check(
        "[portion]\nkeep = \"of\"\n",
        "DIR/segue.toml:2: portion.of: found no names, expected nodes or tiers whose records this \
         node keeps; as of = [\"a\", \"b\"]",
    );
    check(
        "[node]\nname = \"a\"\n[portion]\nkeep = \"of\"\nof = [\"b\", \"a\"]\n",
        "DIR/segue.toml:5: portion.of[1]: found \"a\", which is this node itself, expected other \
         nodes or tiers",
    );
    check(
        "[portion]\nkeep = \"share\"\nreplicas = 17\n",
        "DIR/segue.toml:3: portion.replicas: found 17, expected 1 to 16 holders of each record",
    );
    check(
        "[portion]\nreplicas = 0\n",
        "DIR/segue.toml:2: portion.replicas: found 0, expected 1 to 16 holders of each record",
    );
}

#[test]
fn what_a_later_version_does_is_refused_as_that() {
    let unsupported = |line: u32, key: &str, found: &str, expected: &str| {
        format!(
            "DIR/segue.toml:{line}: {key}: not supported by this version: \
             found {found}, expected {expected}"
        )
    };
    check(
        "[writes]\ntls = \"all\"\nauth = \"local\"\n",
        &unsupported(3, "writes.auth", "\"local\"", "\"one\""),
    );
}

#[test]
fn memcached_has_no_password_and_so_is_not_open() {
    let config = Place::new("[memcached]\n").load().unwrap();
    let given = config.sections.memcached.unwrap();
    assert_eq!((given.listen.0.len(), given.max_connections), (1, 10_000));
    let open = "[memcached]\nlisten = [\"unix:/run/m\", \"10.0.0.1:11211\"]\n";
    check(
        open,
        "DIR/segue.toml:2: memcached.listen: found \"10.0.0.1:11211\", which is open to others, \
         expected loopback addresses and unix sockets, as memcached's protocols have no password; \
         or memcached.trusted_network = true",
    );
    Place::new(&format!("{open}trusted_network = true\n")).load().unwrap();
    check(
        "[memcached]\nlisten = []\nmax_connections = 0\n",
        "DIR/segue.toml:2: memcached.listen: found an empty list, \
         expected an address, as \"127.0.0.1:11211\" or \"unix:/run/segue.sock\"\n\
         error: DIR/segue.toml:3: memcached.max_connections: found 0, expected 1 to 1000000",
    );
}

#[test]
fn upstreams_are_read_and_judged() {
    let with = |text: &str| format!("[farm]\nkeys = \"farm.key\"\n{text}");
    let text = "[writes]\ntls = \"tier\"\n[[upstream]]\nredis = \"rediss://:secret@db:1\"\n\
                ca = \"one.cert\"\n[[upstream]]\nredis = \"redis-cluster://a:1,b:2\"\n";
    let config = Place::new(&with(text)).load().unwrap();
    assert!(!format!("{config:?}").contains("secret"));
    let shown: Vec<_> = config.upstreams.iter().map(|it| it.address.to_string()).collect();
    assert_eq!(shown, ["rediss://db:1", "redis-cluster://a:1,b:2"]);
    assert!(config.upstreams[0].ca.as_ref().unwrap().starts_with(b"-----BEGIN"));
    check(
        &with("[[upstream]]\nredis = \"http://user:secret@db:1\"\n"),
        "DIR/segue.toml:4: upstream[0].redis: found \"http://...\" (a scheme that is none of \
         redis, rediss, redis-cluster and rediss-cluster), expected an address as \
         \"redis://10.0.1.1:6379\" or \"redis-cluster://10.0.1.1:6379,10.0.1.2:6379\"; rediss for TLS",
    );
    check(
        &with("[[upstream]]\nsegue = [\"redis://:secret@10.0.1.1:6379\"]\n"),
        "DIR/segue.toml:4: upstream[0].segue[0]: found \"redis://...\", \
         expected an IP address and a port, as \"127.0.0.1:8443\"",
    );
    check(
        &with("[[upstream]]\n"),
        "DIR/segue.toml:3: upstream[0]: found an upstream without address, \
         expected redis = \"redis://HOST:PORT\" or segue = [\"HOST:PORT\"]",
    );
    check(
        &with("[[upstream]]\nredis = \"redis://db\"\nca = \"one.cert\"\n"),
        "DIR/segue.toml:5: upstream[0].ca: found authorities without TLS, \
         expected an address that begins with rediss:// or rediss-cluster://",
    );
    let nodes = with("[[upstream]]\nsegue = [\"10.0.1.1:7700\", \"10.0.1.2:7700\"]\n");
    let config = Place::new(&nodes).load().unwrap();
    let shown = config.upstreams[0].address.to_string();
    assert_eq!(shown, "segue://10.0.1.1:7700,10.0.1.2:7700");
    for (address, expected) in [
        ("0.0.0.0:7700", "the farm.listen of a node above, as \"10.0.1.1:7700\""),
        ("10.0.1.1:0", "the farm.listen of a node above, as \"10.0.1.1:7700\""),
        ("[fd00::1]:7700", "addresses of the family of farm.listen, 127.0.0.1:7700"),
        ("127.0.0.1:7700", "nodes of another farm: this is farm.listen, this node itself"),
    ] {
        check(
            &with(&format!("[[upstream]]\nsegue = \"{address}\"\n")),
            &format!("DIR/segue.toml:4: upstream[0].segue: found {address}, expected {expected}"),
        );
    }
    check(
        &with("[[upstream]]\nsegue = \"10.0.1.1:7700\"\nredis = \"redis://db\"\n"),
        "DIR/segue.toml:3: upstream[0]: found both redis and segue, expected one of \
         redis = \"redis://HOST:PORT\" or segue = [\"HOST:PORT\"]: another one is another \
         [[upstream]]",
    );
    check(
        &with("[writes]\ntls = \"tier\"\n"),
        "DIR/segue.toml:4: writes.tls: found \"tier\" without [[upstream]], \
         expected a tier above; add [[upstream]] with redis = \"redis://HOST:PORT\"",
    );
    check(
        "[[upstream]]\nredis = \"redis://db\"\n",
        "DIR/segue.toml:1: upstream: found an upstream without farm.keys, expected the key that \
         seals; `segue keygen` makes one: with a key in memory only, nothing that this node \
         writes there could ever be read again",
    );
}

#[test]
fn all_that_does_not_go_together_is_told_at_once() {
    check(
        "[farm]\npeers = \"127.0.0.1:1\"\ngroup = \"127.0.0.1:2\"\ndrop = 2.0\n\
         [tls]\nlisten = []\nlifetime = \"25h\"\nclaim_timeout = \"0s\"\n[cache]\nmemory = \"1B\"\nlookup_timeout = \"0s\"\n",
        "DIR/segue.toml:3: farm.group: found 127.0.0.1:2, \
         expected a multicast address (224.0.0.0/4 or ff00::/8) and a port\n\
         error: DIR/segue.toml:2: farm.peers: found peers without farm.keys, \
         expected the key that they share; `segue keygen` makes one; copy it to all nodes\n\
         error: DIR/segue.toml:4: farm.drop: found 2, expected a share from 0 to 1\n\
         error: DIR/segue.toml:10: cache.memory: found 1 bytes, expected at least 8 MiB\n\
         error: DIR/segue.toml:11: cache.lookup_timeout: found 0s, expected from 1ms to 10s\n\
         error: DIR/segue.toml:6: tls.listen: found an empty list, \
         expected an address or several\n\
         error: DIR/segue.toml:8: tls.claim_timeout: found 0s, expected from 1ms to 10s\n\
         error: DIR/segue.toml:7: tls.lifetime: found 1day 1h, \
         expected a time above 0s and up to 24h",
    );
}

#[test]
fn a_farm_is_of_one_address_family() {
    check(
        "[farm]\nkeys = [\"farm.key\"]\nlisten = \"[::1]:1\"\n\
         peers = [\"[::1]:2\", \"127.0.0.1:3\"]\n",
        "default: farm.group: found 239.255.77.1:7799, \
         expected a group of the family of farm.listen, [::1]:1, as [ff15::77:1]:7799\n\
         error: DIR/segue.toml:4: farm.peers: found 127.0.0.1:3, \
         expected addresses of the family of farm.listen, [::1]:1",
    );
    let place = |farm: &str| Place::new(&format!("[farm]\nlisten = \"[::1]:1\"\n{farm}\n"));
    place("group = \"[ff15::77:1]:7799\"").load().unwrap();
    place("transport = \"unicast\"").load().unwrap();
}

#[test]
fn key_files_are_read_and_judged() {
    let text = "[farm]\nkeys = [\"farm.key\"]\n";
    let place = Place::new(text);
    fs::set_permissions(place.path("farm.key"), Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        place.load().expect_err("wide permissions"),
        "DIR/segue.toml:2: farm.keys[0]: DIR/farm.key: found permissions 0644, \
         expected 0600 or narrower; run `chmod 600 DIR/farm.key`"
    );
    check(
        "[farm]\nkeys = \"absent.key\"\n",
        "DIR/segue.toml:2: farm.keys[0]: DIR/absent.key: cannot be read: No such file or \
         directory (os error 2); `segue keygen` makes a farm key; copy one file to all nodes",
    );
    check(
        "[farm]\nkeys = [\"farm.key\", \"farm.key\"]\n",
        "DIR/segue.toml:2: farm.keys: farm keys 0 and 1 have the same 8-bit id; \
         make one of them anew",
    );
}

#[test]
fn certificates_are_parsed_and_matched_with_their_keys() {
    let certificates = |cert: &str, key: &str| {
        format!("[tls]\ncertificates = [{{ cert = \"{cert}\", key = \"{key}\" }}]\n")
    };
    check(
        &certificates("one.key", "one.key"),
        "DIR/segue.toml:2: tls.certificates[0].cert: DIR/one.key: \
         found none, expected a PEM file of certificates",
    );
    check(
        &certificates("one.cert", "two.key"),
        "DIR/segue.toml:2: tls.certificates[0]: found keys may not be consistent: KeyMismatch, \
         expected a certificate and the key that is its own",
    );
    check(
        &format!("{}client_ca = \"broken.cert\"\n", certificates("one.cert", "one.key")),
        "DIR/segue.toml:3: tls.client_ca: client CA certificate 0: \
         invalid peer certificate: BadEncoding",
    );
    check(
        "[tls]\nclient_ca = \"absent.pem\"\n",
        "DIR/segue.toml:2: tls.client_ca: DIR/absent.pem: cannot be read: \
         No such file or directory (os error 2)",
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let sources = Sources { file: Some(Path::new("absent.toml").to_owned()), ..Sources::default() };
    assert_eq!(
        Config::load(&sources).unwrap_err().to_string(),
        "absent.toml: cannot be read: No such file or directory (os error 2); \
         give the configuration's path with --config"
    );
}
