//! What clients of memcached's text protocol send, and what they should not.

use proto::rng::Rng;

use crate::memcached::keys;
use crate::pick;

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "5",
    "-1",
    "x",
    "noreply",
    "100000",
    "288230376151711744",
    "4294967296",
    "99999999999999999999",
    "+3",
    "007",
    "1x",
    "\t4",
];
const EXPIRIES: &[&str] = &["0", "0", "0", "100000", "-1", "4000000000", "x"];
const VALUES: &[&str] =
    &["", "x", "hello", "12a", "1", "10", "99", "4611686018427387904", "0", "a\r\n"];
const OTHERS: &[&str] = &[
    "mn", "mn x", "", "x", "m", "mx a", "SET a", "gett a", "s", "replace", "cas", "touch", "gat",
    "mgx a", "quitx", "get a\0b", "get", "gets ", "me z", "me", "delete",
];
/// Flags that are asked for where they mean something, and where not.
const GETS: &[&str] = &[
    "v", "k", "c", "f", "s", "h", "b", "O123", "u", "N0", "N1000", "T0", "T1000", "Tx", "I", "C5",
    "!", "Ppath", "Lx", "Cx", "q",
];
/// A new expiry counts for whether a value is soon to expire if it stands before
/// that. So these have none; and all that expire do so sooner than in a month.
const RECACHES: &[&str] =
    &["v", "k", "c", "f", "s", "h", "b", "O123", "u", "N0", "N1000", "R2592000", "R-1", "Rx", "q"];
const SETS: &[&str] = &[
    "q", "k", "c", "b", "O123", "T0", "T1000", "T-1", "Tx", "I", "F9", "Fx", "MS", "ME", "MA",
    "MP", "MR", "Mx", "Mxx", "!", "v",
];
const COUNTS: &[&str] = &[
    "v", "k", "c", "O123", "N0", "N1000", "T1000", "D5", "Dx", "J10", "Jx", "MI", "MD", "M+", "M-",
    "Mx", "!", "v",
];

/// Some lines, where the next number of a value is the one behind `last`.
pub(crate) fn stream(rng: &mut Rng, last: u64) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..=rng.below(12) {
        let (words, value) = request(rng, last);
        if matches!(words[0].as_str(), "incr" | "decr" | "ma") {
            stream.extend_from_slice(b"mn\r\n");
        }
        let blank = if rng.chance(1, 10) { "  " } else { " " };
        stream.extend_from_slice(words.join(blank).as_bytes());
        stream.extend_from_slice(pick(rng, &["\r\n", "\r\n", "\r\n", "\n", " \r\n"]).as_bytes());
        if let Some(value) = value {
            stream.extend_from_slice(value.as_bytes());
            let end = if rng.chance(1, 20) { "zz" } else { "\r\n" };
            stream.extend_from_slice(end.as_bytes());
        }
    }
    // Whatever is taken for a value is over before the connection is.
    for _ in 0..20 {
        stream.extend_from_slice(b"mn\r\n");
    }
    stream
}

/// A line, as its words, and the value that follows it.
pub(crate) fn request(rng: &mut Rng, last: u64) -> (Vec<String>, Option<String>) {
    if rng.chance(1, 200) {
        return large(rng, last);
    }
    let mut words: Vec<String> = Vec::new();
    let mut say = |word: &str| words.push(word.to_owned());
    match rng.below(20) {
        0..=3 => {
            say(pick(rng, &["get", "gets", "bget"]));
            let many = if rng.chance(1, 20) { 40 } else { 4 };
            (0..rng.below(many)).for_each(|_| say(pick(rng, &["a", "b", "c", "Zg=="])));
        }
        4 => {
            say(pick(rng, &["gat", "gats"]));
            say(pick(rng, EXPIRIES));
            (0..rng.below(3)).for_each(|_| say(pick(rng, &["a", "b", "c", "Zg=="])));
        }
        5..=9 => return store(rng, last),
        10 => {
            say("delete");
            say(&key(rng));
            (0..rng.below(3)).for_each(|_| say(pick(rng, NUMBERS)));
        }
        11 | 12 => {
            say(pick(rng, &["incr", "decr"]));
            say(&key(rng));
            (0..=rng.below(2)).for_each(|_| say(pick(rng, NUMBERS)));
        }
        13 => {
            say("touch");
            say(&key(rng));
            say(pick(rng, EXPIRIES));
            (0..rng.below(2)).for_each(|_| say("noreply"));
        }
        14 => {
            say("verbosity");
            (0..rng.below(4)).for_each(|_| say(pick(rng, &["0", "x", "noreply"])));
        }
        15 => say(pick(rng, OTHERS)),
        16 | 17 => return (meta(rng, last), None),
        _ => return meta_store(rng, last),
    }
    (words, None)
}

fn key(rng: &mut Rng) -> String {
    let keys = keys();
    match rng.below(30) {
        0 => keys[keys.len() - 1].clone(),
        1 => keys[keys.len() - 1].clone() + "k",
        _ => pick(rng, &["a", "b", "c", "Zg=="]).to_owned(),
    }
}

/// A value, and its length, or another one.
fn value(rng: &mut Rng) -> (String, String) {
    let value = pick(rng, VALUES).to_owned();
    let wrong = ["-1", "x", "3", "1x", "+3", "99999999999999999999"];
    let len = value.len().to_string();
    (value, if rng.chance(1, 15) { pick(rng, &wrong).to_owned() } else { len })
}

/// A value that is too long, behind a line that is none but for that.
fn large(rng: &mut Rng, last: u64) -> (Vec<String>, Option<String>) {
    let value = "v".repeat(1_100_000);
    let (name, key) = (pick(rng, &["set", "add", "append", "cas", "ms"]), pick(rng, &["a", "b"]));
    let mut words = match name {
        "ms" => vec![name.to_owned(), key.to_owned(), value.len().to_string()],
        _ => format!("{name} {key} 0 0 {}", value.len()).split(' ').map(str::to_owned).collect(),
    };
    match name {
        "ms" => words.push(pick(rng, SETS).to_owned()),
        "cas" => words.push(number(rng, last)),
        _ if rng.chance(1, 2) => words.push("noreply".to_owned()),
        _ => {}
    }
    (words, Some(value))
}

fn number(rng: &mut Rng, last: u64) -> String {
    (last + rng.below(8)).to_string()
}

fn store(rng: &mut Rng, last: u64) -> (Vec<String>, Option<String>) {
    let name = pick(rng, &["set", "set", "set", "add", "replace", "append", "prepend", "cas"]);
    let (value, len) = value(rng);
    let flags = pick(rng, &["0", "7", "4294967295", "-1", "x"]).to_owned();
    let expiry = pick(rng, EXPIRIES).to_owned();
    let mut words = vec![name.to_owned(), key(rng), flags, expiry, len];
    if name == "cas" {
        words.push(number(rng, last));
    }
    if rng.chance(1, 5) {
        words.push("noreply".to_owned());
    }
    if rng.chance(1, 15) {
        words.pop();
    }
    (words, Some(value))
}

fn meta(rng: &mut Rng, last: u64) -> Vec<String> {
    let (name, flags) = pick(rng, &[("mg", GETS), ("mg", RECACHES), ("md", GETS), ("ma", COUNTS)]);
    let mut words = vec![name.to_owned(), key(rng)];
    for _ in 0..rng.below(6) {
        words.push(pick(rng, flags).to_owned());
    }
    if words.iter().any(|word| word == "b") {
        words.retain(|word| !word.starts_with('N'));
    }
    if rng.chance(1, 4) {
        words.push(format!("C{}", number(rng, last)));
    }
    if rng.chance(1, 40) {
        words.extend(vec!["x".to_owned(); 20]);
    }
    words
}

fn meta_store(rng: &mut Rng, last: u64) -> (Vec<String>, Option<String>) {
    let (value, len) = value(rng);
    let mut words = vec!["ms".to_owned(), key(rng), len];
    for _ in 0..rng.below(5) {
        words.push(pick(rng, SETS).to_owned());
    }
    if rng.chance(1, 3) {
        words.push(format!("C{}", number(rng, last)));
    }
    (words, Some(value))
}
