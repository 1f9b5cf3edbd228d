//! `[redis]`: who is served Redis' protocol, and where.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::bounds;
use super::encrypted;
use super::fault::{Fault, quoted};
use super::judge::Judge;
use super::sections::Certificate;
use super::units::{GatewayAddress, List};
use crate::gateway::Listen;
use crate::gateway::redis::{Access, Entrance, User};
use crate::password::Password;

/// The most connections that may be asked for: each is a file descriptor.
pub(super) const MOST_CONNECTIONS: u32 = 1_000_000;
/// The longest password that is read: a key file by mistake is not one.
const MOST_PASSWORD_BYTES: usize = 512;
/// The most users of a listener: each is compared with at every log-in.
pub(super) const MOST_USERS: usize = 1_000;

/// Clients that speak Redis' protocol. Without this section none are served.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Redis {
    /// Where clients connect.
    #[schemars(example = ["127.0.0.1:6379", "unix:/run/segue/redis.sock"])]
    pub(crate) listen: List<GatewayAddress>,
    /// A file with the password of the user `default`. Not given: without `users`
    /// nobody needs one, and only loopback addresses and unix sockets are served;
    /// with `users` nobody gets in without a name.
    #[schemars(example = &"redis.password")]
    pub(crate) password_file: Option<PathBuf>,
    /// What every key that clients name begins with.
    #[schemars(example = &"app:")]
    pub(crate) prefix: String,
    /// What clients are shown, who then have to speak TLS. Not given: they speak
    /// plainly. Read again on SIGHUP.
    #[schemars(example = serde_json::json!({ "cert": "cert.pem", "key": "key.pem" }))]
    pub(crate) certificate: Option<Certificate>,
    /// Users with names of their own.
    #[schemars(extend("bounds" = bounds::users()))]
    pub(crate) users: Vec<NamedUser>,
    /// How many clients there may be at a time, at all listeners.
    #[schemars(extend("bounds" = bounds::connections()), example = 2_000)]
    pub(crate) max_connections: u32,
    /// Further listeners, each with what holds there.
    pub(crate) listener: Vec<Listener>,
}

/// A further listener, for which nothing of `[redis]` holds but `max_connections`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Listener {
    /// Where its clients connect. It has to be given.
    #[schemars(example = &"127.0.0.1:6380")]
    pub(crate) listen: List<GatewayAddress>,
    /// As `redis.password_file`.
    #[schemars(example = &"httpd.password")]
    pub(crate) password_file: Option<PathBuf>,
    /// As `redis.prefix`.
    #[schemars(example = &"mod_ssl-sess:")]
    pub(crate) prefix: String,
    /// As `redis.certificate`.
    #[schemars(example = serde_json::json!({ "cert": "cert.pem", "key": "key.pem" }))]
    pub(crate) certificate: Option<Certificate>,
    /// As `redis.users`.
    #[schemars(extend("bounds" = bounds::users()))]
    pub(crate) users: Vec<NamedUser>,
}

/// A user with a name of his own.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedUser {
    /// His name, which no other user of the listener has, nor is it `default`.
    #[schemars(example = &"reports")]
    pub(crate) name: String,
    /// A file with his password.
    #[schemars(example = &"reports.password")]
    pub(crate) password_file: PathBuf,
    /// What every key that he names begins with: no less than the listener's
    /// `prefix`. Not given: that.
    #[schemars(example = &"app:")]
    pub(crate) prefix: Option<String>,
    /// Whether he may change nothing.
    #[schemars(example = true)]
    #[serde(default)]
    pub(crate) read_only: bool,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            listen: List(vec![GatewayAddress(Listen::Tcp(SocketAddr::from((
                [127, 0, 0, 1],
                6379,
            ))))]),
            password_file: None,
            prefix: String::new(),
            certificate: None,
            users: Vec::new(),
            // What Redis allows.
            max_connections: 10_000,
            listener: Vec::new(),
        }
    }
}

impl Redis {
    /// What a reload takes over: certificates, where there were some before.
    pub(crate) fn take_reloadable(&mut self, old: &Self) {
        take_certificate(&mut self.certificate, &old.certificate);
        for (listener, old) in self.listener.iter_mut().zip(&old.listener) {
            take_certificate(&mut listener.certificate, &old.certificate);
        }
    }

    /// Every file that is named, with its key.
    pub(super) fn paths(&mut self) -> Vec<(String, &mut PathBuf)> {
        let Self { password_file, certificate, users, listener, .. } = self;
        let mut paths = Vec::new();
        add_paths("redis", (password_file, certificate, users), &mut paths);
        for (at, listener) in listener.iter_mut().enumerate() {
            let Listener { password_file, certificate, users, .. } = listener;
            let place = format!("redis.listener[{at}]");
            add_paths(&place, (password_file, certificate, users), &mut paths);
        }
        paths
    }

    /// The section's own listener, and those beside it, with their keys.
    fn listeners(&self) -> Vec<(String, Listener)> {
        let Self { listen, password_file, prefix, certificate, users, .. } = self.clone();
        let own = Listener { listen, password_file, prefix, certificate, users };
        let place = |at| format!("redis.listener[{at}]");
        let further = self.listener.iter().cloned().enumerate().map(|(at, it)| (place(at), it));
        // With others beside it, it may be left out.
        let has_own = !own.listen.0.is_empty() || self.listener.is_empty();
        has_own.then(|| ("redis".to_owned(), own)).into_iter().chain(further).collect()
    }
}

/// Takes the files of a certificate for those of an old one, if both are there.
pub(super) fn take_certificate(read: &mut Option<Certificate>, old: &Option<Certificate>) {
    if read.is_some() && old.is_some() {
        read.clone_from(old);
    }
}

type Paths<'a> = (&'a mut Option<PathBuf>, &'a mut Option<Certificate>, &'a mut Vec<NamedUser>);

fn add_paths<'a>(
    place: &str,
    (password_file, certificate, users): Paths<'a>,
    paths: &mut Vec<(String, &'a mut PathBuf)>,
) {
    paths.extend(password_file.as_mut().map(|path| (format!("{place}.password_file"), path)));
    paths.extend(encrypted::paths(place, certificate));
    for (at, user) in users.iter_mut().enumerate() {
        paths.push((format!("{place}.users[{at}].password_file"), &mut user.password_file));
    }
}

impl Judge<'_> {
    /// Whether the section can be served, and by which listeners.
    pub(super) fn redis(&mut self, given: Option<&Redis>) -> Vec<Entrance> {
        let Some(given) = given else { return Vec::new() };
        if !(1..=MOST_CONNECTIONS).contains(&given.max_connections) {
            let expected = format!("1 to {MOST_CONNECTIONS}");
            let found = given.max_connections;
            self.fault("redis.max_connections", Fault::mismatch(found, expected));
        }
        let listeners = given.listeners();
        listeners.iter().map(|(place, listener)| self.entrance(place, listener)).collect()
    }

    fn entrance(&mut self, place: &str, given: &Listener) -> Entrance {
        let listen: Vec<Listen> = given.listen.0.iter().map(|listen| listen.0.clone()).collect();
        if listen.is_empty() {
            let expected = "an address, as \"127.0.0.1:6379\" or \"unix:/run/segue.sock\"";
            self.fault(&format!("{place}.listen"), Fault::mismatch("an empty list", expected));
        }
        let open = listen.iter().find_map(|listen| match listen {
            Listen::Tcp(address) if !address.ip().is_loopback() => Some(address),
            Listen::Tcp(_) | Listen::Unix(_) => None,
        });
        let is_open = given.password_file.is_none() && given.users.is_empty();
        if let (Some(address), true) = (open, is_open) {
            let found =
                format!("no password, and {} is open to others", quoted(&address.to_string()));
            let expected = format!(
                "{place}.password_file or {place}.users, or loopback addresses and unix sockets only"
            );
            self.fault(&format!("{place}.listen"), Fault::mismatch(found, expected));
        }
        let key = format!("{place}.password_file");
        let password = given.password_file.as_ref().and_then(|path| self.password(&key, path));
        let users = self.users(place, given);
        let prefix = given.prefix.clone().into_bytes();
        let tls = self.encryption(place, given.certificate.as_ref());
        Entrance { listen, tls, access: Access { prefix, password, users } }
    }

    fn users(&mut self, place: &str, given: &Listener) -> Vec<User> {
        if given.users.len() > MOST_USERS {
            let found = given.users.len();
            let expected = format!("{MOST_USERS} at the most");
            self.fault(&format!("{place}.users"), Fault::mismatch(found, expected));
        }
        let mut users: Vec<User> = Vec::new();
        for (at, user) in given.users.iter().enumerate() {
            let key = |name: &str| format!("{place}.users[{at}].{name}");
            let NamedUser { name, password_file, prefix, read_only } = user;
            let is_taken = name == "default" || users.iter().any(|other| other.name == *name);
            if is_taken || name.is_empty() || name.contains(char::is_whitespace) {
                let expected = "a name without blanks that no other user has, nor `default`";
                self.fault(&key("name"), Fault::mismatch(quoted(name), expected));
            }
            let prefix = prefix.as_ref().unwrap_or(&given.prefix);
            if !prefix.starts_with(&given.prefix) {
                let expected = format!("one that begins with {place}.prefix");
                let found = quoted(prefix);
                self.fault(&key("prefix"), Fault::mismatch(found, expected));
            }
            if let Some(password) = self.password(&key("password_file"), password_file) {
                let (name, prefix) = (name.clone(), prefix.clone().into_bytes());
                users.push(User { name, password, prefix, read_only: *read_only });
            }
        }
        users
    }

    fn password(&mut self, key: &str, path: &Path) -> Option<Password> {
        match std::fs::read(path).map(Zeroizing::new) {
            Ok(bytes) => {
                let password = bytes.trim_ascii_end();
                if password.is_empty() || password.len() > MOST_PASSWORD_BYTES {
                    let found = format!("{} bytes in {}", password.len(), path.display());
                    let expected = format!("a password of 1 to {MOST_PASSWORD_BYTES} bytes");
                    self.fault(key, Fault::mismatch(found, expected));
                }
                Some(Password::new(password))
            }
            Err(error) => {
                let found = format!("{}: {error}", path.display());
                self.fault(key, Fault::mismatch(found, "a file with a password"));
                None
            }
        }
    }
}
