use super::*;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

/// The message for a file of this content and mode; none for a good one.
fn fault(content: &[u8], mode: u32) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("farm.key");
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    read(&path).err().map(|error| error.to_string())
}

#[track_caller]
fn check(content: &[u8], mode: u32, expected: Option<&str>) {
    assert_eq!(fault(content, mode).as_deref(), expected);
}

#[test]
fn a_key_is_64_digits_that_only_its_owner_reads() {
    let digits = "0123456789abcdefABCDEF0123456789".repeat(2);
    let line = format!("{digits}\n");
    check(line.as_bytes(), 0o600, None);
    check(digits.as_bytes(), 0o400, None);
    check(line.as_bytes(), 0o640, Some("found permissions 0640, expected 0600 or narrower"));
    let length =
        |bytes| format!("found {bytes} bytes, expected 64 hexadecimal digits and a newline");
    check(b"", 0o600, Some(&length(0)));
    check(&line.as_bytes()[1..], 0o600, Some(&length(64)));
    check(format!("{line}{line}").as_bytes(), 0o600, Some(&length(130)));
    check(
        line.replace('c', "x").as_bytes(),
        0o600,
        Some("found no hexadecimal digit at byte 12, expected 64 of them and a newline"),
    );
}

#[test]
fn a_created_key_is_readable_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("farm.key");
    create(&path).unwrap();
    let key = read(&path).unwrap();
    assert_eq!(create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(read(&path).unwrap() == key);
}

/// The ids of a file's keys, and the step that led to it.
fn rotated(path: &Path) -> (Step, Vec<u8>) {
    let (keys, step) = rotate(path).unwrap();
    assert!(read(path).unwrap() == keys, "what is written is read");
    (step, keys.keys().map(|key| key.id()).collect())
}

#[test]
fn a_rotation_installs_switches_and_retires() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("farm.key");
    create(&path).unwrap();
    let first = read(&path).unwrap().keys().next().unwrap();
    let mut seals = first.id();
    for _ in 0..3 {
        let next = seals.wrapping_add(1);
        assert_eq!(rotated(&path), (Step::Installed, vec![seals, next]));
        assert_eq!(rotated(&path), (Step::Switched, vec![next, seals]));
        assert_eq!(rotated(&path), (Step::Retired, vec![next]));
        assert_eq!(read(&path).unwrap().placement(), Some(first.placement_secret()));
        seals = next;
    }
    let mode = path.metadata().unwrap().mode() & 0o7777;
    assert_eq!((mode, std::fs::read_dir(dir.path()).unwrap().count()), (0o600, 1));
}

#[test]
fn a_rotation_follows_a_link_and_waits_for_another() {
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("farm.key"), dir.path().join("link.key"));
    create(&path).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    rotate(&link).unwrap();
    assert!(link.is_symlink() && read(&path).unwrap().other.is_some());

    std::fs::write(dir.path().join("farm.new"), b"").unwrap();
    let before = read(&path).unwrap();
    let error = rotate(&path).err().unwrap().to_string();
    assert!(error.contains("farm.new is in the way"), "{error}");
    assert!(read(&path).unwrap() == before);
}

#[test]
fn lines_say_what_each_key_is_for() {
    let digits = "0123456789abcdef".repeat(4);
    let file = |words: &[&str]| -> String {
        words.iter().map(|word| format!("{word} {digits}\n")).collect()
    };
    let line = "expected \"seals\", \"next\", \"old\" or \"placement\", a space and 64 hexadecimal \
                digits";
    let twice = "expected one key that seals, one beside it, and one placement";
    let check = |text: String, expected: Option<String>| {
        assert_eq!(fault(text.as_bytes(), 0o600), expected);
    };
    check(file(&["seals"]), None);
    check(file(&["placement", "next", "seals"]), None);
    check(file(&["seal"]), Some(format!("line 1: {line}")));
    check(file(&["seals"]) + "next 01\n", Some(format!("line 2: {line}")));
    check(file(&["seals"]) + "next\n", Some(format!("line 2: {line}")));
    check(file(&["seals", "seals"]), Some(format!("line 2: {twice}")));
    check(file(&["seals", "next", "old"]), Some(format!("line 3: {twice}")));
    check(file(&["next"]), Some("found no line of the key that \"seals\"".to_owned()));
    check(
        file(&["seals", "next", "placement", "old"]),
        Some("found 285 bytes, expected 64 hexadecimal digits and a newline".to_owned()),
    );
}

#[test]
fn the_fuzzers_corpus_is_read_or_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/keyfile");
    let mut good = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        if let Ok(keys) = text::parse(&std::fs::read(entry.unwrap().path()).unwrap()) {
            assert!(text::parse(&text::print(&keys)).is_ok_and(|again| again == keys));
            good += 1;
        }
    }
    assert!(good > 0, "none of the corpus is a key file");
}
