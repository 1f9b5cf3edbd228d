//! What is installed for the clients, and how their programs are run. It knows
//! nothing of what they do.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::patience::say;
use crate::process::are_installed;

/// The repository's `tests/clients`.
pub(crate) fn programs() -> PathBuf {
    root().join("tests/clients")
}

/// Where `tests/clients/install` puts the libraries.
fn libraries() -> PathBuf {
    root().join("target/clients")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A program of Node.js.
pub(crate) fn node(program: &str) -> Option<Command> {
    let modules = libraries().join("node/node_modules");
    (are_installed(&["node"]) && is_there("the packages of Node.js", modules.is_dir())).then(|| {
        let mut command = Command::new("node");
        command.env("NODE_PATH", modules).arg(programs().join("node").join(program));
        command
    })
}

/// A program of Python.
pub(crate) fn python(program: &str) -> Option<Command> {
    let python = libraries().join("python/bin/python");
    is_there("the packages of Python", python.is_file()).then(|| {
        let mut command = Command::new(python);
        command.arg("-B").arg(programs().join("python").join(program));
        command
    })
}

/// A program of the Rust clients.
pub(crate) fn rust(program: &str) -> Option<Command> {
    let program = libraries().join("rust/debug").join(program);
    is_there("the Rust clients", program.is_file()).then(|| Command::new(program))
}

/// PHP, if it has that extension.
pub(crate) fn php(extension: &str) -> Option<Command> {
    if !are_installed(&["php"]) {
        return None;
    }
    let listed = Command::new("php").arg("-m").output().expect("it is installed");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let part = format!("php-{extension}");
    is_there(&part, listed.lines().any(|line| line == extension)).then(|| Command::new("php"))
}

/// Where Debian has Laravel's libraries.
const ILLUMINATE: &str = "/usr/share/php/Illuminate";

/// A program of PHP that uses Laravel's cache, by phpredis.
pub(crate) fn laravel(program: &str) -> Option<Command> {
    let mut php = php("redis")?;
    let packages = ["Cache", "Redis"].map(|name| format!("{ILLUMINATE}/{name}/autoload.php"));
    let are_there = packages.iter().all(|path| Path::new(path).is_file());
    is_there("php-illuminate-cache and php-illuminate-redis", are_there).then(|| {
        php.arg(programs().join("php").join(program));
        php
    })
}

/// Where Debian has the modules of httpd.
const HTTPD_MODULES: &str = "/usr/lib/apache2/modules";

/// Apache's httpd, if it has that module.
pub(crate) fn apache(module: &str) -> Option<Command> {
    let module = PathBuf::from(HTTPD_MODULES).join(format!("mod_{module}.so"));
    (are_installed(&["apache2", "openssl"]) && is_there("apache2", module.is_file()))
        .then(|| Command::new("apache2"))
}

/// Whether a part is there. With `SEGUE_REQUIRE_NETNS=1`, where no test is to be
/// skipped, it has to be.
fn is_there(part: &str, found: bool) -> bool {
    let required = std::env::var_os("SEGUE_REQUIRE_NETNS").is_some_and(|value| value == "1");
    assert!(found || !required, "SEGUE_REQUIRE_NETNS=1, but not installed: {part} (.ci/packages)");
    if !found {
        say(&format!("skipped: not installed: {part} (.ci/packages)"));
    }
    found
}
