//! The command line as scripts meet it: exit statuses, streams and words.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

/// Runs `segue` in a directory of its own.
fn segue(directory: &Path, arguments: &[&str]) -> Output {
    crate::nodes::segue().args(arguments).current_dir(directory).output().unwrap()
}

/// Checks the exit status, and that one of the streams says `expected`:
/// standard output after success, standard error otherwise.
#[track_caller]
fn check(directory: &Path, arguments: &[&str], status: i32, expected: &str) {
    let output = segue(directory, arguments);
    let stream = if status == 0 { &output.stdout } else { &output.stderr };
    let said = String::from_utf8_lossy(stream);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
    assert!(said.contains(expected), "{arguments:?} says:\n{said}\nexpected:\n{expected}");
}

#[test]
fn every_command_explains_itself_with_examples() {
    let place = tempfile::tempdir().unwrap();
    check(place.path(), &["--help"], 0, "segue demo");
    check(place.path(), &["--version"], 0, concat!("segue ", env!("CARGO_PKG_VERSION")));
    check(place.path(), &["man", "--configuration"], 0, "lookup_timeout");
    check(place.path(), &["check", "--help"], 0, "segue man --configuration");
    for command in
        ["serve", "demo", "keygen", "check", "status", "top", "drain", "completions", "man"]
    {
        let expected = format!("segue {command}");
        check(place.path(), &[command, "--help"], 0, &expected);
    }
}

#[test]
fn wrong_options_exit_with_2() {
    let place = tempfile::tempdir().unwrap();
    check(place.path(), &[], 2, "Usage: segue <COMMAND>");
    check(place.path(), &["serv"], 2, "a similar subcommand exists: 'serve'");
    check(place.path(), &["serve", "--confg", "x"], 2, "--config");
    check(place.path(), &["demo", "--nodes", "2"], 2, "2 is not in 3..=16");
    check(place.path(), &["completions", "tcsh"], 2, "possible values: bash");
    check(place.path(), &["status", "--admin", "here"], 2, "http://127.0.0.1:9700");
    check(place.path(), &["top", "--admin", "here"], 2, "http://127.0.0.1:9700");
}

#[test]
fn wrong_configurations_exit_with_2() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("segue.toml");
    fs::write(&file, "[tls]\nlisten = \"127.0.0.1\"\n").unwrap();
    let expected = "error: segue.toml:2: tls.listen: found \"127.0.0.1\", \
                    expected an IP address and a port, as \"127.0.0.1:8443\"";
    for command in ["check", "serve"] {
        check(place.path(), &[command, "--config", "segue.toml"], 2, expected);
        check(place.path(), &[command, "--set", "log.level=loud"], 2, "--set: log.level: found");
        check(place.path(), &[command, "--config", "absent"], 2, "absent: cannot be read");
        // Where the right ones stand is said as well, and they do.
        check(place.path(), &[command, "--config", "absent"], 2, "segue man --configuration");
    }
}

#[test]
fn a_new_key_is_its_owners_and_never_overwritten() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("farm.key");
    check(place.path(), &["keygen"], 0, "farm.key: new farm key");
    let key = fs::read_to_string(&path).unwrap();
    assert_eq!(key.len(), 65, "64 digits and a newline");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);

    check(place.path(), &["keygen"], 1, "never overwritten");
    assert_eq!(fs::read_to_string(&path).unwrap(), key);
    check(place.path(), &["keygen", "--out", "no/such/place"], 1, "No such file or directory");
}

#[test]
fn a_rotation_says_what_it_did_and_what_comes_next() {
    let place = tempfile::tempdir().unwrap();
    let rotate = ["keygen", "--rotate", "--config", "segue.toml"];
    check(place.path(), &["keygen", "--rotate"], 1, "`segue keygen` makes a farm key");
    check(place.path(), &["keygen"], 0, "");
    fs::write(place.path().join("segue.toml"), "[farm]\nkeys = []\n").unwrap();
    check(place.path(), &rotate, 1, "segue.toml: farm.keys: found no key file");
    fs::write(place.path().join("segue.toml"), "[farm]\nkeys = \"farm.key\"\n").unwrap();
    for said in ["again will switch to it", "again will retire the old", "begin another rotation"] {
        check(place.path(), &rotate, 0, said);
    }
    check(place.path(), &["keygen", "--rotate", "--out", "farm.key"], 0, "is installed beside key");
    check(place.path(), &["check", "--config", "segue.toml"], 0, "opens too");
    check(place.path(), &["keygen", "--config", "segue.toml"], 2, "--rotate");

    // The keys of another farm are no part of this one's ring.
    check(place.path(), &["keygen", "--out", "b.key"], 0, "");
    check(place.path(), &["keygen", "--rotate", "--out", "b.key"], 0, "");
    let text = "[farm]\nkeys = [\"farm.key\", \"b.key\"]\n";
    fs::write(place.path().join("segue.toml"), text).unwrap();
    let stranger = "segue.toml:2: farm.keys[1]: b.key: places records by another secret";
    check(place.path(), &["check", "--config", "segue.toml"], 2, stranger);
}

#[test]
fn a_good_configuration_is_called_good() {
    let place = tempfile::tempdir().unwrap();
    check(place.path(), &["keygen", "--out", "farm.key"], 0, "");
    fs::write(
        place.path().join("segue.toml"),
        "[node]\nname = \"a\"\n[farm]\nkeys = \"farm.key\"\npeers = \"127.0.0.1:7710\"\n",
    )
    .unwrap();
    check(place.path(), &["check", "--config", "segue.toml"], 0, "segue.toml: good, for node a");
    fs::set_permissions(place.path().join("farm.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let remedy = "run `chmod 600 farm.key`";
    check(place.path(), &["check", "--config", "segue.toml"], 2, remedy);
}

/// What keeps nothing from starting is said beside that the configuration is good.
#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let place = tempfile::tempdir().unwrap();
    let text = "[connections]\naddress = \"10.77.0.100/24\"\ninterface = \"nothere0\"\n";
    fs::write(place.path().join("segue.toml"), text).unwrap();
    let output = segue(place.path(), &["check", "--config", "segue.toml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let expected = "warning: segue.toml:1: connections: found connections without farm.keys";
    assert!(said.contains(expected), "{said}");
    // Whether the interface is there, who starts will see.
    let free = ["farm.listen=127.0.0.1:0", "tls.listen=127.0.0.1:0", "admin.listen=127.0.0.1:0"];
    let mut serve = vec!["serve", "--config", "segue.toml"];
    serve.extend(free.iter().flat_map(|value| ["--set", value]));
    check(place.path(), &serve, 1, "connections.interface: found nothere0, expected the name");
}

#[test]
fn completions_and_the_manual_are_printed() {
    let place = tempfile::tempdir().unwrap();
    check(place.path(), &["completions", "bash"], 0, "complete -F _segue");
    check(place.path(), &["completions", "zsh"], 0, "#compdef segue");
    for part in [".TH segue 1", ".SH SEGUE SERVE", "segue keygen"] {
        check(place.path(), &["man"], 0, part);
    }
}

#[test]
fn status_says_what_to_do_without_a_node() {
    let place = tempfile::tempdir().unwrap();
    // Port 9 (discard) has no listener on a machine that runs tests.
    for command in ["status", "drain"] {
        check(place.path(), &[command, "--admin", "http://127.0.0.1:9"], 1, "segue serve");
    }
}
